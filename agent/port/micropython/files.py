"""Files of MicroPython's Unix port (contract.Files).

`flush()` of a file IS fsync there, also of a folder opened for reading (tests/e2e proves it with strace).
New files and folders are made by way of privacy.py, because there is neither umask nor chmod.
"""

import os
import socket
import struct

from agent.errors import PortError, UsageError
from agent.port import faults
from agent.port.micropython import privacy

if False:
    from builtins import list as List  # `list` is a function of this module
    from typing import BinaryIO, Iterable, Iterator

FOLDER, FILE = 0x4000, 0x8000
ZEROS_BYTES = 512
_held: "List[Lock]" = []  # a lock whose owner drops it must not be collected


def _make_file(path: str) -> None:
    """An empty file with mode 0600, unless it exists."""
    if not privacy.is_private() and not exists(path):
        privacy.shell(": >> " + privacy.quote(path))


def folder_of(path: str) -> str:
    return path.rpartition("/")[0] or ("/" if path.startswith("/") else ".")


def _sync_folder(path: str) -> None:
    with open(folder_of(path), "rb") as folder:
        folder.flush()


def read(path: str, bytes_max: int) -> bytes:
    known = size(path)  # 0 for the files of /proc; read(n) allocates n bytes at once
    if known > bytes_max:
        raise PortError("too_big", f"{path} is larger than {bytes_max} bytes.")
    with faults.OnFile(path), open(path, "rb") as file:
        data = file.read((known or bytes_max) + 1)
    if len(data) > bytes_max:
        raise PortError("too_big", f"{path} is larger than {bytes_max} bytes.")
    return data


def _write_all(file: "BinaryIO", data: bytes) -> None:
    view = memoryview(data)
    while len(view):
        view = view[file.write(view) or 0 :]


def write_pieces(path: str, pieces: "Iterable[bytes]", hole: int = 0) -> None:
    """Into `path`.new; flushed, renamed, folder flushed. `hole`: so many zero bytes before them."""
    aside = path + ".new"
    with faults.OnFile(path):
        remove(aside)  # left by a power cut, or a link to elsewhere
        _make_file(aside)
        try:
            with open(aside, "wb") as file:
                file.seek(hole)
                for piece in pieces:
                    _write_all(file, piece)
                file.flush()
        except OSError:
            if exists(aside):
                os.remove(aside)
            raise
        os.rename(aside, path)
        _sync_folder(path)


def write_atomic(path: str, data: bytes) -> None:
    write_pieces(path, (data,))


def append(path: str, data: bytes) -> None:
    with faults.OnFile(path):
        _make_file(path)
        with open(path, "ab") as file:
            _write_all(file, data)


def _kind(path: str) -> int:
    """FOLDER, FILE, another number of that kind, or 0 for nothing there. Follows links."""
    try:
        return os.stat(path)[0] & 0xF000
    except OSError:
        return 0


def exists(path: str) -> bool:
    return _kind(path) != 0


def is_private(path: str) -> bool:
    with faults.OnFile(path):
        return os.stat(path)[0] & 0o077 == 0


def size(path: str) -> int:
    with faults.OnFile(path):
        return os.stat(path)[6]


def list(path: str) -> "List[str]":  # noqa: A001 (the contract's word)
    with faults.OnFile(path):
        return sorted(os.listdir(path))


def make_folder(path: str) -> None:
    if _kind(path) == FOLDER:
        return
    if not privacy.is_private():
        privacy.shell("mkdir -p -- " + privacy.quote(path))
    with faults.OnFile(path):
        _make_folders(path.rstrip("/"))


def _make_folders(path: str) -> None:
    folder = folder_of(path)
    if _kind(folder) != FOLDER:
        _make_folders(folder)
    if _kind(path) != FOLDER:
        os.mkdir(path)
    _sync_folder(path)


def make_private(path: str) -> None:
    from agent.port import folders  # here and in lock: of use at the start only (heap.ON_DEMAND)

    with faults.OnFile(path):
        if folders.is_open(path, privacy.user()):
            privacy.shell("chmod 700 -- " + privacy.quote(path))
        if os.stat(path)[0] & 0o077:
            raise PortError("denied", f"{path} is open to other users; make it private with: chmod 700 {path}")


def remove(path: str) -> None:
    try:
        os.remove(path)
        _sync_folder(path)
    except OSError as error:
        if error.errno != faults.NO_ENTRY:
            raise faults.file_fault(error, path)


def _remove_entries(path: str) -> None:
    for entry in [(entry[0], entry[1]) for entry in os.ilistdir(path)]:  # type: ignore[attr-defined]
        inner = path + "/" + entry[0]
        if entry[1] == FOLDER:
            _remove_entries(inner)
            os.rmdir(inner)
        else:
            os.remove(inner)


def remove_tree(path: str) -> None:
    with faults.OnFile(path):
        if _kind(path) == FOLDER:
            _remove_entries(path)
            os.rmdir(path)
            _sync_folder(path.rstrip("/"))


def rename(old: str, new: str) -> None:
    with faults.OnFile(old):
        os.rename(old, new)
        _sync_folder(new)
        if folder_of(old) != folder_of(new):
            _sync_folder(old)


def free_bytes(path: str) -> int:
    with faults.OnFile(path):
        info = os.statvfs(path)
    return info[1] * info[4]


def total_bytes(path: str) -> int:
    with faults.OnFile(path):
        info = os.statvfs(path)
    return info[1] * info[2]


class Slab:
    """contract.Slab on one file object (every write is a system call); the length is fixed."""

    def __init__(self, path: str, file: "BinaryIO") -> None:
        self.path = path
        self.length = size(path)
        self._file = file

    def read(self, offset: int, length: int) -> bytes:
        with faults.OnFile(self.path):
            self._file.seek(offset)
            return self._file.read(length)

    def readinto(self, offset: int, view: memoryview) -> None:
        with faults.OnFile(self.path):
            self._file.seek(offset)
            if self._file.readinto(view) != len(view):  # type: ignore[attr-defined]
                raise PortError("io", f"{self.path} ended early.")

    def write(self, offset: int, data: bytes) -> None:
        if offset < 0 or offset + len(data) > self.length:
            raise UsageError("slab_range", f"{len(data)} bytes at {offset} do not fit a slab of {self.length} bytes.")
        with faults.OnFile(self.path):
            self._file.seek(offset)
            _write_all(self._file, data)

    async def flush(self) -> None:
        """fsync; the loop waits, because there are no safe threads."""
        with faults.OnFile(self.path):
            self._file.flush()

    def close(self) -> None:
        self._file.close()


def create_slab(path: str, length: int, is_sparse: bool = False) -> Slab:
    if exists(path):
        raise UsageError("slab_exists", f"{path} exists already; a slab is made once.")
    if is_sparse:
        write_pieces(path, (b"\0",), length - 1)
    else:
        write_pieces(path, _zeros(length))
    return open_slab(path)


def _zeros(length: int) -> "Iterator[bytes]":
    zeros = bytes(ZEROS_BYTES)
    for _ in range(length // ZEROS_BYTES):
        yield zeros
    yield zeros[: length % ZEROS_BYTES]


def open_slab(path: str) -> Slab:
    with faults.OnFile(path):
        return Slab(path, open(path, "r+b"))


class Lock:
    """Held until `close()` or the end of the process."""

    def __init__(self, name: socket.socket) -> None:
        self._name = name

    def close(self) -> None:
        self._name.close()
        if self in _held:
            _held.remove(self)


def lock(folder: str) -> Lock:
    """An abstract Unix socket (see the CPython body)."""
    from agent.port import files as own  # here, because this is that module
    from agent.port import folders

    with faults.OnFile(folder):
        info = os.stat(folder)
    address = struct.pack("@H", 1) + b"\0" + folders.lock_name(own, folder, info[2], info[1])
    name = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        name.bind(address)
    except OSError as error:
        name.close()
        if faults.net_fault(error, folder).code == "port_busy":
            raise faults.in_use(folder)
        raise faults.net_fault(error, folder)
    held = Lock(name)
    _held.append(held)
    return held


def state_folder(app: str) -> str:
    if privacy.process_status("Uid").split()[:1] in (["0"], []):
        return "/var/lib/" + app
    root = os.getenv("XDG_STATE_HOME") or ""
    if root.startswith("/"):
        return root + "/" + app
    home = os.getenv("HOME") or ""
    if not home.startswith("/"):
        raise PortError("not_found", "There is no home folder (HOME is not set); name a state folder with --state.")
    return home + "/.local/state/" + app
