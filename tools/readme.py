"""Writes the generated tables of README.md and boards/README.md: `python -m tools.readme` after a change; a test
compares.

A block stands between `<!-- NAME -->` and `<!-- end -->`; BLOCKS says what makes it.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from boards import loader, schema
from boards.marks import MARKS
from tools.check.floors import FLOORS

ROOT = Path(__file__).parents[1]
README, BOARDS = ROOT / "README.md", ROOT / "boards/README.md"
MIB = 1024 * 1024


def boards() -> str:
    """One row a board: what it is, which runtime, the ceilings people ask about first, by what it is recognised."""
    rows = [
        "| board | what it is | runs | memory | shards | flash a day | relay | recognised by |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, marks in MARKS:
        board = loader.load(name)
        rows.append(
            f"| `{name}` | {board['summary']} | {board['runtime']} | {_size(board['memory_kib'] * 1024)} | "
            f"{_size(board['shard_bytes'])}, {board['store_layout']} | {_size(board['flash_bytes_day'])} | "
            f"{board['relay_bps'] // 1_000_000} Mbit/s | {', '.join(f'`{text}`' for _, text in marks) or '-'} |"
        )
    return "\n".join(rows)


def kinds() -> str:
    """One row a kind of board, for those who look for theirs."""
    names: dict[str, list[str]] = {}
    for name in loader.NAMES:
        board = loader.load(name)
        kind = board["kind"] + " (only a profile and a size budget)" * (board["runtime"] == "nothing yet")
        names.setdefault(kind, []).append(f"`{name}`")
    return "\n".join(["| kind | boards |", "|---|---|", *(f"| {kind} | {', '.join(names[kind])} |" for kind in names)])


def fields() -> str:
    """One row a key of a profile."""
    rows = ["| key | allowed | what it says |", "|---|---|---|"]
    for name, kind, low, high, unit, why in schema.FIELDS:
        allowed = {
            "int": f"{low}..{high} {unit}",
            "text": f"{low}..{high} characters",
            "word": ", ".join(low) if kind == "word" else "",
            "hours": "HH:MM-HH:MM or empty",
        }.get(kind, f"{low}..{high} of them")
        rows.append(f"| `{name}` | {allowed.strip()} | {why} |")
    return "\n".join(rows)


def _size(count: int) -> str:
    return f"{count // MIB} MiB" if count >= MIB else f"{count // 1024} KiB"


def floors() -> str:
    """Who may import whom, from the table that the check uses."""
    rows = ["| floor | who stands there | may import of ours |", "|---|---|---|"]
    for floor in reversed(FLOORS):
        if floor.name[0].isdigit() or floor.name.startswith("port,"):
            who, allowed = (", ".join(f"`{name}`" for name in names) for names in (floor.modules, floor.ours))
            rows.append(f"| {floor.name} | {who} | {allowed} |")
    return "\n".join(rows)


BLOCKS: dict[str, Callable[[], str]] = {"boards": boards, "fields": fields, "floors": floors, "kinds": kinds}


def written(text: str) -> str:
    """`text` with every block that it has made anew."""
    for name, make in BLOCKS.items():
        head, begin, rest = text.partition(f"<!-- {name} -->\n")
        _, end, tail = rest.partition("<!-- end -->")
        text = head + begin + make() + "\n" + end + tail if begin else text
    return text


def main() -> int:
    for path in (README, BOARDS):
        path.write_text(written(path.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
