"""Invariant: for any input both codecs give the same: either a value whose encoding is exactly the input, or
PeerError("cbor"); never another exception, in time and memory bounded by the input. For any value both give the same
bytes or UsageError("cbor").

Seeded; CORELET_FULL=1 runs FULL times as much with other seeds.
"""

import os
import random
import time
import tracemalloc
from typing import Any

import pytest

from agent.errors import PeerError, UsageError
from tests.unit.agent.port.test_codec_hostile import HOSTILE
from tests.vectors.bodies import CODECS, each_codec, library_codec, outcome, own_codec

FULL = 40
ROUNDS = FULL if os.environ.get("CORELET_FULL") == "1" else 1
TAGS = (16, 17, 18, 24, 61, 107)
LETTERS = "aZ09 \x00\x7f\x80\u00fc\u07ff\u0800\u20ac\ud7ff\ue000\uffff\U00010000\U0001f600\U0010ffff"
NUMBERS = tuple(
    sign * ((1 << bits) + step) for bits in (0, 3, 5, 8, 16, 32, 63) for step in (-1, 0, 1) for sign in (1, -1)
)

HEADS = bytes.fromhex("00171819 1b1f405f 617f809f a1bfd2f5 f7f9fbff")  # where decoders go wrong


def shape(value: Any) -> Any:
    """Comparable across the two Tag classes, and with True unlike 1."""
    if type(value) in (library_codec.Tag, own_codec.Tag):
        return "tag", value.tag, shape(value.value)
    if type(value) is list:
        return "list", [shape(item) for item in value]
    if type(value) is dict:
        return "map", {(type(key).__name__, key): shape(item) for key, item in value.items()}
    assert value is None or type(value) in (bool, int, bytes, str)
    return type(value).__name__, value


def random_key(seed: random.Random) -> int | str:
    if seed.random() < 0.6:
        return seed.choice(NUMBERS) if seed.random() < 0.3 else seed.randrange(-30, 300)
    return "".join(seed.choices(LETTERS, k=seed.choice((0, 1, 2, 5, 24))))


def random_value(seed: random.Random, depth: int, codec: Any) -> Any:
    kind = seed.randrange(9 if depth else 6)
    if kind == 0:
        return seed.choice((None, True, False))
    if kind in (1, 2):
        return seed.choice((*NUMBERS, (1 << 64) - 1, -(1 << 64), seed.getrandbits(64), seed.randrange(-300, 300)))
    if kind == 3:
        return seed.randbytes(seed.choice((0, 1, 23, 24, 65, 255, 256)))
    if kind in (4, 5):
        return "".join(seed.choices(LETTERS, k=seed.choice((0, 1, 4, 23, 24, 90))))
    if kind == 6:
        return [random_value(seed, depth - 1, codec) for _ in range(seed.choice((0, 1, 2, 3, 23, 24)))]
    if kind == 7:
        return {random_key(seed): random_value(seed, depth - 1, codec) for _ in range(seed.choice((0, 1, 2, 3, 8, 30)))}
    return codec.Tag(seed.choice(TAGS), random_value(seed, depth - 1, codec))


def with_tags_of(codec: Any, value: Any) -> Any:
    if type(value) is list:
        return [with_tags_of(codec, item) for item in value]
    if type(value) is dict:
        items = [(key, with_tags_of(codec, item)) for key, item in value.items()]
        return dict(reversed(items))  # another order in the dict, the same bytes
    if type(value) is own_codec.Tag:
        return codec.Tag(value.tag, with_tags_of(codec, value.value))
    return value


def mutated(seed: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(seed.choice((1, 1, 1, 2, 3, 8))):
        place = seed.randrange(len(changed) + 1)
        action = seed.randrange(6)
        if action == 0 and place < len(changed):
            changed[place] ^= 1 << seed.randrange(8)
        elif action == 1:
            del changed[place : place + seed.choice((1, 2, 9))]
        elif action == 2:
            changed[place:place] = seed.randbytes(seed.choice((1, 1, 2, 5)))
        elif action == 3:
            changed[place:place] = changed[place : place + seed.choice((1, 3, 8))]
        elif action == 4 and place < len(changed):
            changed[place] = seed.choice(HEADS)
        else:
            other = seed.randrange(len(changed) + 1)
            low, high = min(place, other), max(place, other)
            changed[low:low] = changed[high : high + 4]
            del changed[high + 4 : high + 8]
    return bytes(changed)


def loose_head(seed: random.Random, fault: float, major: int, argument: int) -> bytes:
    """A head, with probability `fault` in a longer form, indefinite, reserved or promising a little more or less."""
    if seed.random() < fault:
        kind = seed.randrange(4)
        if kind == 0:
            return bytes((major << 5 | seed.choice((28, 29, 30, 31)),))
        if kind == 1:
            argument = min(max(0, argument + seed.choice((-1, 1, 200))), (1 << 64) - 1)
        else:
            code = seed.randrange(4)
            argument &= (1 << (8 << code)) - 1
            return bytes((major << 5 | 24 + code,)) + argument.to_bytes(1 << code, "big")
    if argument < 24:
        return bytes((major << 5 | argument,))
    code = next(code for code in range(4) if argument < 1 << (8 << code))
    return bytes((major << 5 | 24 + code,)) + argument.to_bytes(1 << code, "big")


def loose_text(seed: random.Random, fault: float) -> bytes:
    text = "".join(seed.choices(LETTERS, k=seed.choice((0, 1, 2, 9, 24)))).encode()
    if seed.random() < fault:
        place = seed.randrange(len(text) + 1)
        wrong = (
            b"\x80",
            b"\xc3",
            b"\xc0\x80",
            b"\xe0\x80\x80",
            b"\xed\xa0\x80",
            b"\xf4\x90\x80\x80",
            b"\xf0\x80\x80\x80",
            b"\xff",
        )
        text = text[:place] + seed.choice(wrong) + text[place + seed.randrange(2) :]
    return loose_head(seed, fault, 3, len(text)) + text


def loose_item(seed: random.Random, fault: float, depth: int) -> bytes:
    """One encoded item made without an encoder, so that it can be wrong in ways that mutations seldom hit."""
    kind = seed.randrange(9 if depth else 6)
    if seed.random() < fault:
        return seed.choice(
            (b"\xf7", b"\xe0", b"\xf8\x20", b"\xf9\x3c\x00", b"\xfa" + bytes(4), b"\xfb" + bytes(8), b"\xff", b"")
        )
    if kind < 2:
        return loose_head(seed, fault, kind, seed.choice((*range(30), 255, 256, 65536, 1 << 32, (1 << 64) - 1)))
    if kind == 2:
        data = seed.randbytes(seed.choice((0, 1, 23, 24)))
        return loose_head(seed, fault, 2, len(data)) + data
    if kind == 3:
        return loose_text(seed, fault)
    if kind < 6:
        return seed.choice((b"\xf4", b"\xf5", b"\xf6"))
    if kind == 6:
        items = [loose_item(seed, fault, depth - 1) for _ in range(seed.choice((0, 1, 2, 5, 24)))]
        return loose_head(seed, fault, 4, len(items)) + b"".join(items)
    if kind == 7:
        return loose_head(
            seed, fault, 6, seed.choice(TAGS if seed.random() > fault else (0, 1, 2, 28, 29, 35, 258))
        ) + loose_item(seed, fault, depth - 1)
    return loose_map(seed, fault, depth)


def loose_map(seed: random.Random, fault: float, depth: int) -> bytes:
    """Sorted and unique keys, unless a fault swaps, repeats or brings one of another kind."""
    keys = {loose_head(seed, 0, seed.randrange(2), seed.choice((*range(30), 300))) for _ in range(seed.randrange(5))}
    keys |= {loose_text(seed, 0) for _ in range(seed.randrange(3))}
    ordered = sorted(keys)
    if seed.random() < 3 * fault and ordered:
        kind = seed.randrange(3)
        if kind == 0:
            seed.shuffle(ordered)
        elif kind == 1:
            ordered.insert(seed.randrange(len(ordered)), seed.choice(ordered))
        else:
            ordered.append(
                seed.choice((b"\xf4", b"\xf5", b"\xf6", b"\x40", b"\x80", b"\xa0", b"\xd2\x00", b"\xf9\x3c\x00"))
            )
    pairs = [key + loose_item(seed, fault, depth - 1) for key in ordered]
    return loose_head(seed, fault, 5, len(pairs)) + b"".join(pairs)


def check(data: bytes, tags: tuple[int, ...] = TAGS, depth: int = 16) -> bool:
    """The invariant for one input. True if it was taken."""
    results: list[Any] = []
    for codec in CODECS:
        try:
            value = codec.decode(data, tags, depth)
        except PeerError as error:
            assert error.code == "cbor", data.hex()
            results.append(None)
        else:
            assert codec.encode(value) == data, data.hex()
            results.append(shape(value))
    assert results[0] == results[1], data.hex()
    return results[0] is not None


def test_values() -> None:
    seed = random.Random(8949)
    for _ in range(1500 * ROUNDS):
        value = random_value(seed, seed.randrange(5), own_codec)
        data = own_codec.encode(value)
        assert library_codec.encode(with_tags_of(library_codec, value)) == data
        assert check(data)
        assert shape(own_codec.decode(data, TAGS)) == shape(value)


def test_mutated_encodings() -> None:
    seed = random.Random(4221)
    taken = 0
    for _ in range(1000 * ROUNDS):
        data = own_codec.encode(random_value(seed, seed.randrange(4), own_codec))
        for _ in range(8):
            taken += check(mutated(seed, data))
    assert 100 < taken < 7000 * ROUNDS  # the mutations reach both answers


def test_random_bytes() -> None:
    seed = random.Random(1)
    heads = bytes(range(0x18)) + bytes(
        (0x20, 0x38, 0x40, 0x41, 0x60, 0x61, 0x62, 0x80, 0x81, 0x82, 0xA0, 0xA1, 0xA2, 0xD2, 0xF4, 0xF5, 0xF6)
    )
    taken = 0
    for _ in range(10000 * ROUNDS):
        length = seed.choice((1, 2, 3, 4, 6, 9, 16, 40))
        taken += check(seed.randbytes(length) if seed.random() < 0.5 else bytes(seed.choices(heads, k=length)))
    assert taken > 500


def test_items_made_without_an_encoder() -> None:
    seed = random.Random(5)
    taken = refused = 0
    for _ in range(6000 * ROUNDS):
        data = loose_item(seed, seed.choice((0, 0.01, 0.05, 0.2)), seed.randrange(5))
        if check(data):
            taken += 1
        else:
            refused += 1
        check(data + seed.choice((b"\x00", b"\xff", data[:9])))
    assert taken > 2000 and refused > 500


def test_the_hostile_list() -> None:
    for text in HOSTILE:
        assert not check(bytes.fromhex(text), (18,)), text


def test_all_short_inputs() -> None:
    for one in range(256):
        check(bytes((one,)))
        for other in range(256):
            check(bytes((one, other)))
    for text in range(0x80, 0x100):  # every two-byte and many three- and four-byte sequences of UTF-8
        for other in range(0x70, 0xD0, 3 if ROUNDS == 1 else 1):
            check(bytes((0x62, text, other)))
            for last in (0x7F, 0x80, 0xBF, 0xC0):
                check(bytes((0x63, text, other, last)))
                check(bytes((0x64, text, other, last, 0x80)))


def test_depth_and_tags_agree() -> None:
    seed = random.Random(16)
    for _ in range(1500 * ROUNDS):
        data = (
            b"".join(seed.choice((b"\x81", b"\xa1\x00", b"\xd2", b"\xd8\x18")) for _ in range(seed.randrange(40)))
            + b"\x00"
        )
        check(data, seed.choice(((), (18,), (24,), (18, 24))), seed.choice((0, 1, 2, 15, 16, 17, 31, 32)))


@pytest.mark.parametrize(
    "value",
    [1.0, (1,), bytearray(b"a"), {b"k": 1}, {None: 1}, {True: 1}, {1.0: 1}, {(1,): 1}, 1 << 64, -(1 << 64) - 1,
     "\ud800", {"\udfff": 1}, [{"a": [1.5]}], set(), object(), {1: {2: {3: b"", 4: 1 << 70}}}, complex(1, 2)],
)  # fmt: skip
def test_values_outside_the_subset(value: Any) -> None:
    for codec in CODECS:
        for whole in (value, [value], {1: value}, codec.Tag(18, value), codec.Tag(value, 1)):
            with pytest.raises(UsageError) as caught:
                codec.encode(whole)
            assert caught.value.code == "cbor"


@each_codec
def test_hostile_inputs_are_cheap(codec: Any) -> None:
    """Heads that promise 2^64 of anything, deep nesting, and the widest amplification we know: empty containers."""
    inputs = [bytes((head,)) + b"\xff" * 8 for head in (0x1B, 0x3B, 0x5B, 0x7B, 0x9B, 0xBB, 0xDB, 0xFB)]
    inputs += [bytes((head,)) + b"\x7f\xff\xff\xff" + bytes(8) for head in (0x5A, 0x7A, 0x9A, 0xBA, 0xDA)]
    inputs += [b"\xff" * 64, b"\xff" * 4096, b"\x81" * 4096, b"\x9f" * 4096, b"\xa1\x00" * 2048, b"\xd2" * 4096]
    inputs += [b"\x99\x0f\xfd" + empty * 4093 for empty in (b"\x80", b"\xa0", b"\x00", b"\x60")]
    inputs += [b"\x9b\x00\x00\x00\x00\x00\x00\x0f\xf0" + b"\x80" * 4080]
    inputs += [b"\xb9\x07\xff" + b"".join(b"\x19" + key.to_bytes(2, "big") + b"\x00" for key in range(2047))]
    inputs += [b"\x59\x0f\xfd" + bytes(4093), b"\x79\x0f\xfd" + b"\xc3\xbc" * 2046 + b"a"]
    tracemalloc.start()
    try:
        for data in inputs:
            assert len(data) <= 9000
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            started = time.process_time()
            result = outcome(codec.decode, data, (18,))
            assert time.process_time() - started < 1.0, data[:9].hex()
            assert tracemalloc.get_traced_memory()[1] - before < 200 * len(data) + 50000, data[:9].hex()
            assert result[0] == "value" or result == ("error", "PeerError", "cbor")
    finally:
        tracemalloc.stop()


def test_tags_the_library_interprets_cannot_be_allowed() -> None:
    """Otherwise a date or a big number would come out where the other body gives a Tag."""
    for tag in library_codec.INTERPRETED:
        with pytest.raises(UsageError):
            library_codec.decode(b"\x00", (tag,))
    for tag in (*range(300), 1004, 1040, 43000, 55799, 55800):
        if tag in library_codec.INTERPRETED:
            continue
        for body in (b"\x00", b"\x40", b"\x60", b"\x80", b"\x82\x00\x00", b"\xa0", b"\x44\x7f\x00\x00\x01", b"\x61a"):
            data = library_codec.encode(library_codec.Tag(tag, None))[:-1] + body
            assert check(data, (tag,)), data.hex()
