"""The terminal of MicroPython (contract.Terminal)."""

import gc
import os
import sys

import micropython  # type: ignore[import-not-found]

COLLECT_AFTER_BYTES = 8192


def begin() -> None:
    """MicroPython collects only when the heap is full; by then what compiling left behind lies between what stays,
    and no large block is to be had. So it collects early."""
    gc.threshold(COLLECT_AFTER_BYTES)  # type: ignore[attr-defined]


def guard() -> None:
    """A build without GIL raises KeyboardInterrupt out of the signal handler: in the middle of a collection it leaves
    marks behind, and the next one frees what lives."""
    micropython.kbd_intr(-1)


def runtime() -> tuple[str, str]:
    return "micropython", ".".join([str(number) for number in sys.implementation.version[:3]])


def program() -> str:
    return "micropython -m agent"


def is_terminal() -> bool:
    return os.system("test -t 0 && test -t 1") == 0  # noqa: S605, S607 (there is no isatty)


def qr_lines(text: str) -> list[str]:
    """No QR library here: the text of the code is enough."""
    return []


def say(line: str) -> None:
    """Every print is a write(2) here."""
    print(line)


def give_up(text: str) -> int:
    """Exit status 1 after an error of the output itself."""
    print(text, file=sys.stderr)  # type: ignore[call-overload, unused-ignore]
    return 1
