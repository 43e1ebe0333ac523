"""Frames and sealed maps: there and back, and each bound."""

from tests.unit.agent.core.pairing.bodies import codec

# isort: split

from agent.core.pairing.prover import decode_info, encode_bundle
from agent.errors import PeerError, UsageError
from agent.wire import pairing_frames as frames
from agent.wire import shape
from agent.wire.pairing_frames import Step
from tests.expect import raises

SESSION = bytes(range(8))
CORE = "0123456789abcdef"
NONCE = b"n" * 16
POINT = b"\x04" + b"p" * 64
PROOF = b"r" * 32 + b"s" * 32
BUNDLE = {
    "ca": b"a" * 400,
    "cert": b"c" * 400,
    "core": CORE,
    "name": "Home",
    "brokers": [["192.0.2.7", 8883], ["fe80::1", 1]],
    "time": 1_700_000_000,
    "signing_key": POINT,
    "ceilings": {"shard_bytes": 5},
}


def changed(key: str, value: object) -> dict:
    copy = dict(BUNDLE)
    copy[key] = value
    return copy


def test_frames_there_and_back() -> None:
    requests = (
        (Step.HELLO, b"", [[1], CORE, NONCE]),
        (Step.SHARE, SESSION, [POINT]),
        (Step.CONFIRM, SESSION, [b"c" * 32]),
        (Step.DELIVER, SESSION, [b"s" * 1900]),
        (Step.ABORT, SESSION, [b""]),
        (Step.ABORT, SESSION, [b"t" * 32]),
    )
    for step, session, fields in requests:
        data = frames.encode_frame(codec, step, session, fields)
        assert frames.decode_frame(codec, data, frames.REQUESTS) == (step, session, fields)
    answers = (
        (Step.HELLO, SESSION, [1, "a1b2c3d4", NONCE, b"s" * 16, 1000, 20]),
        (Step.REFUSED, b"", [1, "busy", "try again", 5]),
        (Step.REFUSED, SESSION, [3, "code", "wrong", 0]),
    )
    for step, session, fields in answers:
        data = frames.encode_frame(codec, step, session, fields)
        assert frames.decode_frame(codec, data, frames.ANSWERS) == (step, session, fields)


def test_frames_out_of_bounds_are_refused() -> None:
    bad = (
        [],
        [1],
        {},
        [0, SESSION],  # a refusal is no request
        [6, SESSION],
        [True, b"", [1], CORE, NONCE],
        [1, SESSION, [1], CORE, NONCE],
        [1, "", [1], CORE, NONCE],
        [1, b"", [], CORE, NONCE],
        [1, b"", [True], CORE, NONCE],
        [1, b"", [1] * 9, CORE, NONCE],
        [1, b"", [256], CORE, NONCE],
        [1, b"", 1, CORE, NONCE],
        [1, b"", [1], CORE.upper(), NONCE],
        [1, b"", [1], CORE[:15], NONCE],
        [1, b"", [1], CORE.encode(), NONCE],
        [1, b"", [1], CORE, NONCE[:15]],
        [1, b"", [1], CORE, NONCE, 0],
        [1, b"", [1], CORE],
        [2, SESSION[:7], POINT],
        [2, SESSION, POINT[:64]],
        [2, SESSION, None],
        [3, SESSION, b"c" * 33],
        [4, SESSION, b""],
        [5, SESSION],
        [5, SESSION, 1],
        [5, SESSION, b"t" * 33],
    )
    for value in bad:
        error = raises(PeerError, frames.decode_frame, codec, codec.encode(value), frames.REQUESTS)
        assert error.code == "frame", value


def test_oversize_frame() -> None:
    assert raises(PeerError, frames.decode_frame, codec, b"\x00" * 2049, frames.REQUESTS).code == "too_big"
    assert raises(UsageError, frames.encode_frame, codec, Step.DELIVER, SESSION, [b"s" * 2048]).code == "frame"
    deep = b"\x81" * 100 + b"\x01"
    assert raises(PeerError, frames.decode_frame, codec, deep, frames.REQUESTS).code == "cbor"


def test_iterations_outside_the_accepted_range() -> None:
    for iterations in (0, 999, 200_001, 1 << 40):
        data = codec.encode([1, SESSION, 1, "id", NONCE, b"s" * 16, iterations, 20])
        assert raises(PeerError, frames.decode_frame, codec, data, frames.ANSWERS).code == "frame"


def test_bundle_there_and_back() -> None:
    assert frames.decode_bundle(codec, encode_bundle(codec, BUNDLE)) == BUNDLE
    later = dict(BUNDLE)
    later["of a later version"] = 1
    assert frames.decode_bundle(codec, codec.encode(later)) == BUNDLE


def test_bundle_out_of_bounds_is_refused() -> None:
    cases = (
        ("ca", b""),
        ("cert", b"c" * 641),
        ("core", "../../../../etc/a"),
        ("core", "0123456789abcde/"),
        ("name", ""),
        ("name", "n" * 65),
        ("brokers", []),
        ("brokers", [["h", 1]] * 9),
        ("brokers", [["h", 0]]),
        ("brokers", [["h", 65536]]),
        ("brokers", [["", 1]]),
        ("brokers", [["a b", 1]]),
        ("brokers", [["h"]]),
        ("brokers", ["h"]),
        ("time", -1),
        ("time", True),
        ("signing_key", POINT[:64]),
        ("ceilings", {"a": -1}),
        ("ceilings", {"a": "b"}),
        ("ceilings", {1: 1}),
        ("ceilings", {"a\n": 1}),
        ("ceilings", {"a" + str(n): n for n in range(33)}),
        ("ceilings", None),
    )
    for key, value in cases:
        assert raises(UsageError, encode_bundle, codec, changed(key, value)).code == "bundle"
        error = raises(PeerError, frames.decode_bundle, codec, codec.encode(changed(key, value)))
        assert error.code == "frame" and key in error.text
    assert raises(PeerError, frames.decode_bundle, codec, codec.encode([1])).code == "frame"


def test_log_injection_names_with_control_characters_are_refused() -> None:
    for name in ("a\nb", "a\x1b[31mb", "\x00", "a\u202eb", "a\u2028b", "\x9b31m", "\u200b", "\ufeff"):
        assert raises(UsageError, encode_bundle, codec, changed("name", name)).code == "bundle"
        assert raises(PeerError, frames.decode_bundle, codec, codec.encode(changed("name", name))).code == "frame"
        info = frames.encode_info(codec, frames.Info(POINT, b"p" * 32, "b", "1", name), PROOF)
        assert raises(PeerError, decode_info, codec, info).code == "frame"
    assert shape.is_plain("Große Küche \U0001f600 日本")


def test_info_there_and_back() -> None:
    info = frames.Info(POINT, b"p" * 32, "generic-linux", "0.1.0", "Attic Pi")
    assert decode_info(codec, frames.encode_info(codec, info, PROOF)) == (info, PROOF)


def test_info_without_a_proof_is_refused() -> None:
    info = frames.Info(POINT, b"p" * 32, "generic-linux", "0.1.0", "Attic Pi")
    for proof in (None, b"", PROOF[:63], PROOF + b"x", "r" * 64):
        error = raises(PeerError, decode_info, codec, frames.encode_info(codec, info, proof))
        assert error.code == "frame" and "'proof'" in error.text
    unproven = {"key": POINT, "profile": b"p" * 32, "board": "b", "fw": "1", "name": "n"}
    assert raises(PeerError, decode_info, codec, codec.encode(unproven)).code == "frame"


def test_longest_info_fits_into_its_frame() -> None:
    name = "\U0001f600" * frames.NAME_CHARS_MAX
    info = frames.Info(POINT, b"p" * 32, name, name, name)
    sealed = frames.encode_info(codec, info, PROOF) + bytes(16)
    frame = frames.encode_frame(codec, Step.CONFIRM, SESSION, [sealed])
    assert frames.decode_frame(codec, frame, frames.ANSWERS).fields == [sealed]
