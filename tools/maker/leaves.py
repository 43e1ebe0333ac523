"""Which leaf of an HSS/LMS key is the next: one that signs twice gives the key away (RFC 8554 section 9.2).

The state is a file KEY.leaves: two records, written alternately and flushed, so that a torn write leaves the other one.
A leaf is counted as used, on the disk, before it signs: a process that is killed loses a leaf and never uses one twice.
One process at a time holds the lock.

Where it can know, it refuses what is not the one state of this key: a copy (the record names its inode and machine), an
older state put back in place (a witness in the user's own state folder has the highest count), and another key's (each
record has a MAC by a secret of the key). It cannot know when a whole machine is set back, witness included: never sign
in a virtual machine that has snapshots. `claim` is the way out for a key that was moved.
"""

import fcntl
import hashlib
import hmac
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ota.errors import LimitError, TrustError, UsageError
from tools.maker import files

MAGIC = b"CLLEAF1\n"
RECORD = ">8s16sQII"
BLOCK_BYTES = 4096  # what a disk writes at once
MAC_BYTES = 32
NOWHERE = bytes(16)


class State(NamedTuple):
    """`machine`, `inode`: the place of the file. `following`: the first leaf that was never used."""

    machine: bytes
    inode: int
    height: int
    following: int

    @property
    def left(self) -> int:
        return (1 << self.height) - self.following


class Leaves:
    """One open state under its lock. `key`: a secret of the private key. `name`: its public key, hashed."""

    def __init__(self, path: Path, key: bytes, name: str) -> None:
        self._path = path
        self._key = key
        self._witness = witness_folder() / name

    def create(self, height: int) -> None:
        files.check_new(self._path)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            self._fill(descriptor, State(machine(), os.fstat(descriptor).st_ino, height, 0))
        finally:
            os.close(descriptor)
        _flush_folder(self._path.parent)

    @contextmanager
    def locked(self) -> Iterator[int]:
        """A descriptor of the state; TrustError("leaf_busy") where another process signs with this key."""
        files.read_secret(self._path, 2 * BLOCK_BYTES)
        descriptor = os.open(self._path, os.O_RDWR)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                text = "expected nobody else to sign with this key now, got another process that does: try again later"
                raise TrustError("leaf_busy", text) from None
            yield descriptor
        finally:
            os.close(descriptor)

    def reserve(self, descriptor: int) -> int:
        """A leaf that is used from now on, whatever happens; TrustError("leaf_state"), LimitError("leaves")."""
        state = self._current(descriptor)
        if (state.machine, state.inode) != (machine(), os.fstat(descriptor).st_ino):
            raise _not_ours(f"a copy of it in {self._path}, or one that was moved", self._path)
        seen = self._witnessed()
        if seen > state.following:
            raise _not_ours(f"an older one: leaf {state.following} is next in it, {seen} were used", self._path)
        if state.left <= 0:
            text = f"expected a key with leaves left, got one whose {1 << state.height} are used: make a new key, and"
            raise LimitError("leaves", text + " the next root with it (keys rotate)")
        after = state._replace(following=state.following + 1)
        self._write(descriptor, after)
        self._remember(after)
        return state.following

    def claim(self, descriptor: int, first: int) -> State:
        """Say that this is the only state from now on, and that no leaf from `first` on was ever used."""
        state = self._current(descriptor)
        least = max(state.following, self._witnessed())
        if not least <= first <= 1 << state.height:
            text = f"expected a leaf from {least}, the first that may be unused, to {1 << state.height}, got {first}"
            raise UsageError("leaf", text)
        made = State(machine(), os.fstat(descriptor).st_ino, state.height, first)
        self._fill(descriptor, made)
        self._remember(made)
        return made

    def _current(self, descriptor: int) -> State:
        found = [state for state in self._states(descriptor) if state is not None]
        if not found:
            raise _not_ours("none that is whole", self._path)
        return max(found, key=lambda state: state.following)

    def _states(self, descriptor: int) -> Iterator[State | None]:
        size = struct.calcsize(RECORD)
        for number in range(2):
            data = os.pread(descriptor, size + MAC_BYTES, number * BLOCK_BYTES)
            if data[:8] == MAGIC and hmac.compare_digest(self._mac(data[:size]), data[size:]):
                yield State(*struct.unpack(RECORD, data[:size])[1:])

    def _mac(self, record: bytes) -> bytes:
        return hmac.digest(self._key, record, "sha256")

    def _write(self, descriptor: int, state: State) -> None:
        record = struct.pack(RECORD, MAGIC, *state)
        data = record + self._mac(record)
        if os.pwrite(descriptor, data, (state.following & 1) * BLOCK_BYTES) != len(data):
            raise _not_ours("one that could not be written whole", self._path)
        os.fsync(descriptor)

    def _fill(self, descriptor: int, state: State) -> None:
        """Both records."""
        os.ftruncate(descriptor, 2 * BLOCK_BYTES)
        for number in range(2):
            record = struct.pack(RECORD, MAGIC, *state)
            os.pwrite(descriptor, record + self._mac(record), number * BLOCK_BYTES)
        os.fsync(descriptor)

    def _witnessed(self) -> int:
        """The highest count that this user saw, 0 where none was."""
        try:
            descriptor = os.open(self._witness, os.O_RDONLY)
        except FileNotFoundError:
            return 0
        try:
            return max([state.following for state in self._states(descriptor) if state is not None], default=0)
        finally:
            os.close(descriptor)

    def _remember(self, state: State) -> None:
        """After the state, so that a cut between the two leaves a witness that is behind and not one that accuses."""
        self._witness.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(self._witness, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            self._write(descriptor, State(NOWHERE, 0, state.height, state.following))
        finally:
            os.close(descriptor)
        _flush_folder(self._witness.parent)


def peek(path: Path) -> State:
    """What it says of itself, for people: without the key nothing of it is proven."""
    data = files.read_secret(path, 2 * BLOCK_BYTES)
    size = struct.calcsize(RECORD)
    found = [data[start : start + size] for start in (0, BLOCK_BYTES) if data[start : start + 8] == MAGIC]
    states = [State(*struct.unpack(RECORD, record)[1:]) for record in found if len(record) == size]
    if not states:
        raise _not_ours("none that is whole", path)
    return max(states, key=lambda state: state.following)


def machine() -> bytes:
    """Which machine this is, not to be told from the state: zeros where it has no name."""
    try:
        name = Path("/etc/machine-id").read_bytes().strip()
    except OSError:
        return NOWHERE
    return hashlib.sha256(b"corelet-maker" + name).digest()[:16] if name else NOWHERE


def witness_folder() -> Path:
    """$CORELET_MAKER_STATE, else /var/lib/corelet-maker as root, else the user's own state folder."""
    if os.environ.get("CORELET_MAKER_STATE"):
        return Path(os.environ["CORELET_MAKER_STATE"]) / "leaves"
    if os.geteuid() == 0:
        return Path("/var/lib/corelet-maker/leaves")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "corelet-maker/leaves"


def _flush_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _not_ours(came: str, path: Path) -> TrustError:
    text = f"expected the one state of this key's leaves, got {came}: sign where the key is used. If it was moved here "
    text += f"for good, and you know the first leaf that was never used: keys claim {path.with_suffix('')} --leaf N"
    return TrustError("leaf_state", text)
