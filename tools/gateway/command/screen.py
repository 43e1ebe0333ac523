"""What the operator sees: sentences, aligned columns, check marks, progress. Colours and bars only on a terminal.

Results go to standard output, progress and errors to standard error, so that a pipe gets only results.
"""

import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

PLAIN_STEP_PERCENT = 10
PATIENCE_S = 2.0
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def amount(count: float) -> str:
    """1536 -> "1.5 KiB"."""
    unit = 0
    while count >= 1024 and unit + 1 < len(UNITS):
        count /= 1024
        unit += 1
    return f"{count:.0f} {UNITS[unit]}" if unit == 0 else f"{count:.1f} {UNITS[unit]}"


def age(seconds: float | None) -> str:
    """90 -> "1 min"; None -> "never"."""
    if seconds is None:
        return "never"
    for length, word in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds / length:.0f} {word}"
    return f"{seconds:.0f} s"


def printable(value: object) -> str:
    """Names come from the network: no escape codes, no line breaks, and whatever type a peer has sent."""
    return "".join(sign if sign.isprintable() else "?" for sign in str(value))


def cut(text: str, chars_max: int = 20) -> str:
    """For a column; the whole of it is in --json."""
    return text if len(text) <= chars_max else text[: chars_max - 1] + "…"


def paint(text: str, colour: str, stream: Any = None) -> str:
    """Only on a terminal."""
    codes = {"green": "32", "red": "31", "yellow": "33", "bold": "1", "dim": "2"}
    return f"\x1b[{codes[colour]}m{text}\x1b[0m" if (stream or sys.stdout).isatty() else text


def mark(is_good: bool, stream: Any = None) -> str:
    """A check mark where the terminal can show one."""
    stream = stream or sys.stdout
    can_show = (stream.encoding or "").lower().replace("-", "").startswith("utf")
    good, bad = ("✓", "✗") if can_show else ("ok", "no")
    return paint(good if is_good else bad, "green" if is_good else "red", stream)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Left-aligned columns, as wide as needed."""
    lines = [[printable(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([paint(text[0], "bold"), *text[1:]])


def say(text: str) -> None:
    """A result. A reader that has left (`| head`) is no error of ours: main() ends quietly."""
    print(text, flush=True)


def say_json(value: Any) -> None:
    """A result for a script: one line."""
    say(json.dumps(value))


def warn(text: str) -> None:
    """To standard error."""
    print(paint("note:", "yellow", sys.stderr), printable(text), file=sys.stderr, flush=True)


@contextmanager
def patience(words: str, is_shown: bool) -> Iterator[None]:
    """Says `words` where something takes longer than a person expects."""
    timer = threading.Timer(PATIENCE_S, print, [words], {"file": sys.stderr, "flush": True})
    timer.daemon = True
    if is_shown:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


class Progress(Protocol):
    """Told the bytes done so far."""

    def __call__(self, done: int) -> None: ...


@contextmanager
def progress(words: str, total: int | None, is_shown: bool) -> Iterator[Progress]:
    """A bar with rate and time left on a terminal, a plain line for every 10 percent otherwise, nothing with --json."""
    if not is_shown:
        yield lambda done: None
    elif sys.stderr.isatty():
        with _bar(words, total) as tell:
            yield tell
    else:
        yield _Lines(words, total)


@contextmanager
def _bar(words: str, total: int | None) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Task, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar
    from rich.text import Text

    class Rate(TransferSpeedColumn):
        """In the units of every other amount."""

        def render(self, task: Task) -> Text:
            return Text("?" if task.speed is None else f"{amount(task.speed)}/s", style="progress.data.speed")

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(binary_units=True))
    with Bar(*columns, Rate(), TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(printable(words), total=total)
        yield lambda done: bar.update(task, completed=done)


class _Lines:
    """Progress for a log file."""

    def __init__(self, words: str, total: int | None) -> None:
        self._words = printable(words)
        self._total = total
        self._next = 0
        self._told_at = 0.0

    def __call__(self, done: int) -> None:
        if not self._total:
            if time.monotonic() - self._told_at >= 5:
                self._told_at = time.monotonic()
                print(f"{self._words}: {amount(done)}", file=sys.stderr, flush=True)
            return
        percent = min(100, done * 100 // self._total)
        if percent >= self._next:
            self._next = percent - percent % PLAIN_STEP_PERCENT + PLAIN_STEP_PERCENT
            print(f"{self._words}: {percent} % of {amount(self._total)}", file=sys.stderr, flush=True)
