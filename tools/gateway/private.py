"""Files that one user may read: written aside with mode 0600, then renamed, so that nobody ever sees half of one,
and a power cut leaves the old one or the new one. (What `get` writes is the user's own file: commands.py.)"""

import os
from pathlib import Path


def write_private(path: Path, data: bytes, owner: tuple[int, int] | None = None) -> None:
    """`owner`: (uid, gid) that shall be able to read it, when this process is root. Raises OSError.
    The file aside is new (O_EXCL, not followed): whoever owns the folder cannot have us write elsewhere."""
    aside = path.with_name(path.name + ".new")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        if owner is not None:
            os.fchown(file.fileno(), *owner)
    aside.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
