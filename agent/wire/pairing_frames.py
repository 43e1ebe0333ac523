"""What the two sides of a pairing send and keep: frames, device info, bundle, verifier record (a tuple, no bytes).

What it is not: the order of steps and the proofs (agent/core/pairing/), the setup code (agent/wire/pairing.py).

Frame: deterministic CBOR [step, session id, fields...], at most FRAME_BYTES_MAX. A refusal has step 0.
Bounds: every field has its range in a table below; a decoder of a peer's bytes raises PeerError and nothing else.
"""

from collections import namedtuple

from agent.errors import PeerError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.port import contract

    Shape = tuple[str, int, int]
    Table = dict[int, tuple[Shape, ...]]

VERSION = 1  # "pv": the versions of this protocol one side offers and the other chooses from
FRAME_BYTES_MAX = 2048
NAME_CHARS_MAX = 64
REFUSAL_CHARS_MAX = 240
BROKERS_MAX = 8
CEILINGS_MAX = 32
HOST_CHARS_MAX = 100
CERTIFICATE_BYTES_MAX = 640
TIME_MAX = 1 << 40
ITERATIONS_MIN = 1_000
ITERATIONS_MAX = 200_000

HOST_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:%"


class Step:
    """First item of a frame, the same in a request and in its answer."""

    REFUSED = 0
    HELLO = 1
    SHARE = 2
    CONFIRM = 3
    DELIVER = 4
    ABORT = 5


# (kind, least, most): lengths of bytes and text, values of ints; "ids": 16 lower-case hex digits.
REQUESTS: "Table" = {
    Step.HELLO: (("versions", 1, 8), ("id", 16, 16), ("bytes", 16, 16)),  # pv, core id, nonce
    Step.SHARE: (("bytes", 65, 65),),  # shareP
    Step.CONFIRM: (("bytes", 32, 32),),  # confirmP
    Step.DELIVER: (("bytes", 17, 1984),),  # sealed bundle
    Step.ABORT: (("bytes", 0, 32),),  # the tag of a core that proved the code (channel.abort_tag), empty before that
}
ANSWERS: "Table" = {
    # chosen pv, announced id, nonce, salt, PBKDF2 count, attempts left (this one included)
    Step.HELLO: (
        ("int", 1, 255),
        ("text", 1, 32),
        ("bytes", 16, 16),
        ("bytes", 16, 32),
        ("int", ITERATIONS_MIN, ITERATIONS_MAX),
        ("int", 0, 255),
    ),
    Step.SHARE: (("bytes", 65, 65), ("bytes", 32, 32)),  # shareV, confirmV
    Step.CONFIRM: (("bytes", 17, 1024),),  # sealed device info
    Step.DELIVER: (("bytes", 17, 64),),  # sealed receipt
    Step.ABORT: (),
    # refused step, code, sentence, seconds until trying again may help
    Step.REFUSED: (("int", 1, 255), ("text", 1, 32), ("text", 1, REFUSAL_CHARS_MAX), ("int", 0, 86400)),
}

Frame = namedtuple("Frame", ("step", "session", "fields"))
# What the device keeps instead of the code. `is_factory`: on the label, read-only, closed while the board is owned.
Record = namedtuple("Record", ("discriminator", "salt", "iterations", "w0", "point_l", "is_factory"))
Info = namedtuple("Info", ("key", "profile", "board", "fw", "name"))  # what the device says of itself
Described = namedtuple("Described", ("info", "proof"))  # what is sealed: `proof` is a signature by the key in `info`

_INFO = {
    "key": ("bytes", 65, 65),
    "profile": ("bytes", 32, 32),
    "board": ("text", 1, NAME_CHARS_MAX),
    "fw": ("text", 1, NAME_CHARS_MAX),
    "name": ("text", 1, NAME_CHARS_MAX),
    "proof": ("bytes", 64, 64),
}
_BUNDLE = {
    "ca": ("bytes", 1, CERTIFICATE_BYTES_MAX),
    "cert": ("bytes", 1, CERTIFICATE_BYTES_MAX),
    "core": ("id", 16, 16),
    "name": ("text", 1, NAME_CHARS_MAX),
    "brokers": ("brokers", 1, BROKERS_MAX),
    "time": ("int", 0, TIME_MAX),
    "signing_key": ("bytes", 65, 65),
    "ceilings": ("ceilings", 0, CEILINGS_MAX),
}


def is_plain(text: str) -> bool:
    """No control characters and no invisible ones that reorder a line: names end up in logs and terminals."""
    for letter in text:
        point = ord(letter)
        if point < 32 or 127 <= point < 160 or 0x200B <= point <= 0x200F or 0x2028 <= point <= 0x202E:
            return False
        if 0x2060 <= point <= 0x206F or 0xD800 <= point < 0xE000 or point == 0xFEFF:
            return False
    return True


def _is_id(text: str) -> bool:
    return len(text) == 16 and all(digit in "0123456789abcdef" for digit in text)


def _is_int(value: object, low: int, high: int) -> bool:
    # True is an int on CPython and none on MicroPython.
    return isinstance(value, int) and value is not True and value is not False and low <= value <= high


def _is_broker(value: object) -> bool:
    if not isinstance(value, list) or len(value) != 2 or not isinstance(value[0], str):
        return False
    is_host = 0 < len(value[0]) <= HOST_CHARS_MAX and all(letter in HOST_LETTERS for letter in value[0])
    return is_host and _is_int(value[1], 1, 65535)


def fits(value: object, shape: tuple[str, int, int]) -> bool:
    """Whether a decoded value has the kind and range of `shape`."""
    kind, low, high = shape
    if kind == "int":
        return _is_int(value, low, high)
    if isinstance(value, bytes):
        return kind == "bytes" and low <= len(value) <= high
    if isinstance(value, str):
        return (kind == "text" and low <= len(value) <= high and is_plain(value)) or (kind == "id" and _is_id(value))
    if isinstance(value, list):
        if kind not in ("versions", "brokers") or not low <= len(value) <= high:
            return False
        return all(_is_broker(each) if kind == "brokers" else _is_int(each, 0, 255) for each in value)
    if isinstance(value, dict):
        is_named = all(isinstance(key, str) and len(key) <= 32 and is_plain(key) for key in value)
        are_ints = all(_is_int(each, 0, 1 << 62) for each in value.values())
        return kind == "ceilings" and len(value) <= high and is_named and are_ints
    return False


def encode_frame(codec: "contract.Codec", step: int, session: bytes, fields: "list[Any]") -> bytes:
    """UsageError("frame") when it would be longer than the other side takes."""
    data = codec.encode([step, session] + fields)  # noqa: RUF005 (MicroPython has no [*a])
    if len(data) > FRAME_BYTES_MAX:
        raise UsageError("frame", f"a pairing frame has at most {FRAME_BYTES_MAX} bytes, this one has {len(data)}")
    return data


def decode_frame(codec: "contract.Codec", data: bytes, shapes: "Table") -> Frame:
    """`shapes`: REQUESTS or ANSWERS. PeerError("too_big"), ("cbor"), ("frame")."""
    if len(data) > FRAME_BYTES_MAX:
        raise PeerError("too_big", f"a pairing frame has at most {FRAME_BYTES_MAX} bytes, this one has {len(data)}")
    value = codec.decode(data, (), 3)
    if not isinstance(value, list) or len(value) < 2 or not _is_int(value[0], 0, 255) or value[0] not in shapes:
        raise PeerError("frame", "expected a pairing frame: a list of step, session and fields; came something else")
    step, session, fields = value[0], value[1], value[2:]
    table = shapes[step]
    is_first = shapes is REQUESTS and step == Step.HELLO
    length = 0 if is_first else 8
    may_lack = step == Step.REFUSED and session == b""
    if not isinstance(session, bytes) or (len(session) != length and not may_lack):
        raise PeerError("frame", f"expected a session id of {length} bytes in a pairing frame of step {step}")
    if len(fields) != len(table) or not all(fits(field, shape) for field, shape in zip(fields, table)):  # noqa: B905 (no strict= there)
        raise PeerError("frame", f"a field of a pairing frame of step {step} is missing or out of its range")
    return Frame(step, session, fields)


def _decode_map(codec: "contract.Codec", data: bytes, shapes: "dict[str, Shape]") -> "dict[str, Any]":
    """Known keys only; unknown ones are left for later versions. PeerError("cbor"), ("frame")."""
    value = codec.decode(data, (), 4)
    if not isinstance(value, dict):
        raise PeerError("frame", "expected a map inside the sealed pairing frame")
    for key in sorted(shapes):
        if key not in value or not fits(value[key], shapes[key]):
            raise PeerError("frame", f"'{key}' of the sealed pairing frame is missing or out of its range")
    return {key: value[key] for key in shapes}


def encode_info(codec: "contract.Codec", info: Info, proof: bytes) -> bytes:
    sealed = {"key": info.key, "profile": info.profile, "board": info.board, "fw": info.fw, "name": info.name}
    sealed["proof"] = proof
    return codec.encode(sealed)


def decode_info(codec: "contract.Codec", data: bytes) -> Described:
    """Whether the proof holds is the caller's to check. PeerError("cbor"), ("frame")."""
    value = _decode_map(codec, data, _INFO)
    info = Info(value["key"], value["profile"], value["board"], value["fw"], value["name"])
    return Described(info, value["proof"])


def encode_bundle(codec: "contract.Codec", bundle: "dict[str, Any]") -> bytes:
    """UsageError("bundle") for what the device would refuse."""
    for key in sorted(_BUNDLE):
        if key not in bundle or not fits(bundle[key], _BUNDLE[key]):
            raise UsageError("bundle", f"'{key}' of the bundle for the device is missing or out of its range")
    return codec.encode({key: bundle[key] for key in _BUNDLE})


def decode_bundle(codec: "contract.Codec", data: bytes) -> "dict[str, Any]":
    return _decode_map(codec, data, _BUNDLE)
