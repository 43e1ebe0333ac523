"""Invariant: every message that aioice writes, we read with the same values and find intact under the same keys; every
message that we write, aioice reads likewise; both write the same bytes; what either refuses of the same bytes, the
other refuses too, but for the strictness named in `stricter`.

aioice has no SHA-256 proofs, no RFC 6062 and no address families. Seeded; CORELET_FULL=1 runs FULL times as much.
"""

import ipaddress
import os
import random
import struct
from typing import Any

import pytest
from aioice import stun as theirs

from agent.errors import PeerError
from agent.wire import stun
from tests.vectors.bodies import CRYPTOS, library_crypto

FULL = 40
ROUNDS = (FULL if os.environ.get("CORELET_FULL") == "1" else 1) * 300
METHODS = (1, 3, 4, 6, 7, 8, 9)
KINDS = (theirs.Class.REQUEST, theirs.Class.INDICATION, theirs.Class.RESPONSE, theirs.Class.ERROR)
ADDRESSES = (stun.XOR_PEER_ADDRESS, stun.XOR_RELAYED_ADDRESS, stun.XOR_MAPPED_ADDRESS)


def address(seed: random.Random) -> tuple[bytes, int]:
    return seed.randbytes(seed.choice((4, 16))), seed.randrange(65536)


def attributes(seed: random.Random, transaction: bytes) -> tuple[list[tuple[int, bytes]], dict[str, Any]]:
    """The same ones for us and for them; each type at most once, because theirs is a dict."""
    ours: list[tuple[int, bytes]] = []
    told: dict[str, Any] = {}
    for kind in seed.sample([entry[0] for entry in theirs.ATTRIBUTES], seed.randrange(7)):
        name = theirs.ATTRIBUTES_BY_TYPE[kind][1]
        number = seed.randrange(1 << 32)
        if kind in ADDRESSES:
            ip, port = address(seed)
            ours.append((kind, stun.xor_address((ip, port), transaction)))
            told[name] = (str(ipaddress.ip_address(ip)), port)
        elif name in ("DATA", "NONCE"):
            ours.append((kind, seed.randbytes(seed.randrange(60))))
            told[name] = ours[-1][1]
        elif name in ("USERNAME", "REALM", "SOFTWARE"):
            told[name] = "".join(seed.choices("abc:\u00e9\u30de0", k=seed.randrange(20)))
            ours.append((kind, told[name].encode()))
        elif name in ("LIFETIME", "REQUESTED-TRANSPORT", "PRIORITY"):
            ours.append((kind, struct.pack(">I", number)))
            told[name] = number
        elif name == "CHANNEL-NUMBER":
            ours.append((kind, struct.pack(">HH", number >> 16, 0)))
            told[name] = number >> 16
        elif name == "ERROR-CODE":
            code = seed.choice((400, 401, 403, 420, 437, 438, 441, 442, 486, 508))
            ours.append((kind, stun.error_code(code)))
            told[name] = (code, "")
    return ours, told


def pair(seed: random.Random, key: bytes, is_proved: bool, has_fingerprint: bool) -> tuple[bytes, bytes]:
    """One message, as we and as they write it."""
    transaction, method, kind = seed.randbytes(12), seed.choice(METHODS), seed.randrange(4)
    ours, told = attributes(seed, transaction)
    message = theirs.Message(theirs.Method(method), KINDS[kind], transaction, told)
    if is_proved:
        message.add_message_integrity(key)
        if not has_fingerprint:
            del message.attributes["FINGERPRINT"]
    elif has_fingerprint:
        message.add_fingerprint()
    proof = (library_crypto.hmac_sha1, key) if is_proved else None
    return stun.encode(method, kind, transaction, ours, proof, has_fingerprint), bytes(message)


def test_the_same_bytes_and_the_same_values() -> None:
    seed = random.Random(8489)
    for _ in range(ROUNDS):
        key = seed.randbytes(16)
        is_proved, has_fingerprint = seed.random() < 0.7, seed.random() < 0.5
        ours, other = pair(seed, key, is_proved, has_fingerprint)
        assert ours == other
        read, told = stun.decode(other), theirs.parse_message(ours)
        assert read.method == told.message_method and KINDS[read.kind] == told.message_class
        assert read.transaction == told.transaction_id
        names = [name for name in told.attributes if name not in ("MESSAGE-INTEGRITY", "FINGERPRINT")]
        assert [theirs.ATTRIBUTES_BY_TYPE[kind][1] for kind, _ in read.attributes] == names
        for kind, value in read.attributes:
            if kind in ADDRESSES:
                ip, port = stun.read_xor_address(value, read.transaction)
                assert told.attributes[theirs.ATTRIBUTES_BY_TYPE[kind][1]] == (str(ipaddress.ip_address(ip)), port)
        for crypto in CRYPTOS:
            for used in (key, b"", key + b"x"):
                assert stun.is_intact(crypto, ours, read, used) == told.check_message_integrity(used)
                assert stun.is_intact(crypto, ours, read, used) == (is_proved and used == key)


def stricter(data: bytes) -> bool:
    """What they take and RFC 8489 forbids or leaves open: no cookie, two leading bits, a length that is no multiple of
    4, an attribute or a MAC of a wrong length, something behind the fingerprint; and our own bounds."""
    word, length, cookie = struct.unpack_from(">HHI", data)
    if word & 0xC000 or cookie != stun.COOKIE or length % 4 or len(data) > stun.MESSAGE_BYTES_MAX:
        return True
    at, count, proof = 20, 0, 0
    while at < len(data):
        kind, size = struct.unpack_from(">HH", data, at)
        end, count = at + 4 + size, count + 1
        if end > len(data) or count > stun.ATTRIBUTES_MAX:
            return True
        if kind == stun.MESSAGE_INTEGRITY and not proof and size != 20:
            return True
        if kind == stun.MESSAGE_INTEGRITY_SHA256 and (size % 4 or not 16 <= size <= 32):
            return True
        if kind == stun.FINGERPRINT and (size != 4 or end != len(data)):
            return True
        proof = proof or kind == stun.MESSAGE_INTEGRITY
        at = (end + 3) & ~3
    return False


def refused_by_us(data: bytes) -> bool:
    try:
        stun.decode(data)
    except PeerError as error:
        assert error.code == "stun"
        return True
    return False


def refused_by_them(data: bytes) -> bool | None:
    """None when they stopped at the value of an attribute or a method they do not know: we look at those later."""
    try:
        theirs.parse_message(data)
    except (ValueError, struct.error) as error:
        text = str(error)
        is_value = any(word in text for word in ("address", "error code", "Method", "unpack requires", "codec"))
        return None if is_value else True
    return False


def test_the_same_refusals() -> None:
    seed = random.Random(5389)
    both = neither = 0
    for _ in range(ROUNDS * 4):
        data = bytearray(pair(seed, b"key", seed.random() < 0.5, seed.random() < 0.7)[0])
        for _ in range(seed.randrange(3)):
            data[seed.randrange(len(data))] ^= 1 << seed.randrange(8)
        if seed.random() < 0.2:
            del data[seed.randrange(len(data) + 1) :]
        made = bytes(data)
        answer = refused_by_them(made)
        if refused_by_us(made):
            assert answer is not False or stricter(made), made.hex()
            both += answer is True
        else:
            assert not answer, made.hex()
            neither += answer is False
    assert both > ROUNDS and neither > ROUNDS, (both, neither)


@pytest.mark.parametrize("code", (401, 438, 508))
def test_a_client_reads_our_refusals(code: int) -> None:
    data = stun.encode(
        stun.ALLOCATE,
        stun.ERROR,
        b"transaction!",
        [(stun.ERROR_CODE, stun.error_code(code)), (stun.REALM, b"corelet"), (stun.NONCE, b"ABCDEFGHIJKL")],
    )
    told = theirs.parse_message(data)
    assert told.attributes == {"ERROR-CODE": (code, ""), "REALM": "corelet", "NONCE": b"ABCDEFGHIJKL"}
    assert len(data) == 56, "a 401 stays small: an Allocate without credentials has 28"
