"""`corelet-maker`, the command of whoever ships the board. So far it only says what will come."""

import argparse
import sys

COMING = """\
corelet-maker is for whoever ships a board. Nothing of it works yet; what will come:
  images      flashable images for a board profile
  packages    packages for a distribution that is already on the board
  factory     identities and labels made at the factory
  releases    signed releases and the keys that sign them
To lend what a board has today:  corelet up
To run a full core:              corelet-core up
"""


def main(arguments: list[str] | None = None) -> int:
    """0 for --help; 2 for anything else, because nothing was done."""
    parser = argparse.ArgumentParser(
        prog="corelet-maker",
        description=COMING,
        epilog="example: corelet-maker --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_known_args(arguments)
    sys.stderr.write(COMING)
    return 2


if __name__ == "__main__":
    sys.exit(main())
