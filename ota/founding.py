"""The state of updates of one device, made once: by `-m ota init`, and for the owner by `corelet trust`.

Who a board is in a release: version 5 UUIDs (RFC 9562 section 5.5) of the vendor's domain and, in that name space, of
the board's name, as corelet-maker makes them (tools/maker/identity.py).
"""

import hashlib
import os

from ota import cbor, port, slots, trust
from ota.errors import UsageError

if False:
    from typing import Any

SLOT_BYTES, SLOT_BYTES_MIN, SLOT_BYTES_MAX = 4 << 20, 1 << 16, 32 << 20
VENDOR = "corelet.invalid"  # as corelet-maker's, until there is a domain
DOMAINS = bytes.fromhex("6ba7b8109dad11d180b400c04fd430c8")  # RFC 9562 section 6.6
CORE_ID_BYTES, SALT_BYTES = 8, 16


def uuid5(space: bytes, name: str) -> bytes:
    made = bytearray(hashlib.sha1(space + name.encode()).digest()[:16])  # noqa: S324 (what version 5 says)
    made[6] = made[6] & 0x0F | 0x50
    made[8] = made[8] & 0x3F | 0x80
    return bytes(made)


def settings_of(board: str, domain: str, device: str) -> "dict[str, Any]":
    vendor = uuid5(DOMAINS, domain)
    return {"vendor": vendor, "class": uuid5(vendor, board), "device": device}


def make(path: str, root: bytes, public: bytes, settings: "dict[str, Any]", prepare: "Any" = None) -> int:
    """The version of `root`, the first that is trusted. `public`: of the one core that may order updates and signs
    beacons, b"" = none. `settings`: "vendor" and "class" (16 bytes each), "device" (its name in beacons), perhaps
    "slot_bytes". `prepare(files, settings)`: before anything is written. The state is there once its `settings` are,
    so a cut is made good by the same again. UsageError("state_there")."""
    version: int = trust.first_root(root).version
    made: dict[str, Any] = {"slot_bytes": SLOT_BYTES, "salt": os.urandom(SALT_BYTES)}
    made.update(settings)
    made["core"] = hashlib.sha256(public).digest()[:CORE_ID_BYTES].hex() if public else ""
    size = made["slot_bytes"]
    if not SLOT_BYTES_MIN <= size <= SLOT_BYTES_MAX:
        raise UsageError("usage", f"expected slots of {SLOT_BYTES_MIN} to {SLOT_BYTES_MAX} bytes, got {size}")
    files = port.Folder(path)
    files.make_folder()
    if files.exists("settings"):
        text = f"expected no state of updates in {path}, got one; it is made once, and newer roots come with releases"
        raise UsageError("state_there", text)
    if prepare is not None:
        prepare(files, made)
    if public:
        files.replace("core", public)
    for name, length in (("journal", slots.JOURNAL_BYTES), ("floor", slots.JOURNAL_BYTES), ("a", size), ("b", size)):
        files.make(name, length)
    files.replace("root", root)
    files.replace("settings", cbor.encode(made))
    return version
