"""Files of a desk: read with a bound, written so that a power cut leaves the old one or the new one."""

import os
import stat
from pathlib import Path

from ota.errors import LimitError, UsageError
from tools.gateway.private import write_private

FILE_BYTES_MAX = 64 << 20


def read(path: Path, bytes_max: int = FILE_BYTES_MAX) -> bytes:
    """UsageError("file"), LimitError("too_big")."""
    try:
        with path.open("rb") as file:
            data = file.read(bytes_max + 1)
    except OSError as error:
        raise UsageError("file", f"expected a file that can be read, got {path}: {error.strerror}") from None
    if len(data) > bytes_max:
        raise LimitError("too_big", f"expected a file of at most {bytes_max} bytes, got more in {path}")
    return data


def read_secret(path: Path, bytes_max: int = 4096) -> bytes:
    """Only what nobody else can read or change; UsageError("readable_by_others")."""
    try:
        found = path.stat()
    except OSError as error:
        raise UsageError("file", f"expected a file that can be read, got {path}: {error.strerror}") from None
    if stat.S_ISREG(found.st_mode) and (found.st_mode & 0o077 or found.st_uid != os.geteuid()):
        text = f"expected a secret that only its owner can read, got mode {found.st_mode & 0o777:04o}"
        raise UsageError("readable_by_others", f"{text} (owner {found.st_uid}): chmod 600 {path}, as its owner")
    return read(path, bytes_max)


def write(path: Path, data: bytes) -> None:
    """A public file, in place of one of this name; its mode is that which new files have here."""
    mask = os.umask(0o077)
    os.umask(mask)
    made = path.resolve()
    try:
        write_private(made, data)
        made.chmod(0o666 & ~mask)
    except OSError as error:
        raise _unwritten(path, error) from None


def write_new_secret(path: Path, data: bytes) -> None:
    """Mode 0600; never in place of another, because a key that is gone is gone."""
    check_new(path)
    try:
        write_private(path, data)
    except OSError as error:
        raise _unwritten(path, error) from None


def check_new(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise UsageError("exists", f"expected a new file, got {path}, which is there already: choose another name")
    if not path.absolute().parent.is_dir():
        raise UsageError("file", f"expected a name in a folder that is there, got {path}")


def _unwritten(path: Path, error: OSError) -> UsageError:
    return UsageError("file", f"expected a file that can be written, got {path}: {error.strerror}")
