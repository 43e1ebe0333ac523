"""The port's contract. Read by people and type checkers; never imported at run time.

Rules for both bodies: addresses are `(host: str, port: int)`; errors of the world are PortError with one of the codes
named here; times are int milliseconds of a clock that never wraps.
"""

from typing import Any, Protocol

Address = tuple[str, int]


class Clock(Protocol):
    def now_ms(self) -> int:
        """Monotonic milliseconds; never wraps, never goes back, starts anywhere."""

    def unix_time(self) -> int:
        """Wall clock in seconds; may be wrong (a board without a battery starts in the past). The other: ms."""

    def unix_ms(self) -> int: ...


class Slab(Protocol):  # one preallocated file, written in place
    def read(self, offset: int, length: int) -> bytes: ...
    def readinto(self, offset: int, view: memoryview) -> None: ...  # all of it, else PortError("io")
    def write(self, offset: int, data: bytes) -> None: ...

    async def flush(self) -> None:
        """Return when all earlier writes are on the medium (fdatasync). Other tasks may run meanwhile."""

    def close(self) -> None: ...


class Files(Protocol):
    """Durable small files and slabs. Codes: not_found, disk_full, read_only, denied, stopped, io, state_in_use."""

    def read(self, path: str, bytes_max: int) -> bytes:
        """Whole file; PortError("not_found") or PortError("too_big")."""

    def write_atomic(self, path: str, data: bytes) -> None:
        """Mode 0600. Write aside, flush, rename, flush the folder: old or new, never neither."""

    def write_pieces(self, path: str, pieces: Any) -> None:
        """The same for a file that is made of an iterator of bytes, none of them kept."""

    def append(self, path: str, data: bytes) -> None:
        """Append without flushing (logs); creates with mode 0600."""

    def exists(self, path: str) -> bool: ...

    def is_private(self, path: str) -> bool:
        """Whether only its owner can read and write it."""

    def size(self, path: str) -> int: ...
    def list(self, path: str) -> list[str]: ...

    def make_folder(self, path: str) -> None:
        """With parents; mode 0700; existing is fine."""

    def make_private(self, path: str) -> None:
        """A folder gets mode 0700; PortError("denied"): of another user, or with files and writable by others."""

    def remove(self, path: str) -> None:
        """A file; durable; a missing one is fine."""

    def remove_tree(self, path: str) -> None: ...
    def rename(self, old: str, new: str) -> None: ...

    def free_bytes(self, path: str) -> int: ...
    def total_bytes(self, path: str) -> int: ...  # of the whole file system

    def create_slab(self, path: str, length: int, is_sparse: bool = False) -> Slab:
        """A new file of `length` zero bytes, written in full (sparse: a hole) and flushed, mode 0600."""

    def open_slab(self, path: str) -> Slab: ...

    def lock(self, folder: str) -> Any:
        """Hold the folder for this process until it ends, however it ends; PortError("state_in_use")."""

    def state_folder(self, app: str) -> str:
        """/var/lib/<app> as root, else $XDG_STATE_HOME/<app> or ~/.local/state/<app>."""


class Conn(Protocol):
    """One TCP or Unix stream."""

    source: Address

    async def read(self, bytes_max: int) -> bytes:
        """1..bytes_max bytes; b"" at the end of the stream; PortError("closed") when it broke."""

    async def write(self, data: bytes) -> None:
        """All of it; PortError("closed")."""

    def close(self) -> None: ...


class Listener(Protocol):
    port: int

    async def accept(self) -> Conn: ...
    def close(self) -> None: ...


class Datagrams(Protocol):
    """One UDP socket, for one task."""

    def send(self, data: bytes, host: str, port: int) -> None:
        """Dropped where the network refuses."""

    async def receive(self) -> tuple[bytes, Address]:
        """At most 2048 bytes of one datagram, and who sent it."""

    def close(self) -> None: ...


class UdpModule(Protocol):
    def open(self, host: str) -> Datagrams:
        """At any port of our address `host`, and for its family."""


class Net(Protocol):
    """Codes: port_busy, unreachable, refused, timeout, closed, dns, denied."""

    def listen_tcp(self, host: str, port: int, backlog: int = 16) -> Listener:
        """`host` "" = every address, both families. Port 0 = any free one (see Listener.port)."""

    def listen_local(self, path: str) -> Listener:
        """A Unix stream socket with mode 0600 in a 0700 folder, where the runtime can; a stale one is replaced."""

    async def connect_tcp(self, host: str, port: int, timeout_ms: int) -> Conn: ...
    async def connect_local(self, path: str, timeout_ms: int) -> Conn: ...

    def interfaces(self) -> list[tuple[str, str, int]]:
        """(name, address, prefix length), IPv4 and IPv6, up, loopback included (name "lo"); link-local IPv6
        without a scope id."""

    def spawn(self, coroutine: Any) -> Any:
        """Start a task; an exception that ends it is logged by the supervisor, never lost."""

    def run(self, coroutine: Any) -> None:
        """Run to the end; SIGINT and, where the runtime has signals, SIGTERM cancel it so that `finally` runs."""

    async def wait_for(self, coroutine: Any, timeout_ms: int) -> Any:
        """The result, or PortError("timeout")."""


class Crypto(Protocol):
    """Scalars are ints in 1..n-1; points are 65-byte uncompressed SEC1; signatures raw r||s (64)."""

    def entropy(self, length: int) -> bytes: ...
    def sha256(self, data: bytes) -> bytes: ...
    def hmac_sha256(self, key: bytes, data: bytes) -> bytes: ...
    def hmac_sha1(self, key: bytes, data: bytes) -> bytes:
        """Only where a protocol asks for it: STUN's MESSAGE-INTEGRITY and the TURN REST scheme."""

    def md5(self, data: bytes) -> bytes:
        """Only for the long-term key of RFC 8489 section 9.2.2; proves nothing."""

    def hkdf_sha256(self, secret: bytes, salt: bytes, info: bytes, length: int) -> bytes: ...
    def pbkdf2_sha256(self, password: bytes, salt: bytes, iterations: int, length: int) -> bytes: ...

    def equal(self, one: bytes, other: bytes) -> bool:
        """Constant time for equal lengths."""

    def ccm_seal(self, key: bytes, nonce: bytes, aad: bytes, plaintext: bytes) -> bytes:
        """AES-128-CCM, 13-byte nonce, 16-byte tag appended (RFC 3610; COSE alg 30)."""

    def ccm_open(self, key: bytes, nonce: bytes, aad: bytes, sealed: bytes) -> bytes:
        """TrustError("aead") when anything differs."""

    def p256_public(self, scalar: int) -> bytes: ...

    def p256_multiply(self, scalar: int, point: bytes) -> bytes:
        """PeerError("point") for a point that is not on the curve, infinity, compressed or out of range."""

    def p256_add(self, one: bytes, other: bytes) -> bytes: ...
    def p256_negate(self, point: bytes) -> bytes: ...
    def ecdsa_sign(self, scalar: int, message: bytes) -> bytes:
        """ES256 over SHA-256(message), k per RFC 6979."""

    def ecdsa_verify(self, public: bytes, message: bytes, signature: bytes) -> bool: ...


class Codec(Protocol):
    """RFC 8949 section 4.2.1 deterministic CBOR, a strict subset: None, bool, int (64-bit), bytes, str, list, dict
    with int or str keys, and Tag. No floats, no indefinite lengths, no other simple values."""

    Tag: Any  # namedtuple (tag, value)

    def encode(self, value: Any) -> bytes:
        """UsageError("cbor") for a value outside the subset."""

    def decode(self, data: bytes, tags: tuple[int, ...] = (), depth_max: int = 16) -> Any:
        """PeerError("cbor") for anything this encoder would not have written, or a tag not in `tags`."""


class Link(Protocol):
    """One MQTT connection. Codes: unreachable, refused, tls, not_authorised, timeout, closed, not_supported."""

    async def connect(self) -> None: ...
    async def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> None:
        """QoS 1 returns when the broker has acknowledged."""

    async def subscribe(self, topic_filter: str) -> None: ...
    async def receive(self) -> tuple[str, bytes]:
        """Next message; PortError("closed") when the connection is gone. The queue is bounded."""

    async def close(self) -> None:
        """Orderly DISCONNECT (no will is sent)."""


class LinkModule(Protocol):
    def open(self, options: Any) -> Link: ...


class DialModule(Protocol):
    async def connect(self, options: Any) -> Conn:
        """`options`: agent/port/options.py LinkOptions. The handshake may still be to come. Codes: those of a Link."""


class Announcer(Protocol):
    """Keeps one DNS-SD service registered (RFC 6762, 6763)."""

    instance: str  # the name in use, after conflicts were resolved
    trouble: str  # one sentence about a network that does not take part, "" when all do

    async def start(self) -> None: ...
    async def update(self, txt: list[tuple[str, str]], subtypes: list[str]) -> None: ...
    async def set_addresses(self, addresses: list[str]) -> None:
        """Interfaces changed: re-register with these."""

    async def close(self) -> None:
        """Send the goodbye (TTL 0)."""


class AnnounceModule(Protocol):
    def open(self, service: Any) -> Announcer:
        """`service`: agent/port/options.py Service."""


class Terminal(Protocol):
    """Where a person types and reads, and which interpreter they started."""

    def begin(self) -> None:
        """First thing in a program, before the large imports."""

    def guard(self) -> None:
        """From here on Ctrl-C is a power cut, which state survives, where it could hit the interpreter's own C code."""

    def runtime(self) -> tuple[str, str]:
        """("cpython" or "micropython", version)."""

    def program(self) -> str: ...  # the words that a person types here for it

    def is_terminal(self) -> bool: ...  # so that a person can be asked something

    def qr_lines(self, text: str) -> list[str]:
        """`text` as a picture of lines; [] where nothing can draw it."""

    def say(self, line: str) -> None: ...

    def give_up(self, text: str) -> int:
        """Exit status 1, for an error of the output itself."""


class Heap(Protocol):
    """What this interpreter has room for: bounds of its own, beside the ceilings of the board."""

    SLOT_BYTES_MAX: int  # of a slot of the shard store; never below boards.schema.SLOT_CLASSES[0]
    PLACES_MAX: int  # connections to one listener
    CACHE_BYTES_MAX: int  # of shards that are only cached
    RELAY_KIB: int  # a heap that holds the relay beside the device
    PAIRING_BYTES: int  # free, for a pairing to begin
    PIECE_BYTES: tuple[int, int]  # of a body on its way to or from the disk: for small slots, and at most
    LANE_KIB: int  # a heap that holds the fast lane of the data listener beside the device
    IDLE_KIB: int  # resident memory of a device that does nothing

    def known_max(self) -> int: ...  # requests that are remembered as answered (service/quick.py)
    def shards_max(self) -> int: ...  # which the index has room for, 0 for any number
    def hold(self, backend: str, ceiling: str, value: int) -> bool: ...  # applied, and looked at (core/ceilings.py)
    def kib(self) -> int: ...  # size of the heap, 0 where nothing bounds it

    def has_room(self, size: int) -> bool: ...  # so many bytes are free, not in one piece

    def forget(self, prefixes: tuple[str, ...]) -> None:
        """Modules with such names are not needed any more: where memory is short they go. Whoever needs one imports it
        again, and so must import it where it is used."""


class Health(Protocol):
    def sample(self, folder: str) -> dict[str, int]:
        """Integers only; a key that the board cannot measure is absent: cpu_permille, memory_total_kib,
        memory_free_kib, process_kib, storage_free_bytes, temperature_mc, net_rx_bytes, net_tx_bytes, uptime_s."""

    def board_evidence(self) -> dict[str, str]:
        """dt_compatible, dmi_product, cpuinfo_machine, os_release_id, architecture, endian, runtime, ram_kib."""

    def missing_features(self) -> list[tuple[str, str]]:
        """(feature, sentence naming the missing package) for what this interpreter lacks: tls, sha1, aes."""
