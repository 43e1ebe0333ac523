"""The terminal of CPython (contract.Terminal)."""

import io
import os
import platform
import sys


def begin() -> None:
    """A name that this terminal cannot show must not end the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def guard() -> None:
    """An interrupt waits for the next bytecode or the loop here."""


def runtime() -> tuple[str, str]:
    return "cpython", platform.python_version()


def program() -> str:
    """How this program is typed here: by its name where a shell finds it, else by its path."""
    path = sys.argv[0]
    if os.path.basename(path) != "corelet":
        return "python3 -m agent"
    return "corelet" if os.path.dirname(path) in os.environ.get("PATH", "").split(":") else path


def is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def qr_lines(text: str) -> list[str]:
    """Half-block characters, light on dark, where the optional `segno` is installed; else nothing."""
    try:
        "█▀▄".encode(sys.stdout.encoding or "ascii")
        import segno
    except (ImportError, UnicodeEncodeError):
        return []
    rows = [[False, *row, False] for row in segno.make(text, error="m").matrix_iter(border=1)]
    if len(rows) % 2:
        rows.append([False] * len(rows[0]))
    glyphs = {(False, False): "█", (False, True): "▀", (True, False): "▄", (True, True): " "}
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return ["".join([glyphs[bool(a), bool(b)] for a, b in zip(*pair, strict=True)]) for pair in pairs]


def say(line: str) -> None:
    """A line a person waits for: at once, also through a pipe."""
    print(line, flush=True)


def give_up(text: str) -> int:
    """Exit status 1 after an error of the output itself; keeps the interpreter's last flush quiet."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    print(text, file=sys.stderr)
    return 1
