"""One value, one encoding: values of RFC 8949 appendix A and section 4.2.1, the order of keys, what is refused."""

from agent import port
from agent.errors import UsageError
from tests.expect import raises

# RFC 8949 appendix A, all rows inside our subset except those with tags; (hex, value).
APPENDIX_A = (
    ("00", 0),
    ("01", 1),
    ("0a", 10),
    ("17", 23),
    ("1818", 24),
    ("1819", 25),
    ("1864", 100),
    ("1903e8", 1000),
    ("1a000f4240", 1000000),
    ("1b000000e8d4a51000", 1000000000000),
    ("1bffffffffffffffff", 18446744073709551615),
    ("3bffffffffffffffff", -18446744073709551616),
    ("20", -1),
    ("29", -10),
    ("3863", -100),
    ("3903e7", -1000),
    ("f4", False),
    ("f5", True),
    ("f6", None),
    ("40", b""),
    ("4401020304", b"\x01\x02\x03\x04"),
    ("60", ""),
    ("6161", "a"),
    ("6449455446", "IETF"),
    ("62225c", '"\\'),
    ("62c3bc", "\u00fc"),
    ("63e6b0b4", "\u6c34"),
    ("64f0908591", "\U00010151"),
    ("80", []),
    ("83010203", [1, 2, 3]),
    ("8301820203820405", [1, [2, 3], [4, 5]]),
    (
        "98190102030405060708090a0b0c0d0e0f101112131415161718181819",
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25],
    ),
    ("a0", {}),
    ("a201020304", {1: 2, 3: 4}),
    ("a26161016162820203", {"a": 1, "b": [2, 3]}),
    ("826161a161626163", ["a", {"b": "c"}]),
    ("a56161614161626142616361436164614461656145", {"a": "A", "b": "B", "c": "C", "d": "D", "e": "E"}),
)


def is_same(one, other):
    """Equal, and True is not 1."""
    if type(one) is not type(other):
        return False
    if type(one) is list:
        return len(one) == len(other) and all(is_same(one[index], other[index]) for index in range(len(one)))
    if type(one) is dict:
        return len(one) == len(other) and all(key in other and is_same(one[key], other[key]) for key in one)
    return one == other


def test_appendix_a():
    codec = port.codec()
    for text, value in APPENDIX_A:
        data = bytes.fromhex(text)
        assert codec.encode(value) == data, text
        assert is_same(codec.decode(data), value), text


def test_edges_of_every_head():
    codec = port.codec()
    for bits in (0, 5, 8, 16, 31, 32, 63, 64):
        for value in ((1 << bits) - 2, (1 << bits) - 1, 1 << bits, (1 << bits) + 1):
            for number in (value, -value):
                if -(1 << 64) <= number < 1 << 64:
                    assert codec.decode(codec.encode(number)) == number
                else:
                    assert raises(UsageError, codec.encode, number).code == "cbor"
    for length in (0, 1, 23, 24, 255, 256):
        assert len(codec.encode(b"x" * length)) == length + (1 if length < 24 else 2 if length < 256 else 3)
        assert codec.decode(codec.encode("x" * length)) == "x" * length
        assert codec.decode(codec.encode([None] * length)) == [None] * length


def test_keys_are_sorted_by_their_encodings():
    codec = port.codec()
    # RFC 8949 section 4.2.1, its example without the keys that are neither int nor text:
    keys = (10, 100, -1, "z", "aa")
    wanted = "a5" + "0a00" + "186400" + "2000" + "617a00" + "62616100"
    for turn in range(len(keys)):
        value = {}
        for key in keys[turn:] + keys[:turn]:
            value[key] = 0
        assert codec.encode(value).hex() == wanted
    # Bytewise, not shortest first (RFC 7049 would put "a" before 1000).
    assert codec.encode({"a": 1, 1000: 2}).hex() == "a2" + "1903e802" + "616101"
    big = {}
    for number in range(60):
        big[(number * 7919) % 4001 - 2000] = number
    again = {}
    for key in sorted(big):
        again[key] = big[key]
    assert codec.encode(big) == codec.encode(again)
    assert codec.decode(codec.encode(big)) == big


def test_a_bool_is_not_a_number():
    codec = port.codec()
    assert codec.encode([True, 1, False, 0]).hex() == "84f501f400"
    back = codec.decode(codec.encode([True, 1, False, 0]))
    assert back[0] is True and type(back[1]) is int and back[2] is False and type(back[3]) is int
    assert raises(UsageError, codec.encode, {True: 1}).code == "cbor"
    assert raises(UsageError, codec.encode, codec.Tag(True, 1)).code == "cbor"


def test_tags():
    codec = port.codec()
    value = codec.Tag(18, [b"", {1: codec.Tag(61, "x"), "k": [codec.Tag(16, [])]}])
    data = codec.encode(value)
    assert data.hex() == "d28240a201d83d6178616b81d080"
    back = codec.decode(data, (16, 18, 61))
    assert type(back) is codec.Tag and back == value
    assert type(back.value) is list and type(back.value[1]) is dict and type(back.value[1]["k"]) is list
    assert type(back.value[1][1]) is codec.Tag and type(back.value[1]["k"][0].value) is list
    assert back.tag == 18 and back.value[0] == b""
    huge = codec.Tag((1 << 64) - 1, None)
    assert codec.decode(codec.encode(huge), ((1 << 64) - 1,)) == huge


def test_values_outside_the_subset():
    codec = port.codec()
    cyclic: list = []
    cyclic.append(cyclic)
    loop: dict = {}
    loop[1] = [loop]
    for value in (
        1.0,
        (1, 2),
        bytearray(b"a"),
        memoryview(b"a"),
        {1, 2},
        object(),
        {b"a": 1},
        {None: 1},
        {(1, 2): 1},
        {1.5: 1},
        {1 << 64: 1},
        [1, [2, {3: 1 << 64}]],
        -(1 << 64) - 1,
        codec.Tag(-1, 0),
        codec.Tag(1 << 64, 0),
        codec.Tag("1", 0),
        codec.Tag(1, 1.0),
        cyclic,
        loop,
    ):
        error = raises(UsageError, codec.encode, value)
        assert error.code == "cbor" and error.text.startswith("expected")


def test_lone_surrogates_are_not_text():
    codec = port.codec()
    for number in (0xD800, 0xDBFF, 0xDC00, 0xDFFF):
        assert raises(UsageError, codec.encode, "a" + chr(number)).code == "cbor"
        assert raises(UsageError, codec.encode, {chr(number): 1}).code == "cbor"
    for number in (0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xE000, 0xFFFF, 0x10000, 0x10FFFF):
        assert codec.decode(codec.encode(chr(number))) == chr(number)


def test_depth_of_the_encoder():
    codec = port.codec()
    value: list = []
    for _ in range(31):
        value = [value]
    data = codec.encode(value)  # 32 levels
    assert len(data) == 32 and codec.decode(data, (), 32) == value
    assert raises(UsageError, codec.encode, [value]).code == "cbor"
    assert raises(UsageError, codec.decode, b"\x00", (), 33).code == "cbor"
