"""Invariant: whatever comes, decode, read_xor_address and frame_length give a value or PeerError("stun"); what decode
gives is no longer than its input and encodes to a message that decodes to the same; a flipped bit of a protected
message is refused, not intact, or changes nothing that is read.

Seeded, the same on both interpreters; tests/vectors/test_fuzz_stun.py is the long one.
"""

from agent import port
from agent.errors import PeerError
from agent.wire import stun
from tests.sim.chance import Xorshift32

KEY = b"0123456789abcdef"
HERE = b"transaction!"


def told(read):
    return read.method, read.kind, read.transaction, read.attributes


def decoded(data):
    try:
        return stun.decode(data)
    except PeerError as error:
        assert error.code == "stun"
        return None


def check(data):
    """Whether it was a message."""
    read = decoded(data)
    if read is None:
        return False
    assert 20 + sum([4 + len(value) for _, value in read.attributes]) <= len(data)
    if len(read.attributes) <= stun.ATTRIBUTES_MAX - 2:
        assert told(stun.decode(stun.encode(read.method, read.kind, read.transaction, read.attributes))) == told(read)
    for _, value in read.attributes:
        try:
            address = stun.read_xor_address(value, read.transaction)
        except PeerError as error:
            assert error.code == "stun"
            continue
        assert stun.xor_address(address, read.transaction)[1:] == value[1:]
    return True


def some(rng):
    """A message of ours, protected or not."""
    attributes = []
    for _ in range(rng.below(6)):
        kind = (stun.USERNAME, stun.DATA, stun.XOR_PEER_ADDRESS, rng.below(65536))[rng.below(4)]
        if kind not in (stun.MESSAGE_INTEGRITY, stun.MESSAGE_INTEGRITY_SHA256, stun.FINGERPRINT):
            attributes.append((kind, rng.bytes(rng.below(25))))
    crypto = port.crypto()
    proof = (None, (crypto.hmac_sha1, KEY), (crypto.hmac_sha256, KEY))[rng.below(3)]
    return stun.encode(rng.below(4096), rng.below(4), rng.bytes(12), attributes, proof, rng.chance(500))


def test_what_was_encoded_and_what_was_damaged():
    rng = Xorshift32(5389)
    read = 0
    for _ in range(400):
        data = some(rng)
        assert check(data)
        made = bytearray(data)
        for _ in range(rng.between(1, 3)):
            at = rng.below(len(made))
            made[at] = (made[at] ^ 1 << rng.below(8), 0, 0xFF, rng.below(256))[rng.below(4)]
        cut = rng.below(len(made) + 1) if rng.chance(300) else len(made)
        read += check(bytes(made[:cut]))
    assert 50 < read < 350, read


def test_rubbish_with_a_good_header():
    rng = Xorshift32(8656)
    read = 0
    for _ in range(600):
        body = b""
        for _ in range(rng.below(5)):
            kind = (6, 8, 9, 0x12, 0x1C, 0x8028, 0x8030, rng.below(65536))[rng.below(8)]
            size = (0, 1, 4, 8, 20, 32, rng.below(64))[rng.below(7)]
            said = size if rng.chance(850) else rng.below(65536)
            body += kind.to_bytes(2, "big") + said.to_bytes(2, "big") + rng.bytes(size + (-size & 3))
        head = rng.below(0x4000).to_bytes(2, "big") + len(body).to_bytes(2, "big") + b"\x21\x12\xa4\x42"
        read += check(head + HERE + body)
    assert 50 < read < 550, read


def test_frames():
    rng = Xorshift32(6062)
    for _ in range(2000):
        head = rng.bytes(4)
        if rng.chance(600):
            head = bytes((rng.below(0xA0), head[1], rng.below(9), head[3]))
        try:
            size = stun.frame_length(head)
        except PeerError as error:
            assert error.code == "stun"
            continue
        assert 4 <= size <= stun.MESSAGE_BYTES_MAX and size % 4 == 0 and head[0] < 0x80
        said = head[2] << 8 | head[3]
        assert size - said == 20 if head[0] < 0x40 else 4 <= size - said < 8


def test_a_stream_cut_anywhere():
    """Frames laid end to end are found again, whole and in their order, up to where the stream was cut."""
    rng = Xorshift32(3478)
    for _ in range(60):
        frames = []
        for _ in range(rng.between(1, 6)):
            channel = stun.channel_data(rng.between(0x4000, 0x4FFF), rng.bytes(rng.below(50)), True)
            frames.append(channel if rng.chance(500) else some(rng))
        stream = b"".join(frames)
        stream = memoryview(stream[: rng.below(len(stream) + 1)])
        at, found = 0, []
        while len(stream) - at >= 4:
            size = stun.frame_length(stream[at : at + 4])
            if len(stream) - at < size:
                break
            found.append(bytes(stream[at : at + size]))
            at += size
        assert found == frames[: len(found)] and len(stream) - at < (max(map(len, frames)) or 1)


def test_every_flipped_bit_of_a_protected_message():
    crypto = port.crypto()
    for hmac in (crypto.hmac_sha1, crypto.hmac_sha256):
        for with_fingerprint in (False, True):
            data = stun.encode(
                3, 0, HERE, [(stun.USERNAME, b"bob"), (25, b"\x11\0\0\0")], (hmac, KEY), with_fingerprint
            )
            whole = stun.decode(data)
            assert stun.is_intact(crypto, data, whole, KEY)
            last = len(data) - (8 if with_fingerprint else 0)
            for bit in range(8 * len(data)):
                made = bytearray(data)
                made[bit >> 3] ^= 1 << (bit & 7)
                read = decoded(bytes(made))
                if read is not None and stun.is_intact(crypto, bytes(made), read, KEY):
                    # Only the type of the fingerprint, which is then an attribute that must be ignored.
                    assert bit >> 3 in (last, last + 1) and with_fingerprint and told(read) == told(whole), bit
