"""What ota has to know of the interpreter and the system, so that it works without `agent`. The bodies that differ are
in the two files beside this one: `edit`, `hold`, `flush`, `sync_folder`, `free_bytes`, `now_ms`, `package`, `mount`.

The verifier's own bodies (SHA-256, CBOR, P-256, HSS/LMS) are the same on both interpreters.
"""

import gc
import os
import sys

from ota.errors import PortError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

MICROPYTHON = sys.implementation.name == "micropython"

if MICROPYTHON:
    from ota.port import micropython as body
else:
    from ota.port import cpython as body

HEAP_STEP_BYTES = 4096
ZEROS_BYTES = 4096
POWER = "/sys/class/power_supply"

free_bytes, now_ms, package, mount = body.free_bytes, body.now_ms, body.package, body.mount


def hold(path: str) -> "Any":
    """Something with `close`: until then, or the end of the process, nobody else holds `path`. PortError("busy")."""
    with OnFile(path):
        held = body.hold(path)
    if held is None:
        raise PortError("busy", f"expected one command at a time on {path}, got a second; wait for the first")
    return held


def begin() -> None:
    """MicroPython collects only when its heap is full, and by then it is in pieces."""
    if MICROPYTHON:
        gc.threshold(HEAP_STEP_BYTES)  # type: ignore[attr-defined]


def interpreter() -> "tuple[str, list[int]]":
    """("cpython", [3, 11, 2]): as in a release's needs."""
    return sys.implementation.name, list(sys.implementation.version[:3])


def load(module: str) -> "Any":
    """A module by its name: of a pack, whose name only its user knows."""
    return __import__(module, None, None, ["main"])


def uptime() -> "tuple[str, int]":
    """(which start of the system this is, seconds since): nobody sets this clock, and a device may have no other."""
    with OnFile("/proc"):
        return _line("/proc/sys/kernel/random/boot_id"), int(_line("/proc/uptime").partition(".")[0])


def environment(name: str) -> str:
    return os.getenv(name) or ""


def power_percent() -> "int | None":
    """What is left in the battery; None: there is none, or it is being charged."""
    try:
        for name in os.listdir(POWER):
            if _line(f"{POWER}/{name}/type") == "Battery" and _line(f"{POWER}/{name}/status") == "Discharging":
                return int(_line(f"{POWER}/{name}/capacity"))
    except (OSError, ValueError):  # most boards have none of it
        pass
    return None


def _line(path: str) -> str:
    with open(path) as file:
        return file.readline().strip()


class OnFile:
    """`with OnFile(path):` an OSError inside becomes a PortError that names the file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: "Any", where: object) -> None:
        if isinstance(error, OSError):
            code = {2: "not_found", 13: "denied", 28: "disk_full"}.get(error.errno or 0, "io")
            raise PortError(code, f"expected {self.path} to be at hand, got error {error.errno} ({code})")


class File:
    """One preallocated file: `read`, `write`, `flush`."""

    def __init__(self, path: str) -> None:
        self.path = path
        with OnFile(path):
            self._file: BinaryIO = body.edit(path)

    def read(self, offset: int, length: int) -> bytes:
        with OnFile(self.path):
            self._file.seek(offset)
            return self._file.read(length)

    def write(self, offset: int, data: bytes) -> None:
        view = memoryview(data)
        with OnFile(self.path):
            self._file.seek(offset)
            while len(view):
                view = view[self._file.write(view) :]

    def flush(self) -> None:
        with OnFile(self.path):
            body.flush(self._file)


class Folder:
    """The files of one state folder, by name; what a back end of the slots has is elsewhere, by its absolute path."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._open: dict[str, File] = {}

    def file(self, name: str) -> File:
        if name not in self._open:
            self._open[name] = File(name if name[:1] == "/" else self.path + "/" + name)
        return self._open[name]

    def exists(self, name: str) -> bool:
        try:
            os.stat(self.path + "/" + name)
        except OSError:
            return False
        return True

    def small(self, name: str, bytes_max: int) -> bytes:
        path = self.path + "/" + name
        with OnFile(path):
            size = os.stat(path)[6]
            if size > bytes_max:
                raise PortError("too_big", f"expected at most {bytes_max} bytes in {path}, got {size}")
            with open(path, "rb") as file:
                return file.read()

    def remove(self, name: str) -> None:
        with OnFile(self.path + "/" + name):
            os.remove(self.path + "/" + name)
            body.sync_folder(self.path)

    def make(self, name: str, length: int) -> None:
        """Real zeros, so that no later write runs out of space; there only when whole."""
        self._write_aside(name, length, b"")

    def replace(self, name: str, data: bytes) -> None:
        self._write_aside(name, 0, data)

    def _write_aside(self, name: str, zeros: int, data: bytes) -> None:
        path = self.path + "/" + name
        with OnFile(path):
            with open(path + ".new", "wb") as file:
                while zeros:
                    zeros -= file.write(bytes(min(zeros, ZEROS_BYTES)))
                file.write(data)
                body.flush(file)
            os.rename(path + ".new", path)
            body.sync_folder(self.path)

    def make_folder(self) -> None:
        """One level; its parent must be there."""
        if not self.exists("."):
            with OnFile(self.path):
                os.mkdir(self.path)
                body.sync_folder(self.path)
