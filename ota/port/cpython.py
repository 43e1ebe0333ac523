"""CPython's bodies of ota/port."""

import fcntl
import os
import sys
import time
import zlib
from importlib import metadata
from importlib.abc import ExecutionLoader
from importlib.machinery import ModuleSpec

from ota.pack import PLACE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, BinaryIO

    from ota.mount import Store


def edit(path: str) -> "BinaryIO":
    """For reading and writing, each a system call."""
    return open(path, "r+b", buffering=0)


def hold(path: str) -> "BinaryIO | None":
    file = open(path, "rb")  # noqa: SIM115 (who holds it closes it)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def flush(file: "BinaryIO") -> None:
    file.flush()
    os.fsync(file.fileno())


def sync_folder(path: str) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def free_bytes() -> "int | None":
    """Of memory; None where the system does not say."""
    try:
        with open("/proc/meminfo") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def now_ms() -> int:
    return int(time.monotonic() * 1000)


class Inflate:
    """As MicroPython's DeflateIO: see ota/port/inflate.py."""

    def __init__(self, source: "Any", window_bits: int) -> None:
        self._source, self._zlib = source, zlib.decompressobj(-window_bits)

    def read(self, length: int) -> bytes:
        try:
            made = self._zlib.decompress(self._zlib.unconsumed_tail, length)  # also what it holds back
            while not made and not self._zlib.eof:
                more = self._source.read(1)
                if not more:
                    raise EOFError
                made = self._zlib.decompress(more, length)
        except zlib.error:
            raise OSError(22)
        return made


def package(name: str) -> "list[int] | None":
    """Its version, up to the first part that is no number; None: not installed."""
    try:
        words = metadata.version(name).split(".")
    except metadata.PackageNotFoundError:
        return None
    numbers: list[int] = []
    for word in words:
        if not word.isdigit():
            break
        numbers.append(int(word))
    return numbers or [0]


class _Finder(ExecutionLoader):
    """What is in the pack comes from the pack; tracebacks show its lines."""

    def __init__(self, store: "Store") -> None:
        self._store = store

    def _path(self, name: str) -> str:
        base = name.replace(".", "/")
        path = base + "/__init__.py"
        return path if self._store.pack.find(path) else base + ".py"

    def find_spec(self, name: str, path: "Sequence[str] | None" = None, target: object = None) -> "ModuleSpec | None":
        if not self._store.pack.find(self._path(name)):
            return None
        spec = ModuleSpec(name, self, origin=self.get_filename(name), is_package=self.is_package(name))
        spec.has_location = True
        return spec

    def is_package(self, name: str) -> bool:
        return self._path(name).endswith("/__init__.py")

    def get_filename(self, name: str) -> str:
        return f"{PLACE}/{self._path(name)}"

    def get_source(self, name: str) -> str:
        return self._store.source(self._path(name)).decode()


def mount(store: "Store") -> None:
    sys.meta_path.insert(0, _Finder(store))
