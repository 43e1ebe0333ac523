"""STUN messages, addresses and ChannelData, valid and not."""

import binascii

from agent import port
from agent.errors import PeerError, UsageError
from agent.wire import stun
from tests.expect import raises

HERE = b"transaction!"
KEY = b"k" * 16


def refused(data):
    assert raises(PeerError, stun.decode, data).code == "stun"
    assert raises(PeerError, stun.decode, memoryview(data)).code == "stun"


def message(*attributes, length=None, cookie=b"\x21\x12\xa4\x42", word=b"\x00\x03"):
    """Bytes without the encoder; an attribute is (type, value) or raw bytes."""
    body = b""
    for one in attributes:
        if isinstance(one, tuple):
            kind, value = one
            body += kind.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value + bytes(-len(value) & 3)
        else:
            body += one
    return word + (len(body) if length is None else length).to_bytes(2, "big") + cookie + HERE + body


def test_the_smallest():
    assert stun.encode(stun.ALLOCATE, stun.REQUEST, HERE, []) == message()
    read = stun.decode(message())
    assert (read.method, read.kind, read.transaction, read.attributes, read.integrity_at) == (3, 0, HERE, [], -1)
    assert read.get(stun.USERNAME) is None and read.unknown() == []


def test_first_two_bytes():
    """RFC 8489 figure 3: M11-M7 C1 M6-M4 C0 M3-M0. Known words first, then each method and kind comes back."""
    for word, method, kind in (
        ("0001", stun.BINDING, stun.REQUEST),
        ("0101", stun.BINDING, stun.SUCCESS),
        ("0103", stun.ALLOCATE, stun.SUCCESS),
        ("0113", stun.ALLOCATE, stun.ERROR),
        ("0016", stun.SEND, stun.INDICATION),
        ("0017", stun.DATA_INDICATION, stun.INDICATION),
        ("0118", stun.CREATE_PERMISSION, stun.ERROR),
        ("001c", stun.CONNECTION_ATTEMPT, stun.INDICATION),
        ("3eef", 0xFFF, stun.REQUEST),
        ("3fff", 0xFFF, stun.ERROR),
    ):
        data = stun.encode(method, kind, HERE, [])
        assert data[:2].hex() == word
        assert (stun.decode(data).method, stun.decode(data).kind) == (method, kind)
    for method in range(0, 0x1000, 7):
        for kind in range(4):
            read = stun.decode(stun.encode(method, kind, HERE, []))
            assert (read.method, read.kind) == (method, kind)


def test_not_a_message():
    good = message((stun.LIFETIME, b"\0\0\2\x58"))
    assert stun.decode(good).get(stun.LIFETIME) == b"\0\0\2\x58"
    for length in range(len(good)):
        refused(good[:length])
    refused(good + b"\0")
    refused(good + bytes(4))
    refused(b"")
    refused(b"\xff" * 64)
    for word in (b"\x40\x03", b"\x80\x03", b"\xc0\x03"):
        refused(message(word=word))
    refused(message(cookie=b"\x21\x12\xa4\x43"))
    refused(message(length=4))
    refused(message(b"\0\0\0\0", length=0))
    refused(message(b"\0\x06\0\x05abcd"))  # beyond the end
    refused(message(b"\0\x06\xff\xff"))


def test_bounds():
    room = stun.MESSAGE_BYTES_MAX - 24
    data = stun.encode(stun.SEND, stun.INDICATION, HERE, [(stun.DATA, bytes(room))])
    assert len(data) == stun.MESSAGE_BYTES_MAX and stun.decode(data).get(stun.DATA) == bytes(room)
    assert raises(UsageError, stun.encode, 6, 1, HERE, [(stun.DATA, bytes(room + 1))]).code == "stun"
    refused(message((stun.DATA, bytes(room + 1))))
    assert raises(UsageError, stun.encode, 6, 1, b"short", []).code == "stun"
    many = [(stun.DATA, b"")] * stun.ATTRIBUTES_MAX
    assert len(stun.decode(message(*many)).attributes) == stun.ATTRIBUTES_MAX
    refused(message((stun.DATA, b""), *many))
    assert raises(UsageError, stun.encode, 6, 1, HERE, many).code == "stun"
    crypto = port.crypto()
    data = stun.encode(3, 0, HERE, many[2:], (crypto.hmac_sha1, KEY), True)
    assert len(stun.decode(data).attributes) == stun.ATTRIBUTES_MAX - 2
    # What is ignored is counted too.
    proved = message(*many[3:], (stun.MESSAGE_INTEGRITY, bytes(20)), (0x8030, b""), (0x8030, b""))
    assert len(stun.decode(proved).attributes) == stun.ATTRIBUTES_MAX - 3
    refused(message(*many[2:], (stun.MESSAGE_INTEGRITY, bytes(20)), (0x8030, b""), (0x8030, b"")))


def test_order_and_unknown():
    data = message((stun.REALM, b"one"), (0x0003, b""), (0x7FFF, b"x"), (0x8022, b"soft"), (stun.REALM, b"two"))
    read = stun.decode(data)
    assert read.get(stun.REALM) == b"one" and read.unknown() == [0x0003, 0x7FFF]
    assert [kind for kind, _ in read.attributes] == [stun.REALM, 3, 0x7FFF, 0x8022, stun.REALM]
    ours = [(kind, b"") for kind in (6, 9, 10, 12, 13, 18, 19, 20, 21, 22, 23, 24, 25, 26, 32, 34, 42, 0x8000, 0x8001)]
    assert stun.decode(message(*ours)).unknown() == []


def test_padding_is_zero_and_not_read():
    data = stun.encode(1, 0, HERE, [(stun.USERNAME, b"abcde")])
    assert data[-3:] == bytes(3)
    assert stun.decode(data[:-3] + b"\xff\xff\xff").get(stun.USERNAME) == b"abcde"


def test_proofs_of_both_hashes():
    crypto = port.crypto()
    for hmac, other, size in ((crypto.hmac_sha1, crypto.hmac_sha256, 24), (crypto.hmac_sha256, crypto.hmac_sha1, 36)):
        for with_fingerprint in (False, True):
            data = stun.encode(3, 0, HERE, [(stun.USERNAME, b"bob")], (hmac, KEY), with_fingerprint)
            read = stun.decode(data)
            assert len(data) == 28 + size + (8 if with_fingerprint else 0) and read.integrity_at == 28
            assert read.attributes == [(stun.USERNAME, b"bob")]
            assert stun.is_intact(crypto, data, read, KEY) and stun.is_intact(crypto, memoryview(data), read, KEY)
            assert not stun.is_intact(crypto, data, read, b"")
            assert stun.hmac_of(crypto, data, read)(b"a", b"b") == hmac(b"a", b"b") != other(b"a", b"b")
    bare = message((stun.USERNAME, b"bob"))
    assert not stun.is_intact(crypto, bare, stun.decode(bare), KEY)


def test_truncated_sha256():
    """RFC 8489 section 14.6: 16 to 32 bytes, a multiple of 4; the length in the header is the truncated one."""
    crypto = port.crypto()
    for size in range(40):
        text = message((stun.USERNAME, b"bob"))
        text = text[:2] + (8 + 4 + size).to_bytes(2, "big") + text[4:]
        mac = (crypto.hmac_sha256(KEY, text) + bytes(8))[:size]
        data = text + b"\x00\x1c" + size.to_bytes(2, "big") + mac + bytes(-size & 3)
        data = data[:2] + (len(data) - 20).to_bytes(2, "big") + data[4:]
        if size in (16, 20, 24, 28, 32):
            assert stun.is_intact(crypto, data, stun.decode(data), KEY)
            assert not stun.is_intact(crypto, data[:-1] + bytes((data[-1] ^ 1,)), stun.decode(data), KEY)
        else:
            refused(data)
    for size in (0, 16, 19, 21, 24, 32):
        refused(message((stun.MESSAGE_INTEGRITY, bytes(size))))


def test_what_follows_a_proof():
    """Ignored, but for the SHA-256 form after the other, which is then the one to check, and the fingerprint."""
    crypto = port.crypto()
    data = stun.encode(3, 0, HERE, [(stun.USERNAME, b"bob")], (crypto.hmac_sha1, KEY))
    more = data + b"\0\x06\0\x04evil" + b"\x80\x22\0\0"
    more = more[:2] + (len(more) - 20).to_bytes(2, "big") + more[4:]
    read = stun.decode(more)
    assert read.attributes == [(stun.USERNAME, b"bob")] and stun.is_intact(crypto, more, read, KEY)
    text = data[:2] + (len(data) + 36 - 20).to_bytes(2, "big") + data[4:]
    both = text + b"\0\x1c\0\x20" + crypto.hmac_sha256(KEY, text)
    read = stun.decode(both)
    assert read.integrity_at == len(data) and stun.is_intact(crypto, both, read, KEY)
    assert not stun.is_intact(crypto, both[:-1] + b"\0", read, KEY)
    forged = both[:40] + bytes((both[40] ^ 1,)) + both[41:]  # in the SHA-1 form, which the other covers
    assert not stun.is_intact(crypto, forged, stun.decode(forged), KEY)
    sha256, sha1 = (stun.MESSAGE_INTEGRITY_SHA256, bytes(32)), (stun.MESSAGE_INTEGRITY, bytes(20))
    assert stun.decode(message(sha256, sha1)).integrity_at == 20
    assert stun.decode(message(sha1, sha1)).integrity_at == 20
    assert stun.decode(message(sha1, sha256, sha256)).integrity_at == 44


def fingerprint_of(text):
    return b"\x80\x28\0\4" + (binascii.crc32(text) ^ 0x5354554E).to_bytes(4, "big")


def test_fingerprint():
    data = stun.encode(1, 0, HERE, [(stun.USERNAME, b"bob")], None, True)
    assert stun.decode(data).attributes == [(stun.USERNAME, b"bob")]
    for at in range(len(data)):
        if at not in (28, 29):  # its own type: another attribute, that may be ignored
            refused(data[:at] + bytes((data[at] ^ 0x10,)) + data[at + 1 :])
    text = data[:2] + (len(data) + 4 - 20).to_bytes(2, "big") + data[4:-8]
    more = b"\x80\x22\0\0"
    assert stun.decode(text + more + fingerprint_of(text + more)).get(0x8022) == b""
    refused(text + fingerprint_of(text) + more)  # right, but not the last
    refused(message((stun.FINGERPRINT, b"")))
    refused(message((stun.FINGERPRINT, bytes(8))))


def test_addresses():
    for address in ((b"\xc0\0\2\1", 32853), (bytes(4), 0), (b"\xff" * 16, 65535), (bytes(range(16)), 0x2112)):
        value = stun.xor_address(address, HERE)
        assert len(value) == 4 + len(address[0]) and stun.read_xor_address(value, HERE) == address
        assert value[:2] == (b"\0\1" if len(address[0]) == 4 else b"\0\2")
        assert {address: 1}[stun.read_xor_address(value, HERE)] == 1
    assert stun.xor_address((bytes(16), 0x2112), HERE) == b"\0\2\0\0\x21\x12\xa4\x42" + HERE
    for value in (
        b"",
        b"\0\1",
        bytes(8),
        b"\0\2" + bytes(6),
        b"\0\1" + bytes(18),
        b"\0\3" + bytes(6),
        b"\0\1" + bytes(7),
    ):
        assert raises(PeerError, stun.read_xor_address, value, HERE).code == "stun"


def test_error_codes_are_small():
    for code in (400, 401, 403, 420, 437, 438, 440, 441, 442, 443, 446, 447, 486, 508):
        assert stun.error_code(code) == bytes((0, 0, code // 100, code % 100))


def test_channel_data():
    assert stun.channel_data(0x4000, b"abcde", False) == b"\x40\0\0\5abcde"
    assert stun.channel_data(0x7FFF, memoryview(b"abcde"), True) == b"\x7f\xff\0\5abcde\0\0\0"
    assert stun.channel_data(0x4001, b"", True) == b"\x40\1\0\0"
    for number, payload in ((0x3FFF, b""), (0x8000, b""), (0x14000, b""), (0x4000, bytes(stun.MESSAGE_BYTES_MAX - 3))):
        assert raises(UsageError, stun.channel_data, number, payload, False).code == "stun"
    whole = stun.channel_data(0x4000, bytes(stun.MESSAGE_BYTES_MAX - 4), True)
    assert stun.frame_length(whole[:4]) == len(whole)


def test_frames_on_a_stream():
    assert stun.frame_length(message((stun.DATA, b"abcde"))[:4]) == 32
    for length in range(9):
        assert (
            stun.frame_length(memoryview(stun.channel_data(0x4000, bytes(length), True))[:4])
            == 4 + (length + 3) // 4 * 4
        )
    for head in (
        "80000000",
        "ffffffff",
        "00010001",
        "00010002",
        "0001082c",
        "4000082d",
        "4000ffff",
    ):
        assert raises(PeerError, stun.frame_length, bytes.fromhex(head)).code == "stun", head
    assert stun.frame_length(b"\0\1\x08\x1c") == stun.MESSAGE_BYTES_MAX
    assert raises(UsageError, stun.frame_length, b"\0\1\0").code == "stun"
