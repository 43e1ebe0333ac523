"""How every bench says what it saw: a table of what, bar, measured, verdict; `--json FILE` has the same figures.

A missed bar is a word in the table, never an exit status: timings depend on the machine and on who else uses it.
"""

import argparse
import json
import os
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table


def parser(program: str, what: str) -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog=f"tests.bench.{program}", description=what)
    made.add_argument("--json", metavar="FILE", type=Path, help="write the figures there")
    return made


def spread(values: Sequence[float], unit: str, digits: int = 1) -> str:
    """ "median (min to max) unit"."""
    low, middle, high = (f"{value:.{digits}f}" for value in (min(values), statistics.median(values), max(values)))
    return f"{middle} {unit}" if len(values) == 1 else f"{middle} ({low} to {high}) {unit}"


class Report:
    """Rows as they are measured; `close` prints them and writes the file."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.console = Console(highlight=False)
        self.notes: list[str] = []
        self._rows: list[tuple[str, str, str, str]] = []
        self._figures: dict[str, Any] = {}

    def say(self, words: str) -> None:
        self.console.print(words, style="dim")

    def figure(self, name: str, value: Any) -> None:
        self._figures[name] = value

    def row(self, what: str, measured: str, bar: str = "", is_met: bool | None = None) -> None:
        verdict = {True: "met", False: "MISSED", None: ""}[is_met]
        self._rows.append((what, bar, measured, verdict))

    def spread(self, what: str, values: Sequence[float], unit: str, bar: str = "", is_met: bool | None = None) -> None:
        """A row of several rounds. The file has every one of them."""
        self.figure(f"{what}, {unit}", list(values))
        self.row(what, spread(values, unit, 2 if unit == "times" else 1), bar, is_met)

    def close(self, file: Path | None) -> None:
        table = Table(title=self.title, title_justify="left")
        for column in ("what", "bar", "measured", "verdict"):
            table.add_column(column)
        for row in self._rows:
            table.add_row(*row)
        self.console.print(table)
        load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
        self.notes.append(f"Load average at the end {load}.")
        for note in self.notes:
            self.console.print(note)
        if file is not None:
            rows = [dict(zip(("what", "bar", "measured", "verdict"), row, strict=True)) for row in self._rows]
            content = {"title": self.title, "rows": rows, "notes": self.notes, "figures": self._figures}
            file.write_text(json.dumps(content, indent=1) + "\n")


def rounds(count: int, measure: Callable[[], float]) -> list[float]:
    """Each round's figure; one unmeasured round first, which pays for caches and imports."""
    measure()
    return [measure() for _ in range(count)]
