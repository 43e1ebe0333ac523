"""The command `corelet-maker`: what whoever ships a board types. Everything it shows it can say with --json.

Exit status: 0 done, 1 refused (a signature, a state of leaves, a release), 2 wrong use or a wrong file, 130 stopped by
Ctrl-C. A passphrase never comes by argument: --passphrase-file FILE, - for standard input, else it is asked for.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from agent import __version__
from ota.errors import CoreletError, UsageError
from tools.maker.words import COMMANDS, GROUPS

WIDTH = 78


class _Narrow(argparse.RawDescriptionHelpFormatter):
    """80 columns wherever it is read, lines as they stand."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=WIDTH)


class _Parser(argparse.ArgumentParser):
    """Wrong use is one sentence, as all else is."""

    def error(self, message: str) -> NoReturn:
        words = self.prog.partition(" ")[2]
        self.exit(2, f"corelet-maker: {message}; see: corelet-maker {words + ' ' if words else ''}--help\n")


def parser() -> argparse.ArgumentParser:
    """All commands; each with an example."""
    top = _Parser(
        prog="corelet-maker",
        formatter_class=_Narrow,
        description="For whoever ships a board: keys, documents of trust, signed releases.\n"
        "Images, packages and factory identities are still to come.",
        epilog="What a command takes: corelet-maker GROUP COMMAND --help\n"
        "example: corelet-maker keys new ann.key\n"
        "         corelet-maker release build raspberry-pi-zero-2w --sequence 7 -o out\n"
        "         corelet-maker release sign out/releases/DIGEST --key ann.key",
    )
    top.add_argument("--version", action="version", version=f"corelet-maker {__version__}")
    groups = top.add_subparsers(dest="group", metavar="GROUP", required=True)
    verbs = {}
    for name, about in GROUPS:
        group = groups.add_parser(name, help=about, description=about[0].upper() + about[1:] + ".")
        verbs[name] = group.add_subparsers(dest="verb", metavar="COMMAND", required=True)
    for command in COMMANDS:
        name, verb = command.words.split()
        text = command.about[0].upper() + command.about[1:] + "."
        epilog = f"example: corelet-maker {command.words} {command.example}"
        made = verbs[name].add_parser(verb, help=command.about, description=text, epilog=epilog)
        made.formatter_class = _Narrow
        made.set_defaults(run=command.run)
        for flags, settings in command.options:
            made.add_argument(*flags, **settings)
        made.add_argument("--json", action="store_true", help="print the result as JSON, for scripts")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script."""
    options = parser().parse_args(arguments)
    try:
        answer, lines = options.run(options)
    except CoreletError as error:
        if options.json:
            print(json.dumps({"error": error.code, "text": error.text}))
        print(f"corelet-maker: {error.text}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except (KeyboardInterrupt, EOFError):
        print("corelet-maker: stopped", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"corelet-maker: this could not be written or read: {error.strerror or error}", file=sys.stderr)
        return 1
    try:
        print(json.dumps(answer, sort_keys=True) if options.json else "\n".join(lines), flush=True)
    except BrokenPipeError:
        # Whoever read our output has left; keep the interpreter's last flush quiet too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 1 if answer.get("verdict") == "reject" else 0


if __name__ == "__main__":
    sys.exit(main())
