"""The state folder: identity/, cores/<id>/, owner/, shards/, ota/, logs/; folders 0700, files 0600.

Every write is old or new, never neither (Files.write_atomic). What is not here: shard bytes
(agent/service/slabs.py) and logs (agent/service/journal.py). Bounds: CORES_MAX cores, RECORD_BYTES_MAX a record.
"""

from agent import settings
from agent.errors import LimitError, PortError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.port import contract

FOLDERS = ("identity", "cores", "owner", "shards", "ota", "logs")
RECORD_BYTES_MAX = 8192


class Identity:
    """The device's P-256 key. `device_id`: first 16 hex digits of SHA-256 of the public point."""

    def __init__(self, scalar: int, public: bytes, device_id: str) -> None:
        self.scalar = scalar
        self.public = public
        self.device_id = device_id


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
        """Make what is missing and hold the folder. Raises PortError ("state_in_use", "denied", ...)."""
        self._files.make_folder(self.folder)
        self._lock = self._files.lock(self.folder)
        for name in FOLDERS:
            self._files.make_folder(self.path(name))

    def close(self) -> None:
        """Let the folder go; the end of the process does it too."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.close()  # type: ignore[attr-defined]

    def _read_record(self, name: str) -> "dict[str, Any] | None":
        try:
            data = self._files.read(self.path(name), RECORD_BYTES_MAX)
        except PortError as error:
            if error.code == "not_found":
                return None
            raise
        record = self._codec.decode(data)
        if not isinstance(record, dict):
            raise UsageError("state", f"{self.path(name)} holds no record; restore it or run: corelet reset")
        return record

    def _write_record(self, name: str, record: "dict[str, Any]") -> None:
        self._files.write_atomic(self.path(name), self._codec.encode(record))

    def next_boot(self) -> int:
        """The number of this start, one more than the last; durable before it is used."""
        record = self._read_record("identity/boot.cbor") or {"boot": 0}
        boot: int = record["boot"] + 1
        self._write_record("identity/boot.cbor", {"boot": boot})
        return boot

    def read_settings(self) -> "dict[str, Any]":
        try:
            return settings.parse(self._files.read(self.path("owner/settings.json"), settings.SETTINGS_BYTES_MAX))
        except PortError as error:
            if error.code == "not_found":
                return settings.defaults()
            raise

    def write_settings(self, values: "dict[str, Any]") -> None:
        self._files.write_atomic(self.path("owner/settings.json"), settings.encode(values))

    def identity(self, load_crypto: object) -> Identity:
        """The key, made at the first call. `load_crypto` is called only when it must be made or hashed."""
        record = self._read_record("identity/device.cbor")
        if record is None:
            record = new_identity(load_crypto())  # type: ignore[operator]
            self._write_record("identity/device.cbor", record)
        return Identity(int.from_bytes(record["scalar"], "big"), record["public"], record["id"])

    def read_counters(self) -> "dict[str, Any]":
        """Pairing attempts (agent/core/pairing/verifier.py); {} at first."""
        return self._read_record("identity/pairing.cbor") or {}

    def write_counters(self, counters: "dict[str, Any]") -> None:
        self._write_record("identity/pairing.cbor", counters)

    def core_ids(self) -> list[str]:
        return sorted([name for name in self._files.list(self.path("cores")) if len(name) == 16])

    def core(self, core_id: str) -> "dict[str, Any] | None":
        """What pairing left: core, name, ca, cert, brokers, signing_key, link_secret, ceilings."""
        return self._read_record("cores/" + core_id + "/core.cbor")

    def save_pending(self, bundle: "dict[str, Any]", link_secret: bytes) -> None:
        """Kept in memory only: a power cut before `commit_pending` is a roll-back."""
        ids = self.core_ids()
        if bundle["core"] not in ids and len(ids) >= settings.CORES_MAX:
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
        self._pending = None
        return core_id

    def drop_pending(self) -> None:
        self._pending = None

    def remove_core(self, core_id: str) -> None:
        """Raises UsageError("core") when this device does not belong to it."""
        if core_id not in self.core_ids():
            known = ", ".join(self.core_ids()) or "none"
            raise UsageError("core", f"this device does not belong to core '{core_id}'; it belongs to: {known}")
        self._files.remove_tree(self.path("cores/" + core_id))

    def reset(self) -> None:
        """Identity, cores and shards go; the owner's settings, logs and boot count stay."""
        self._pending = None
        for core_id in self.core_ids():
            self._files.remove_tree(self.path("cores/" + core_id))
        for name in self._files.list(self.path("shards")):
            self._files.remove(self.path("shards/" + name))
        for name in ("identity/device.cbor", "identity/pairing.cbor"):
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
