"""Invariant: a COSE message outside our profile is refused even when its proof is right: PeerError("cose"), or
PeerError("cbor") when it is not even CBOR of ours; one changed bit of a message in the profile is never taken.
"""

from agent import port
from agent.errors import CoreletError, PeerError
from agent.wire import cose, sign1
from tests.expect import raises
from tests.unit.agent.wire.cosing import SCALAR, TEXT, message

KEY = b"0123456789abcdef0123456789abcdef"


def test_es256_is_accepted_and_other_algorithms_are_not():
    codec = port.codec()
    crypto = port.crypto()
    for algorithm, is_good in (
        (-9, True),
        (-7, True),
        (-8, False),
        (-35, False),
        (-46, False),
        (5, False),
        (-39, False),
    ):
        protected = codec.encode({1: algorithm})
        proof = crypto.ecdsa_sign(SCALAR, codec.encode(["Signature1", protected, b"", TEXT]))
        data = message(18, protected, {}, TEXT, proof)
        if is_good:
            assert sign1.verify(codec, crypto, crypto.p256_public(SCALAR), data) == TEXT
        else:
            assert raises(PeerError, sign1.verify, codec, crypto, crypto.p256_public(SCALAR), data).code == "cose"
    for algorithm in (4, 6, 7, 14, -9, -7, True, "HS256", None, b""):
        protected = codec.encode({1: algorithm})
        proof = crypto.hmac_sha256(KEY, codec.encode(["MAC0", protected, b"", TEXT]))
        data = message(17, protected, {}, TEXT, proof)
        assert raises(PeerError, cose.open_mac0, codec, crypto, KEY, data).code == "cose"


def test_messages_outside_the_profile():
    """Each carries a correct MAC, so only the rule refuses it."""
    codec = port.codec()
    crypto = port.crypto()
    for header in (
        {},
        {4: b"k"},
        {1: 5, 2: [1]},
        {1: 5, 2: [99], 99: 0},
        {1: 5, 3: 0},
        {1: 5, 5: b"iv"},
        {1: 5, 4: b""},
        {1: 5, 4: "kid"},
        {1: 5, 4: None},
        {1: 5, 4: b"k" * 65},
        {1: 5, "alg": 5},
        {1: 5, -70000: 0},
        {"1": 5},
    ):
        protected = codec.encode(header)
        proof = crypto.hmac_sha256(KEY, codec.encode(["MAC0", protected, b"", TEXT]))
        data = message(17, protected, {}, TEXT, proof)
        assert raises(PeerError, cose.open_mac0, codec, crypto, KEY, data).code == "cose", header
        assert raises(PeerError, cose.mac0_kid, codec, data).code == "cose", header
    good = codec.encode({1: 5})
    proof = crypto.hmac_sha256(KEY, codec.encode(["MAC0", good, b"", TEXT]))
    assert cose.open_mac0(codec, crypto, KEY, message(17, good, {}, TEXT, proof)) == TEXT
    for unprotected in ({4: b"k"}, {1: 5}, {"": 0}, [], b"", 0):
        data = message(17, good, unprotected, TEXT, proof)
        assert raises(PeerError, cose.open_mac0, codec, crypto, KEY, data).code == "cose"


def test_malformed_messages():
    codec = port.codec()
    crypto = port.crypto()
    assert raises(PeerError, cose.open_mac0, codec, crypto, KEY, b"\0" * (cose.COSE_BYTES_MAX + 1)).code == "cose"
    tag = codec.Tag
    good = cose.mac0(codec, crypto, KEY, b"")
    shapes = (
        None, 5, [], {}, [b"", {}, b""], tag(17, None), tag(17, {}), tag(17, []), tag(17, [b"", {}, b""]),
        tag(17, [b"", {}, b"", b"", b""]), tag(17, ["", {}, b"", b""]), tag(17, [b"", {}, None, b""]),
        tag(17, [b"", {}, "", b""]), tag(17, [b"", {}, b"", None]), tag(17, [b"", None, b"", b""]),
        tag(17, [{1: 5}, {}, b"", b""]), tag(17, [b"", {}, b"", b""]), tag(17, [b"\xa0", {}, b"", b""]),
        tag(17, [b"\x01", {}, b"", b""]), tag(17, [b"\xa1\x01", {}, b"", b""]), tag(18, [b"", {}, b"", b""]),
        tag(17, [b"\xa1\x01\x18\x05", {}, b"", b""]), tag(17, tag(17, [b"", {}, b"", b""])), tag(61, good),
    )  # fmt: skip
    for shape in shapes:
        data = codec.encode(shape)
        error = raises(PeerError, cose.open_mac0, codec, crypto, KEY, data)
        assert error.code in ("cose", "cbor"), shape
    # The bare array without its tag, a signature where a MAC is wanted and the other way round.
    assert raises(PeerError, cose.open_mac0, codec, crypto, KEY, good[1:]).code == "cose"
    signed = sign1.sign(codec, crypto, SCALAR, b"")
    assert raises(PeerError, cose.open_mac0, codec, crypto, KEY, signed).code == "cbor"
    assert raises(PeerError, sign1.verify, codec, crypto, crypto.p256_public(SCALAR), good).code == "cbor"


def test_every_flip_and_cut_is_refused():
    codec = port.codec()
    crypto = port.crypto()
    data = cose.mac0(codec, crypto, KEY, b"payload", b"kid")
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << (bit % 8)
        error = raises(CoreletError, cose.open_mac0, codec, crypto, KEY, bytes(changed))
        assert error.code in ("mac", "cose", "cbor")
    for length in range(len(data)):
        assert raises(PeerError, cose.open_mac0, codec, crypto, KEY, data[:length]).code in ("cose", "cbor")
    signed = sign1.sign(codec, crypto, SCALAR, b"payload")
    for bit in range(0, 8 * len(signed), 13):
        changed = bytearray(signed)
        changed[bit // 8] ^= 1 << (bit % 8)
        error = raises(CoreletError, sign1.verify, codec, crypto, crypto.p256_public(SCALAR), bytes(changed))
        assert error.code in ("signature", "cose", "cbor")
