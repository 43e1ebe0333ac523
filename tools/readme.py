"""Writes the README's generated tables: `python -m tools.readme` after a change; a test compares.

A block stands between `<!-- NAME -->` and `<!-- end -->`; BLOCKS says what makes it.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from boards import loader
from tools.check.floors import FLOORS

README = Path(__file__).parents[1] / "README.md"
MIB = 1024 * 1024


def boards() -> str:
    """One row a board: what it is, which runtime, the ceilings people ask about first."""
    rows = [
        "| board | what it is | runs | memory | shards | flash a day | log |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in loader.NAMES:
        board = loader.load(name)
        rows.append(
            f"| `{board.id}` | {board.summary} | {board.runtime} | {board.memory_kib // 1024} MiB | "
            f"{board.shard_bytes // MIB} MiB, {board.store_layout} | {board.flash_bytes_day // MIB} MiB | "
            f"{board.log_bytes // 1024} KiB |"
        )
    return "\n".join(rows)


def floors() -> str:
    """Who may import whom, from the table that the check uses."""
    rows = ["| floor | who stands there | may import of ours |", "|---|---|---|"]
    for floor in reversed(FLOORS):
        if floor.name[0].isdigit() or floor.name.startswith("port,"):
            who, allowed = (", ".join(f"`{name}`" for name in names) for names in (floor.modules, floor.ours))
            rows.append(f"| {floor.name} | {who} | {allowed} |")
    return "\n".join(rows)


BLOCKS: dict[str, Callable[[], str]] = {"boards": boards, "floors": floors}


def written(text: str) -> str:
    """`text` with every block made anew."""
    for name, make in BLOCKS.items():
        head, begin, rest = text.partition(f"<!-- {name} -->\n")
        _, end, tail = rest.partition("<!-- end -->")
        text = head + begin + make() + "\n" + end + tail
    return text


def main() -> int:
    README.write_text(written(README.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
