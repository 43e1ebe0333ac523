"""STUN messages and ChannelData: RFC 8489, with the numbers that TURN adds (RFC 8656, 6156, 6062).

Strict and without state: a message is whole or it is PeerError("stun"). What an attribute *means* is decided in
core/relay/. Not here: RFC 3489 without the magic cookie, USERHASH, PASSWORD-ALGORITHMS (never offered, so 420).
An address is (4 or 16 bytes, port). Bounds: MESSAGE_BYTES_MAX bytes, ATTRIBUTES_MAX attributes, ignored ones too.
"""

import binascii
import struct

from agent.errors import PeerError, UsageError

if False:
    from collections.abc import Callable

    from agent.port import contract

    Address = tuple[bytes, int]
    Data = bytes | memoryview
    Integrity = tuple[Callable[[bytes, bytes], bytes], bytes]

# 2,048 bytes of a peer (a slot of the drivers) in a Data indication: 20 + XOR-PEER-ADDRESS 24 + 4.
MESSAGE_BYTES_MAX = 2096
ATTRIBUTES_MAX = 32
HEADER_BYTES = 20
TRANSACTION_BYTES = 12
COOKIE = 0x2112A442

# Kinds ("classes", RFC 8489 section 5).
REQUEST = 0
INDICATION = 1
SUCCESS = 2
ERROR = 3

# Methods.
BINDING = 0x001
ALLOCATE = 0x003
REFRESH = 0x004
SEND = 0x006
DATA_INDICATION = 0x007
CREATE_PERMISSION = 0x008
CHANNEL_BIND = 0x009
CONNECT = 0x00A
CONNECTION_BIND = 0x00B
CONNECTION_ATTEMPT = 0x00C

# Attributes.
USERNAME = 0x0006
MESSAGE_INTEGRITY = 0x0008
ERROR_CODE = 0x0009
UNKNOWN_ATTRIBUTES = 0x000A
CHANNEL_NUMBER = 0x000C
LIFETIME = 0x000D
XOR_PEER_ADDRESS = 0x0012
DATA = 0x0013
REALM = 0x0014
NONCE = 0x0015
XOR_RELAYED_ADDRESS = 0x0016
REQUESTED_ADDRESS_FAMILY = 0x0017
EVEN_PORT = 0x0018
REQUESTED_TRANSPORT = 0x0019
DONT_FRAGMENT = 0x001A
MESSAGE_INTEGRITY_SHA256 = 0x001C
XOR_MAPPED_ADDRESS = 0x0020
RESERVATION_TOKEN = 0x0022
CONNECTION_ID = 0x002A
ADDITIONAL_ADDRESS_FAMILY = 0x8000
ADDRESS_ERROR_CODE = 0x8001
ADDITIONAL_ADDRESS_FAMILY_DRAFT = 0x8032  # what coturn's client sends up to 4.6
FINGERPRINT = 0x8028
_REQUIRED = (
    USERNAME, MESSAGE_INTEGRITY, ERROR_CODE, UNKNOWN_ATTRIBUTES, CHANNEL_NUMBER, LIFETIME, XOR_PEER_ADDRESS, DATA,
    REALM, NONCE, XOR_RELAYED_ADDRESS, REQUESTED_ADDRESS_FAMILY, EVEN_PORT, REQUESTED_TRANSPORT, DONT_FRAGMENT,
    MESSAGE_INTEGRITY_SHA256, XOR_MAPPED_ADDRESS, RESERVATION_TOKEN, CONNECTION_ID,
)  # fmt: skip

# Error codes (RFC 8489 section 14.8, RFC 8656 section 19, RFC 6062 section 6.3).
BAD_REQUEST = 400
UNAUTHENTICATED = 401
FORBIDDEN = 403
UNKNOWN_ATTRIBUTE = 420
ALLOCATION_MISMATCH = 437
STALE_NONCE = 438
FAMILY_NOT_SUPPORTED = 440
WRONG_CREDENTIALS = 441
TRANSPORT_NOT_SUPPORTED = 442
PEER_FAMILY_MISMATCH = 443
CONNECTION_EXISTS = 446
CONNECTION_FAILED = 447
QUOTA_REACHED = 486
INSUFFICIENT_CAPACITY = 508

# Address families as STUN writes them.
IPV4 = 1
IPV6 = 2

CHANNEL_FIRST = 0x4000
# RFC 8656 section 12 ends at 0x4FFF, RFC 5766 section 11 at 0x7FFF; clients of the elder one choose from all of it.
CHANNEL_LAST = 0x7FFF
CHANNEL_HEADER_BYTES = 4

_MAC_BYTES = {MESSAGE_INTEGRITY: (20, 20), MESSAGE_INTEGRITY_SHA256: (16, 32)}
_FINGERPRINT_XOR = 0x5354554E


class Message:
    """`attributes`: [(type, value)] in their order, without the three that prove and without what must be ignored
    because it follows them. `integrity_at`: offset of the proof to check (SHA-256 where both are), -1 without."""

    def __init__(self, method: int, kind: int, transaction: bytes) -> None:
        self.method = method
        self.kind = kind
        self.transaction = transaction
        self.attributes: list[tuple[int, bytes]] = []
        self.integrity_at = -1

    def get(self, kind: int) -> bytes | None:
        """Value of the first attribute of this type."""
        for found, value in self.attributes:
            if found == kind:
                return value
        return None

    def unknown(self) -> list[int]:
        """Types that must be understood and are not (RFC 8489 section 14): the content of UNKNOWN-ATTRIBUTES."""
        return [kind for kind, _ in self.attributes if kind < 0x8000 and kind not in _REQUIRED]


def decode(data: "Data") -> Message:
    """One whole message. PeerError("stun") for anything else, a wrong FINGERPRINT too. Proves nothing: is_intact."""
    size = len(data)
    if not HEADER_BYTES <= size <= MESSAGE_BYTES_MAX or size & 3:
        raise _malformed(f"it has {size} bytes, expected a multiple of 4 from {HEADER_BYTES} to {MESSAGE_BYTES_MAX}")
    word, length, other = struct.unpack_from(">HHI", data, 0)
    if word & 0xC000 or other != COOKIE:
        raise _malformed("it does not begin with two zero bits and hold the magic cookie")
    if length != size - HEADER_BYTES:
        raise _malformed(f"its header says {length} bytes of attributes, there are {size - HEADER_BYTES}")
    method = word & 0xF | (word & 0xE0) >> 1 | (word & 0x3E00) >> 2
    message = Message(method, word >> 4 & 1 | word >> 7 & 2, bytes(data[8:HEADER_BYTES]))
    _read_attributes(message, data)
    return message


def encode(
    method: int,
    kind: int,
    transaction: bytes,
    attributes: "list[tuple[int, bytes]]",
    integrity: "Integrity | None" = None,
    with_fingerprint: bool = False,
) -> bytes:
    """`integrity` is (hmac, key); MESSAGE-INTEGRITY or its SHA-256 form follows from what hmac gives.
    UsageError("stun") beyond the bounds that decode has."""
    size = HEADER_BYTES + (36 if integrity else 0) + (8 if with_fingerprint else 0)
    for _, value in attributes:
        size += 4 + (len(value) + 3 & ~3)
    if size > MESSAGE_BYTES_MAX or len(attributes) > ATTRIBUTES_MAX - 2 or len(transaction) != TRANSACTION_BYTES:
        raise UsageError("stun", f"a message of {size} bytes with {len(attributes)} attributes would not be read")
    word = method & 0xF | (method & 0x70) << 1 | (method & 0xF80) << 2 | (kind & 1) << 4 | (kind & 2) << 7
    made = bytearray(struct.pack(">HHI", word, 0, COOKIE) + transaction)
    for each, value in attributes:
        _append(made, each, value)
    if integrity:
        hmac, key = integrity
        for each in (MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256):
            length = _MAC_BYTES[each][1]
            _set_length(made, len(made) + 4 + length)
            mac = hmac(key, bytes(made))
            if len(mac) == length:
                _append(made, each, mac)
                break
    if with_fingerprint:
        _set_length(made, len(made) + 8)
        _append(made, FINGERPRINT, _fingerprint(bytes(made)))
    _set_length(made, len(made))
    return bytes(made)


def is_intact(crypto: "contract.Crypto", data: "Data", message: Message, key: bytes) -> bool:
    """Whether the proof in `data`, from which `message` was decoded, was made with `key` (RFC 8489 sections 14.5 and
    14.6): it covers what precedes it, with the length of the header as if it were the last attribute."""
    at = message.integrity_at
    if at < 0:
        return False
    size = data[at + 3]
    text = bytes(data[:2]) + (at + 4 + size - HEADER_BYTES).to_bytes(2, "big") + bytes(data[4:at])
    mac = hmac_of(crypto, data, message)(key, text)
    return crypto.equal(mac[:size], bytes(data[at + 4 : at + 4 + size]))


def hmac_of(crypto: "contract.Crypto", data: "Data", message: Message) -> "Callable[[bytes, bytes], bytes]":
    """What proves a request proves its answer (RFC 8489 section 9.2.4): for `integrity` of encode."""
    return crypto.hmac_sha1 if data[message.integrity_at + 1] == MESSAGE_INTEGRITY else crypto.hmac_sha256


def xor_address(address: "Address", transaction: bytes) -> bytes:
    """Value of XOR-MAPPED-ADDRESS and its kin (RFC 8489 section 14.2)."""
    ip, port = address
    return struct.pack(">HH", IPV4 if len(ip) == 4 else IPV6, port ^ COOKIE >> 16) + _masked(ip, transaction)


def read_xor_address(value: bytes, transaction: bytes) -> "Address":
    """PeerError("stun") when it is none."""
    if len(value) not in (8, 20) or value[1] != (IPV4 if len(value) == 8 else IPV6):
        raise _malformed(f"{len(value)} bytes are not an address of its family")
    return _masked(value[4:], transaction), (value[2] << 8 | value[3]) ^ COOKIE >> 16


def error_code(code: int) -> bytes:
    """Value of ERROR-CODE. No reason phrase: a 401 goes to whoever asks, so it stays small."""
    return bytes((0, 0, code // 100, code % 100))


def channel_data(number: int, data: "Data", is_stream: bool) -> bytes:
    """RFC 8656 section 12.4; padded to 4 on a stream. UsageError("stun") beyond what frame_length takes."""
    if len(data) > MESSAGE_BYTES_MAX - CHANNEL_HEADER_BYTES or not CHANNEL_FIRST <= number <= CHANNEL_LAST:
        raise UsageError("stun", f"{len(data)} bytes on channel {number} would not be read")
    rest = bytes(-len(data) & 3) if is_stream else b""
    return struct.pack(">HH", number, len(data)) + bytes(data) + rest


def frame_length(data: "Data") -> int:
    """Bytes of the frame on a stream that begins with these 4. PeerError("stun"): nothing can be found after it."""
    if len(data) < CHANNEL_HEADER_BYTES:
        raise UsageError("stun", f"a frame is known by its first 4 bytes, got {len(data)}")
    word, length = struct.unpack_from(">HH", data, 0)
    size = HEADER_BYTES + length if word < CHANNEL_FIRST else CHANNEL_HEADER_BYTES + (length + 3 & ~3)
    if word > CHANNEL_LAST or size > MESSAGE_BYTES_MAX or size & 3:
        raise _malformed(f"neither STUN nor ChannelData of at most {MESSAGE_BYTES_MAX} bytes begins with {word}")
    return int(size)


def _read_attributes(message: Message, data: "Data") -> None:
    at, count, size = HEADER_BYTES, 0, len(data)
    proof = 0  # type of the last proof
    while at < size:
        count += 1
        kind, length = struct.unpack_from(">HH", data, at)
        end = at + 4 + length
        if end > size or count > ATTRIBUTES_MAX:
            raise _malformed(f"attribute {count} has {length} bytes; it is beyond the end or one too many")
        if kind in _MAC_BYTES and proof in (0, MESSAGE_INTEGRITY) and kind != proof:
            low, high = _MAC_BYTES[kind]
            if not low <= length <= high or length & 3:
                raise _malformed(f"a proof has {low} to {high} bytes, got {length}")
            message.integrity_at, proof = at, kind
        elif kind == FINGERPRINT:
            if end != size or bytes(data[at + 4 : end]) != _fingerprint(data[:at]):
                raise _malformed("its fingerprint is wrong or not the last attribute")
        elif not proof:  # sections 14.5 and 14.6: what follows a proof is ignored
            message.attributes.append((kind, bytes(data[at + 4 : end])))
        at = end + 3 & ~3


def _append(made: bytearray, kind: int, value: bytes) -> None:
    made += struct.pack(">HH", kind, len(value)) + value + bytes(-len(value) & 3)


def _set_length(made: bytearray, size: int) -> None:
    made[2:4] = (size - HEADER_BYTES).to_bytes(2, "big")


def _fingerprint(data: "Data") -> bytes:
    """Section 14.7: of everything before it, the header's length with it."""
    return (binascii.crc32(data) ^ _FINGERPRINT_XOR).to_bytes(4, "big")


def _masked(ip: bytes, transaction: bytes) -> bytes:
    key = COOKIE.to_bytes(4, "big") + transaction
    return bytes([ip[at] ^ key[at] for at in range(len(ip))])


def _malformed(text: str) -> PeerError:
    return PeerError("stun", f"That is not a STUN message or ChannelData: {text}; drop it.")
