"""MicroPython's bodies of ota/port. `flush` of a file IS fsync there, also of a folder opened for reading."""

import gc
import hashlib
import io
import socket
import struct
import sys
import time

from ota.pack import PLACE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from ota.mount import Store

FOLDER, FILE = (0x4000,) + (0,) * 9, (0x8000,) + (0,) * 9
NO_ENTRY, READ_ONLY = 2, 30
IN_USE = (98, 125)  # EADDRINUSE, and on MIPS
# What the importer asks of a stream (py/stream.h), and how much it then reads at once.
CLOSE, GET_BUFFER_SIZE, BUFFER_BYTES = 4, 11, 255


def edit(path: str) -> "BinaryIO":
    return open(path, "r+b")


def hold(path: str) -> "socket.socket | None":
    """There is no flock here. An abstract Unix socket has no owner, so what is in the file, which is private and has
    random bytes in it, makes its name."""
    with open(path, "rb") as file:
        name = hashlib.sha256(b"corelet-ota" + file.read()).digest()
    held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        held.bind(struct.pack("@H", 1) + b"\0" + name)
    except OSError as error:
        held.close()
        if error.errno not in IN_USE:
            raise
        return None
    return held


def flush(file: "BinaryIO") -> None:
    file.flush()


def sync_folder(path: str) -> None:
    with open(path, "rb") as folder:
        folder.flush()


def free_bytes() -> "int | None":
    """Of the heap."""
    gc.collect()
    return gc.mem_free()  # type: ignore


def now_ms() -> int:
    """Wraps after some days; for what lasts minutes."""
    return time.ticks_ms()  # type: ignore


def package(name: str) -> "list[int] | None":
    """There are none."""
    return None


class _File(io.IOBase):
    """Read in pieces: a small heap has no room for a whole source beside what comes of it."""

    def __init__(self, store: "Store", start: int, length: int) -> None:
        self._store, self._start, self._end = store, start, start + length

    def readinto(self, buffer: bytearray) -> int:
        data = self._store.read(self._start, min(len(buffer), self._end - self._start))
        buffer[: len(data)] = data
        self._start += len(data)
        return len(data)

    def ioctl(self, request: int, argument: int) -> int:
        return 0 if request == CLOSE else BUFFER_BYTES if request == GET_BUFFER_SIZE else -1


class _Files:
    def __init__(self, store: "Store") -> None:
        self._store = store

    def mount(self, is_read_only: bool, is_new: bool) -> None:
        pass

    def stat(self, path: str) -> "tuple[int, ...]":
        path = path.strip("/")
        if self._store.pack.find(path):
            return FILE
        if self._store.pack.has_folder(path):
            return FOLDER
        raise OSError(NO_ENTRY)

    def open(self, path: str, mode: str) -> _File:
        found = self._store.pack.find(path.strip("/"))
        if found is None or mode not in ("r", "rb", "rt"):
            raise OSError(READ_ONLY if found else NO_ENTRY)
        return _File(self._store, found[0], found[1])


def mount(store: "Store") -> None:
    import vfs  # type: ignore[import-not-found]  # here, because only this process has a pack

    vfs.mount(_Files(store), PLACE)
    sys.path.insert(0, PLACE)
