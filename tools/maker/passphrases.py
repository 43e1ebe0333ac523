"""Where the passphrase of a key comes from: a file, standard input or the terminal. Never the command line, which every
user of a machine can read."""

import getpass
import sys
from pathlib import Path

from ota.errors import UsageError
from tools.maker import files

LENGTH_MIN, LENGTH_MAX = 8, 1024


def passphrase(source: str | None, path: Path, is_new: bool = False) -> bytes:
    """`source`: a file whose first line it is, "-" for standard input, None to ask. UsageError("passphrase")."""
    if source == "-":
        line = sys.stdin.buffer.readline(LENGTH_MAX + 2)
    elif source is not None:
        line = files.read_secret(Path(source)).partition(b"\n")[0]
    elif sys.stdin.isatty():
        line = _ask(path, is_new)
    else:
        text = "expected a passphrase, got no terminal to ask for it: name its file with --passphrase-file, - for stdin"
        raise UsageError("passphrase", text)
    made = line.rstrip(b"\r\n")
    if not made or len(made) > LENGTH_MAX or (is_new and len(made) < LENGTH_MIN):
        least = LENGTH_MIN if is_new else 1
        raise UsageError("passphrase", f"expected a passphrase of {least} to {LENGTH_MAX} bytes, got {len(made)}")
    return made


def _ask(path: Path, is_new: bool) -> bytes:
    first = getpass.getpass(f"passphrase of {path}: ")
    if is_new and getpass.getpass("the same again: ") != first:
        raise UsageError("passphrase", "expected the same passphrase twice, got two")
    return first.encode()
