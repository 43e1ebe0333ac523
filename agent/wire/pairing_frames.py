"""What the two sides of a pairing send and keep: frames, device info, bundle, verifier record (a tuple, no bytes).

What it is not: the order of steps and the proofs (agent/core/pairing/), the setup code (agent/wire/pairing.py).

Frame: deterministic CBOR [step, session id, fields...], at most FRAME_BYTES_MAX. A refusal has step 0.
Bounds: every field has its range in a table below; a decoder of a peer's bytes raises PeerError and nothing else.
"""

from collections import namedtuple

from agent.errors import PeerError, UsageError
from agent.wire.shape import ID, NUMBER, POINT, fits, misfit

if False:
    from typing import Any

    from agent.port import contract

    Shape = tuple[Any, ...]
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


class Step:
    """First item of a frame, the same in a request and in its answer."""

    REFUSED = 0
    HELLO = 1
    SHARE = 2
    CONFIRM = 3
    DELIVER = 4
    ABORT = 5


_BYTE = ("int", 0, 255)
_NAME = ("text", 1, NAME_CHARS_MAX)

# Shapes of the fields (agent/wire/shape.py).
REQUESTS: "Table" = {
    Step.HELLO: (("list", 1, 8, _BYTE), ID, ("bytes", 16, 16)),  # pv, core id, nonce
    Step.SHARE: (POINT,),  # shareP
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
        _BYTE,
    ),
    Step.SHARE: (POINT, ("bytes", 32, 32)),  # shareV, confirmV
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

INFO = {
    "key": POINT,
    "profile": ("bytes", 32, 32),
    "board": _NAME,
    "fw": _NAME,
    "name": _NAME,
    "proof": ("bytes", 64, 64),
}
BUNDLE = {
    "ca": ("bytes", 1, CERTIFICATE_BYTES_MAX),
    "cert": ("bytes", 1, CERTIFICATE_BYTES_MAX),
    "core": ID,
    "name": _NAME,
    "brokers": ("list", 1, BROKERS_MAX, ("row", ("host", 1, HOST_CHARS_MAX), ("int", 1, 65535))),
    "time": ("int", 0, TIME_MAX),
    "signing_key": POINT,
    "ceilings": ("map", 0, CEILINGS_MAX, ("text", 0, 32), NUMBER),
}


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
    if not isinstance(value, list) or len(value) < 2 or not fits(value[0], _BYTE) or value[0] not in shapes:
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


def decode_map(codec: "contract.Codec", data: bytes, shapes: "dict[str, Shape]") -> "dict[str, Any]":
    """Known keys only; unknown ones are left for later versions. PeerError("cbor"), ("frame")."""
    value = codec.decode(data, (), 4)
    if not isinstance(value, dict):
        raise PeerError("frame", "expected a map inside the sealed pairing frame")
    wrong = misfit(value, shapes)
    if wrong is not None:
        raise PeerError("frame", f"'{wrong}' of the sealed pairing frame is missing or out of its range")
    return {key: value[key] for key in shapes}


def encode_info(codec: "contract.Codec", info: Info, proof: bytes) -> bytes:
    sealed = {"key": info.key, "profile": info.profile, "board": info.board, "fw": info.fw, "name": info.name}
    sealed["proof"] = proof
    return codec.encode(sealed)


def decode_bundle(codec: "contract.Codec", data: bytes) -> "dict[str, Any]":
    return decode_map(codec, data, BUNDLE)
