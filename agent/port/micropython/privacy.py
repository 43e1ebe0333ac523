"""Modes of new files on MicroPython's Unix port, which has neither umask nor chmod: a shell with umask 077 makes
the inode. When the launcher has set that umask already, no shell is needed.
"""

import os

from agent.errors import UsageError

_umask: "list[int]" = []


def process_status(key: str) -> str:
    """One field of /proc/self/status; "" when absent."""
    try:
        with open("/proc/self/status") as file:
            for line in file:
                if line.startswith(key + ":"):
                    return line[len(key) + 1 :].strip()
    except OSError:
        return ""
    return ""


def user() -> int:
    """The effective user id; without /proc there is no way to know, and root is who can be without it."""
    return int((process_status("Uid").split() + ["0", "0"])[1])


def is_private() -> bool:
    """Whether our umask already hides new files from others (it cannot change while we run)."""
    if not _umask:
        _umask.append(int(process_status("Umask") or "0", 8))
    return _umask[0] & 0o77 == 0o77


def quote(path: str) -> str:
    """For a shell: nothing is special between single quotes but the quote itself."""
    if "\0" in path:
        raise UsageError("path", "A path cannot contain a NUL character.")
    return "'" + path.replace("'", "'\\''") + "'"


def shell(command: str) -> None:
    """Run under umask 077. Errors show when the caller uses what should now be there."""
    os.system("umask 077; { " + command + "; } 2>/dev/null")  # noqa: S605
