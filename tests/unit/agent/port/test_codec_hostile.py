"""Invariant: `decode` gives a value whose encoding is exactly the input, or PeerError("cbor"); never another
exception, in time and memory bounded by the length of the input.
"""

from agent import port
from agent.errors import PeerError
from tests.expect import raises

HOSTILE = (
    # nothing, too little, too much
    "", "18", "19ff", "1a000000", "1b00000000000000", "41", "62c3", "81", "8201", "a1", "a101", "d2", "0000", "f6f6",
    "a000", "8000", "60ff",
    # lengths of 2^64 - 1, 2^63, 2^32 and more than there is
    "5bffffffffffffffff", "7bffffffffffffffff", "9bffffffffffffffff", "bbffffffffffffffff", "5b8000000000000000",
    "9b8000000000000000", "bb8000000000000000", "5a7fffffff00", "9a7fffffff00", "ba7fffffff0000", "9b00000001000000",
    "9903e800", "b903e80000", "5903e800", "bb7fffffffffffffff00",
    # indefinite lengths and breaks, reserved heads
    "ff", "5f4101ff", "7f6161ff", "9fff", "9f01ff", "bfff", "bf0101ff", "1c", "1d", "1e", "1f", "3f", "5c", "7d", "9e",
    "bc", "dc", "df01", "fc", "fd", "fe", "81ff", "a1ff00", "d2ff",
    # floats, undefined and other simple values
    "f90000", "f97e00", "fa00000000", "fb0000000000000000", "fb7ff8000000000000", "f7", "e0", "f0", "f3", "f800",
    "f814", "f815", "f820", "f8ff", "81f7", "a1f700", "a100f7",
    # longer forms than needed
    "1800", "1817", "190000", "1900ff", "1a0000ffff", "1b00000000ffffffff", "3817", "5800", "580161", "7800", "9800",
    "980100", "b800", "b8010000", "d81200", "590001aa",
    # repeated and unsorted keys
    "a201010101", "a201010102", "a202010101", "a2616101616101", "a2616201616101", "a2616100" + "01" + "00",
    "a262616100616200", "a220000100", "a21800000100",
    # keys that are neither int nor text
    "a1f501", "a1f401", "a1f601", "a14001", "a18001", "a1a001", "a1d20101", "a1810101", "a1f9000001",
    # tags that are not allowed, among them dates, big numbers, references, expressions, sets
    "c000", "c101", "c249ffffffffffffffffff", "c349ffffffffffffffffff", "c48220fb", "c4821a3fffffff01", "c5820101",
    "d81c81d81d00", "d81d00", "d81c00", "d8236128", "d901008101", "d90100820101", "d8184100",
    "d9d9f701", "d90102818181", "d9ffff00", "db000000010000000000", "dbffffffffffffffff00", "d81900", "d9010080",
    "d8254000", "d825" + "50" + "00" * 16, "d9010443010203",
    # text that is not UTF-8: lone and missing continuation, overlong, surrogate, above 0x10ffff, five bytes
    "6180", "61c3", "62c328", "62c080", "62c1bf", "63e08080", "63e09fbf", "63eda080", "63edbfbf", "64f0808080",
    "64f08fbfbf", "64f4908080", "64f5808080", "65f888808080", "66fc8480808080", "61fe", "61ff", "64c3a9c328",
    "64c080c3a9", "65e08080c3a9",
)  # fmt: skip


def test_hostile_inputs():
    codec = port.codec()
    for text in HOSTILE:
        data = bytes.fromhex(text)
        error = raises(PeerError, codec.decode, data, (18,))
        assert error.code == "cbor" and error.text.startswith("expected deterministic CBOR"), text


def test_a_run_of_one_byte():
    codec = port.codec()
    for byte in range(256):
        for length in (2, 64, 300):
            data = bytes((byte,)) * length
            try:
                assert codec.encode(codec.decode(data, (18,))) == data
            except PeerError as error:
                assert error.code == "cbor"


def test_depth():
    codec = port.codec()
    for opening in (b"\x81", b"\xa1\x00", b"\xd2"):
        assert codec.encode(codec.decode(opening * 16 + b"\x00", (18,))) == opening * 16 + b"\x00"
        for levels in (17, 33, 100, 1000):
            error = raises(PeerError, codec.decode, opening * levels + b"\x00", (18,))
            assert error.code == "cbor"
    assert codec.decode(b"\x00", (), 0) == 0
    assert raises(PeerError, codec.decode, b"\x80", (), 0).code == "cbor"
    assert codec.decode(b"\x80", (), 1) == []
    assert raises(PeerError, codec.decode, b"\x81\x80", (), 1).code == "cbor"
    assert raises(PeerError, codec.decode, b"\xd2\x80", (18,), 1).code == "cbor"


def test_many_containers_cost_bounded_memory():
    codec = port.codec()
    data = b"\x98\x80" + b"\x80" * 128
    assert len(codec.decode(data)) == 128
    assert raises(PeerError, codec.decode, b"\x98\x81" + b"\x80" * 128).code == "cbor"


def test_every_cut_and_every_flip_of_a_valid_message():
    codec = port.codec()
    value = codec.Tag(18, [b"\xa1\x01\x28", {}, b"payload", {"key": [1, -1, "\u00fc", None], 7: True}])
    data = codec.encode(value)
    assert codec.decode(data, (18,)) == value
    for length in range(len(data)):
        assert raises(PeerError, codec.decode, data[:length], (18,)).code == "cbor"
    assert raises(PeerError, codec.decode, data + b"\x00", (18,)).code == "cbor"
    assert raises(PeerError, codec.decode, data).code == "cbor"  # tag 18 was not allowed
    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << (bit % 8)
        changed = bytes(changed)
        try:
            assert codec.encode(codec.decode(changed, (18,))) == changed
        except PeerError as error:
            assert error.code == "cbor"
