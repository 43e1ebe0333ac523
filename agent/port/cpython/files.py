"""Files of CPython (contract.Files). POSIX only.

The lock is an abstract Unix socket, which MicroPython can hold too, so that both interpreters exclude
each other, and a flock, which also reaches across network namespaces. The kernel drops both with the process.
"""

import fcntl
import os
import socket

from agent.errors import PortError, UsageError
from agent.port import faults, folders
from agent.port.cpython import flusher

if False:
    from builtins import list as List  # `list` is a function of this module
    from collections.abc import Iterable

FLAGS_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
ZEROS_BYTES = 65536


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _sync_folder(path: str) -> None:
    fd = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def read(path: str, bytes_max: int) -> bytes:
    with faults.OnFile(path), open(path, "rb", buffering=0) as file:
        data = bytearray()
        while len(data) <= bytes_max and (piece := file.read(bytes_max + 1 - len(data))):
            data += piece
    if len(data) > bytes_max:
        raise PortError("too_big", f"{path} is larger than {bytes_max} bytes.")
    return bytes(data)


def _open_new(path: str) -> int:
    try:
        return os.open(path, FLAGS_NEW, 0o600)
    except FileExistsError:  # left by a power cut
        os.unlink(path)
        return os.open(path, FLAGS_NEW, 0o600)


def write_pieces(path: str, pieces: "Iterable[bytes]", hole: int = 0) -> None:
    """`path`.new, flushed, renamed to `path`, folder flushed; nothing is left behind when it fails. `hole`: so many
    zero bytes before them."""
    aside = path + ".new"
    with faults.OnFile(path):
        fd = _open_new(aside)
        try:
            os.lseek(fd, hole, os.SEEK_SET)
            for piece in pieces:
                _write_all(fd, piece)
            os.fsync(fd)
        except OSError:
            os.unlink(aside)
            raise
        finally:
            os.close(fd)
        os.replace(aside, path)
        _sync_folder(path)


def write_atomic(path: str, data: bytes) -> None:
    write_pieces(path, [data])


def append(path: str, data: bytes) -> None:
    with faults.OnFile(path):
        fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            _write_all(fd, data)
        finally:
            os.close(fd)


def exists(path: str) -> bool:
    return os.path.exists(path)


def is_private(path: str) -> bool:
    with faults.OnFile(path):
        return os.stat(path).st_mode & 0o077 == 0


def size(path: str) -> int:
    with faults.OnFile(path):
        return os.stat(path).st_size


def list(path: str) -> "List[str]":  # noqa: A001 (the contract's word)
    with faults.OnFile(path):
        return sorted(os.listdir(path))


def make_folder(path: str) -> None:
    with faults.OnFile(path):
        parent = os.path.dirname(path.rstrip("/"))
        if parent and not os.path.isdir(parent):
            make_folder(parent)
        if not os.path.isdir(path):
            os.mkdir(path, 0o700)
            _sync_folder(path.rstrip("/"))


def make_private(path: str) -> None:
    with faults.OnFile(path):
        if folders.is_open(path, os.geteuid()):
            os.chmod(path, 0o700)


def remove(path: str) -> None:
    with faults.OnFile(path):
        if os.path.lexists(path):
            os.unlink(path)
            _sync_folder(path)


def _remove_entries(path: str) -> None:
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                _remove_entries(entry.path)
                os.rmdir(entry.path)
            else:
                os.unlink(entry.path)


def remove_tree(path: str) -> None:
    with faults.OnFile(path):
        if os.path.isdir(path) and not os.path.islink(path):
            _remove_entries(path)
            os.rmdir(path)
            _sync_folder(path.rstrip("/"))


def rename(old: str, new: str) -> None:
    with faults.OnFile(old):
        os.replace(old, new)
        _sync_folder(new)
        if os.path.dirname(old) != os.path.dirname(new):
            _sync_folder(old)


def free_bytes(path: str) -> int:
    with faults.OnFile(path):
        info = os.statvfs(path)
    return info.f_bavail * info.f_frsize


def total_bytes(path: str) -> int:
    with faults.OnFile(path):
        info = os.statvfs(path)
    return info.f_blocks * info.f_frsize


class Slab:
    """contract.Slab on one descriptor; the length is fixed."""

    def __init__(self, path: str, fd: int) -> None:
        self.path = path
        self.length = os.fstat(fd).st_size
        self._fd = fd

    def read(self, offset: int, length: int) -> bytes:
        with faults.OnFile(self.path):
            data = os.pread(self._fd, length, offset)
            while len(data) < length and (piece := os.pread(self._fd, length - len(data), offset + len(data))):
                data += piece
        return data

    def readinto(self, offset: int, view: memoryview) -> None:
        with faults.OnFile(self.path):
            if os.preadv(self._fd, [view], offset) != len(view):
                raise PortError("io", f"{self.path} ended early.")

    def write(self, offset: int, data: bytes) -> None:
        if offset < 0 or offset + len(data) > self.length:
            raise UsageError("slab_range", f"{len(data)} bytes at {offset} do not fit a slab of {self.length} bytes.")
        view = memoryview(data)
        with faults.OnFile(self.path):
            while view:
                count = os.pwrite(self._fd, view, offset)
                offset += count
                view = view[count:]

    async def flush(self) -> None:
        with faults.OnFile(self.path):
            await flusher.sync(self._fd)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def create_slab(path: str, length: int, is_sparse: bool = False) -> Slab:
    if os.path.exists(path):
        raise UsageError("slab_exists", f"{path} exists already; a slab is made once.")
    if is_sparse:
        write_pieces(path, [b"\0"], length - 1)
        return open_slab(path)
    zeros = bytes(ZEROS_BYTES)
    # A list of references to one block: real zeros, not a hole, so that later writes cannot run out of space.
    write_pieces(path, [zeros] * (length // ZEROS_BYTES) + [zeros[: length % ZEROS_BYTES]])
    return open_slab(path)


def open_slab(path: str) -> Slab:
    with faults.OnFile(path):
        return Slab(path, os.open(path, os.O_RDWR | os.O_CLOEXEC))


class Lock:
    """Held until `close()` or the end of the process."""

    def __init__(self, name: socket.socket, fd: int) -> None:
        self._name = name
        self._fd = fd

    def close(self) -> None:
        self._name.close()
        os.close(self._fd)
        if self in _held:
            _held.remove(self)


_held: "List[Lock]" = []  # so that a caller who drops the lock does not free it


def lock(folder: str) -> Lock:
    """The name is the folder's own (folders.py), so that two spellings of one path meet."""
    from agent.port import files as own  # here, because this is that module

    with faults.OnFile(folder):
        info = os.stat(folder)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    name = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        name.bind(b"\0" + folders.lock_name(own, folder, info.st_dev, info.st_ino))
    except (OSError, PortError) as error:
        name.close()
        os.close(fd)
        if isinstance(error, PortError):
            raise
        raise faults.in_use(folder) from error
    held = Lock(name, fd)
    _held.append(held)
    return held


def state_folder(app: str) -> str:
    if os.geteuid() == 0:
        return "/var/lib/" + app
    root = os.environ.get("XDG_STATE_HOME", "")
    if root.startswith("/"):
        return root + "/" + app
    home = os.environ.get("HOME", "")
    if not home.startswith("/"):
        raise PortError("not_found", "There is no home folder (HOME is not set); name a state folder with --state.")
    return home + "/.local/state/" + app
