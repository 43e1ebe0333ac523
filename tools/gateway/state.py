"""The core's state folder: where it is, that it is private, that one process has it, and where its socket lies.

Layout: lock, core.sock, registry.sqlite, ca/, broker/, logs/; folders 0700, files 0600. Each way in which the folder
can be unusable is one sentence. Every stop counts as a power cut: the lock is the kernel's, not a file's existence.
"""

import errno
import fcntl
import os
import re
import shlex
import sys
from pathlib import Path

from agent.errors import PortError, UsageError
from agent.port import folders
from tools.gateway.private import write_private

APP = "corelet-core"
SOCKET = "core.sock"
PORT = "port"
UPDATE_PORT = "update-port"
SOCKET_PATH_BYTES_MAX = 100  # sun_path has 108, less room for a suffix
FREE_BYTES_MIN = 1 << 20
COMMAND = re.compile(
    r"(?:[^\s(]*/)?corelet-core ((?:relay (?:key )?|release |rollout |objects --)?[a-z]+(?: [A-Z]+\b)?)"
)


def default_folder() -> Path:
    """/var/lib/corelet-core as root, else the user's own state folder (design section 2)."""
    if os.environ.get("CORELET_CORE_STATE"):
        return Path(os.environ["CORELET_CORE_STATE"])
    if os.geteuid() == 0:
        return Path("/var/lib") / APP
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / APP


def typed(folder: Path, words: str, is_named: bool = False) -> str:
    """A command of ours for the core in `folder`, as it has to be typed; `is_named`: by a user whose default is not
    ours."""
    is_default = folder.absolute() == default_folder().absolute() and not is_named
    state = "" if is_default else " --state " + shlex.quote(str(folder))
    return f"{program()} {words}{state}"


def program() -> str:
    """How the command is typed here: by its name where a shell finds it, else by its path."""
    folder, _, name = sys.argv[0].rpartition("/")
    is_found = name != "corelet-core" or folder in os.environ.get("PATH", "").split(":")
    return "corelet-core" if is_found else shlex.quote(sys.argv[0])


def as_typed(text: str, folder: Path | None) -> str:
    """A sentence of ours that names a command, with that command as it has to be typed here; `folder`: --state."""

    def full(found: re.Match[str]) -> str:
        state = f" --state {shlex.quote(str(folder))}" if folder and "--state" not in text else ""
        return f"{program()} {found[1]}{state}"

    return COMMAND.sub(full, text)


def said(error: OSError, path: Path) -> PortError:
    """The operating system's refusal as a sentence with a way out."""
    if error.errno == errno.ENOSPC:
        return PortError("disk_full", f"the disk that holds {path} is full: free some space there and start again")
    if error.errno == errno.EROFS:
        return PortError("read_only", f"{path} is on a read-only disk: remount it writable or choose --state FOLDER")
    if error.errno in (errno.EACCES, errno.EPERM):
        return PortError("denied", f"{path} belongs to another user: run as that user (sudo?) or choose --state FOLDER")
    return PortError("io", f"{path} cannot be used ({error.strerror}): choose another with --state FOLDER")


class State:
    """Opened and locked until the process ends. PortError: "disk_full", "read_only", "denied", "io", "state_in_use"."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # A folder that was made by hand is made private; parents are left as they are.
            if folders.is_open(str(self.folder), os.geteuid()):
                self.folder.chmod(0o700)
            (self.folder / "logs").mkdir(mode=0o700, exist_ok=True)
            self._lock = os.open(self.folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            self._take()
            self._try_to_write()
        except OSError as error:
            raise said(error, self.folder) from error

    def _take(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(self._lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._lock)
            text = (
                f"a core is already running on {self.folder} (process {owner}): "
                "use it as it is, stop it first, or choose another folder with --state"
            )
            raise PortError("state_in_use", text) from error
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def _try_to_write(self) -> None:
        """Find a full disk now, in one sentence, and not in the middle of a pairing."""
        room = os.statvfs(self.folder)
        if room.f_bavail * room.f_frsize < FREE_BYTES_MIN:
            raise OSError(errno.ENOSPC, "No space left on device")

    def port(self, name: str = PORT) -> int:
        """Of the broker (or another listener) at the last start; 0 before the first."""
        try:
            number = int((self.folder / name).read_text())
        except FileNotFoundError:
            return 0
        except (OSError, ValueError) as error:
            what = {PORT: "the broker's port", UPDATE_PORT: "the port for updates"}[name]
            text = f"{self.folder / name} is damaged: write {what} into it, or start with --{name} N"
            raise PortError("port_file", text) from error
        return number

    def keep_port(self, number: int, name: str = PORT) -> None:
        try:
            write_private(self.folder / name, str(number).encode())
        except OSError as error:
            raise said(error, self.folder) from error

    @property
    def socket_path(self) -> Path:
        """Where the core listens for its own command line."""
        return socket_path(self.folder)

    def close(self) -> None:
        """Give the folder back."""
        os.close(self._lock)


def socket_path(folder: Path) -> Path:
    """UsageError("state_path") when the path is longer than a Unix socket's may be."""
    path = folder.absolute() / SOCKET
    if len(os.fsencode(path)) > SOCKET_PATH_BYTES_MAX:
        text = (
            f"{folder} is too long a path for a socket (over {SOCKET_PATH_BYTES_MAX} bytes): choose a shorter --state"
        )
        raise UsageError("state_path", text)
    return path
