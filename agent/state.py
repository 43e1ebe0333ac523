"""The state folder: identity/, cores/<id>/, owner/, shards/, ota/, logs/; folders 0700, files 0600.

Every change is old or new, never neither: a record by Files.write_atomic, a reset by a mark that `open` follows up.
A record is CBOR and its CRC-32, so that a damaged one is refused, with its name, and never half believed.
What is not here: shard bytes (agent/service/slabs.py) and logs (agent/service/journal.py).
Bounds: CORES_MAX cores, RECORD_BYTES_MAX a record.
"""

from binascii import crc32
from collections import namedtuple

from agent.errors import LimitError, PeerError, PortError, UsageError

if False:
    from typing import Any

    from agent.port import contract

FOLDERS = ("identity", "cores", "owner", "shards", "ota", "logs")
RECORD_BYTES_MAX = 8192
CORES_MAX = 4
CORE_ID_CHARS = 16
BOOT, KEY, COUNTERS = "identity/boot.cbor", "identity/device.cbor", "identity/pairing.cbor"
RESET_MARK = "identity/reset"  # while it exists, the state is to be forgotten


# The device's P-256 key. `device_id`: first 16 hex digits of SHA-256 of the public point.
Identity = namedtuple("Identity", ("scalar", "public", "device_id"))


class State:
    """One device's folder, held by this process alone between `open` and its end."""

    def __init__(self, files: "contract.Files", codec: "contract.Codec", folder: str) -> None:
        self._files = files
        self._codec = codec
        self.folder = folder
        self._lock: object = None
        self._pending: dict[str, Any] | None = None

    def path(self, name: str) -> str:
        return self.folder + "/" + name

    def open(self) -> None:
        """Make what is missing, hide it from other users, hold it. Raises PortError ("state_in_use", "denied", ...)."""
        self._files.make_folder(self.folder)
        self._files.make_private(self.folder)
        self._lock = self._files.lock(self.folder)
        for name in FOLDERS:
            self._files.make_folder(self.path(name))
            self._files.make_private(self.path(name))
        if self._files.exists(self.path(RESET_MARK)):
            self._forget()

    def close(self) -> None:
        """Let the folder go; the end of the process does it too."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.close()  # type: ignore[attr-defined]

    def _read_record(self, name: str) -> "dict[str, Any] | None":
        """None when there is none. UsageError("state") with the file's name for a damaged one."""
        try:
            data = self._files.read(self.path(name), RECORD_BYTES_MAX)
            body = data[:-4]
            record = self._codec.decode(body) if crc32(body).to_bytes(4, "big") == data[-4:] else None
        except PortError as error:
            if error.code == "not_found":
                return None
            if error.code != "too_big":
                raise
            record = None
        except PeerError:
            record = None
        if isinstance(record, dict):
            return record
        text = "leave " + name.split("/")[1] if name.startswith("cores/") else "reset"
        raise UsageError("state", f"{self.path(name)} is damaged; restore it from a backup or run: corelet {text}")

    def _write_record(self, name: str, record: "dict[str, Any]") -> None:
        body = self._codec.encode(record)
        self._files.write_atomic(self.path(name), body + crc32(body).to_bytes(4, "big"))

    def next_boot(self) -> int:
        """The number of this start, one more than the last; durable before it is used."""
        record = self._read_record(BOOT) or {"boot": 0}
        boot: int = record["boot"] + 1
        self._write_record(BOOT, {"boot": boot})
        return boot

    def read_settings(self) -> "dict[str, Any]":
        from agent import settings  # of use at the start only

        try:
            return settings.parse(self._files.read(self.path("owner/settings.json"), settings.SETTINGS_BYTES_MAX))
        except PortError as error:
            if error.code == "not_found":
                return settings.defaults()
            raise

    def write_settings(self, values: "dict[str, Any]") -> None:
        from agent import settings

        self._files.write_atomic(self.path("owner/settings.json"), settings.encode(values))

    def identity(self, load_crypto: object) -> Identity:
        """The key, made at the first call. `load_crypto` is called only when it must be made or hashed."""
        record = self._read_record(KEY)
        if record is None:
            record = new_identity(load_crypto())  # type: ignore[operator]
            self._write_record(KEY, record)
        return Identity(int.from_bytes(record["scalar"], "big"), record["public"], record["id"])

    def read_counters(self) -> "dict[str, Any]":
        """Pairing attempts (agent/core/pairing/verifier.py); {} at first."""
        return self._read_record(COUNTERS) or {}

    def write_counters(self, counters: "dict[str, Any]") -> None:
        self._write_record(COUNTERS, counters)

    def core_ids(self) -> list[str]:
        """Those that are ours; a folder without its record is what a power cut left of a pairing or a leave."""
        names = [name for name in self._files.list(self.path("cores")) if len(name) == CORE_ID_CHARS]
        return sorted([name for name in names if self._files.exists(self.path("cores/" + name + "/core.cbor"))])

    def core(self, core_id: str) -> "dict[str, Any] | None":
        """What pairing left: core, name, ca, cert, brokers, signing_key, link_secret, ceilings."""
        return self._read_record("cores/" + core_id + "/core.cbor")

    def save_pending(self, bundle: "dict[str, Any]", link_secret: bytes) -> None:
        """Kept in memory only: a power cut before `commit_pending` is a roll-back."""
        ids = self.core_ids()
        if bundle["core"] not in ids and len(ids) >= CORES_MAX:
            raise LimitError("cores", f"this device already belongs to {len(ids)} cores; run: corelet leave CORE")
        self._pending = dict(bundle)
        self._pending["link_secret"] = link_secret

    def pending(self) -> "dict[str, Any] | None":
        return self._pending

    def commit_pending(self) -> str:
        """Durable from here on; returns the core's id."""
        if self._pending is None:
            raise UsageError("pairing", "no pairing is waiting to be committed")
        core_id: str = self._pending["core"]
        self._files.make_folder(self.path("cores/" + core_id))
        self._write_record("cores/" + core_id + "/core.cbor", self._pending)
        self.set_leaving(core_id, False)
        self._pending = None
        return core_id

    def drop_pending(self) -> None:
        self._pending = None

    def is_leaving(self, core_id: str) -> bool:
        """Its owner wants it to leave this core, once others have what it keeps."""
        return self._files.exists(self.path("cores/" + core_id + "/leaving"))

    def set_leaving(self, core_id: str, is_leaving: bool) -> None:
        path = self.path("cores/" + core_id + "/leaving")
        if is_leaving:
            self._files.write_atomic(path, b"")
        else:
            self._files.remove(path)

    def remove_core(self, core_id: str) -> None:
        """Raises UsageError("core") when this device does not belong to it."""
        if core_id not in self.core_ids():
            known = ", ".join(self.core_ids()) or "none"
            raise UsageError("core", f"this device does not belong to core '{core_id}'; it belongs to: {known}")
        self._files.remove_tree(self.path("cores/" + core_id))

    def plan_reset(self) -> None:
        """Durable when it returns: `reset`, or the next `open`, forgets everything that is to be forgotten."""
        self._files.write_atomic(self.path(RESET_MARK), b"")

    def reset(self) -> None:
        """Identity, cores and shards go; the owner's settings, the logs and the boot count stay."""
        self.plan_reset()
        self._forget()

    def _forget(self) -> None:
        self._pending = None
        for name in self._files.list(self.path("cores")):
            self._files.remove_tree(self.path("cores/" + name))
        for name in self._files.list(self.path("shards")):
            self._files.remove(self.path("shards/" + name))
        try:
            self._read_record(BOOT)
        except UsageError:  # a new identity may count from one again
            self._files.remove(self.path(BOOT))
        for name in (KEY, COUNTERS, RESET_MARK):
            self._files.remove(self.path(name))


def new_identity(crypto: "contract.Crypto") -> "dict[str, Any]":
    """A fresh record {"scalar", "public", "id"}; 64 bits more than the order leave no measurable bias."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    scalar = int.from_bytes(crypto.entropy(40), "big") % (order - 1) + 1
    public = crypto.p256_public(scalar)
    return {"scalar": scalar.to_bytes(32, "big"), "public": public, "id": device_id(crypto, public)}


def device_id(crypto: "contract.Crypto", public: bytes) -> str:
    """First 16 hex digits of SHA-256 of the 65-byte public point."""
    return crypto.sha256(public)[:8].hex()
