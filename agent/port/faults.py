"""errno numbers -> PortError with a sentence that says what to do. Shared by both bodies of the port.

Not a place for policy: nothing is retried here. Numbers up to 34 are the same on every Linux; the
network ones differ on MIPS, so they are taken from `errno` where both interpreters have them and
listed twice (others, MIPS) where MicroPython has not.
"""

import errno
import hashlib

from agent.errors import PortError

NO_ENTRY = 2
NO_SPACE = (28, 122, 1133)  # ENOSPC, EDQUOT
BROKEN_PIPE = 32
MANY_FILES = (23, 24)
NET_UNREACHABLE = (100, 101, 127, 128, 64)  # ENETDOWN, ENETUNREACH, ENONET
NO_ADDRESS = (99, 126)
NO_FAMILY = (97, 124)
NO_MEMORY = (12, 105, 132)

FILE_FAULTS = (
    (NO_SPACE, "disk_full", "The disk is full: {0} was not written. Free some space, then try again."),
    ((30,), "read_only", "The disk is read-only: {0} was not written. Make it writable or choose another folder."),
    ((1, 13), "denied", "Permission denied for {0}. Start as the user who owns it, or choose another folder."),
    ((NO_ENTRY,), "not_found", "{0} does not exist. Check the name."),
    ((17, 20, 21), "io", "{0}: a file stands where a folder belongs, or a folder where a file does. Move it away."),
    (MANY_FILES, "stopped", "{0}: this machine is out of file descriptors. Close some connections, or allow more."),
    ((5,), "io", "The disk failed at {0} (input/output error). Check the medium and the kernel log."),
)

NET_FAULTS = (
    ((errno.EADDRINUSE,), "port_busy", "{0} is in use by another program. Stop that program or choose another port."),
    ((1, 13), "denied", "Permission denied for {0}. Choose a port above 1023 or start with the right to use it."),
    ((errno.ECONNREFUSED,), "refused", "{0} refused the connection. Check that the service runs there."),
    ((errno.ETIMEDOUT,), "timeout", "{0} did not answer in time. Check the address and the network."),
    (
        (errno.EHOSTUNREACH,) + NET_UNREACHABLE,
        "unreachable",
        "{0} cannot be reached from here. Check the network and the address.",
    ),
    (NO_ADDRESS + NO_FAMILY, "unreachable", "{0} is not to be had: this machine has no such address."),
    ((NO_ENTRY,), "refused", "{0} does not exist. Check that the program runs."),
    (
        (errno.ECONNRESET, errno.ECONNABORTED, errno.ENOTCONN, errno.EBADF, BROKEN_PIPE),
        "closed",
        "{0} closed the connection.",
    ),
    (MANY_FILES + NO_MEMORY, "busy", "{0}: this machine is out of file descriptors or memory for sockets."),
)


def _fault(table: "tuple[tuple[tuple[int, ...], str, str], ...]", number: int, what: str) -> PortError:
    for numbers, code, text in table:
        if number in numbers:
            return PortError(code, text.format(what))
    return PortError("io", f"{what} failed with error {number} of the operating system.")


def file_fault(error: OSError, path: str) -> PortError:
    """Codes: disk_full, read_only, denied, not_found, stopped (nothing was done, nothing is wrong there), io."""
    return _fault(FILE_FAULTS, error.errno or 0, path)


class OnFile:
    """`with faults.OnFile(path):` makes an OSError inside a PortError about that file."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, place: object) -> None:
        if isinstance(error, OSError):
            raise file_fault(error, self._path)


def net_fault(error: OSError, what: str) -> PortError:
    """`what` such as "Port 7411". Codes: port_busy, denied, refused, timeout, unreachable, closed, busy, io."""
    return _fault(NET_FAULTS, error.errno or 0, what)


def closed(what: str) -> PortError:
    return PortError("closed", f"{what} closed the connection.")


def in_use(folder: str) -> PortError:
    return PortError("state_in_use", f"{folder} is in use by another process; stop it or take another --state (--dir).")


def lock_name(device: int, inode: int) -> bytes:
    """Abstract socket name that stands for a folder, the same on both interpreters (32 bits survive on 32-bit ones)."""
    text = f"corelet lock {device & 0xFFFFFFFF} {inode & 0xFFFFFFFF}"
    return b"corelet-" + hashlib.sha256(text.encode()).digest()[:16].hex().encode()
