"""`verify` and `inspect` as JSON: what an envelope is, what it does, and the verdict with its reason.

Words as in the index of the published examples: `auth` one entry a signature with the key that made it, `digest_ok`,
`severed`, `trace`. Byte strings are hex. The text is the same on both interpreters: keys sorted, ASCII only.
"""

from ota import cose, manifest, trace, verify
from ota.errors import CoreletError

if False:
    from collections.abc import Callable
    from typing import Any


def report(data: bytes, names: list[str], publics: "tuple[bytes, ...]", threshold: int) -> "dict[str, Any]":
    """`names`: of the keys, for people. Threshold 0: nobody's signature is asked for, so the verdict is about the rest:
    "readable", or "reject" with what a device would refuse."""
    found: dict[str, Any] = {"verdict": "reject", "digest_ok": False, "verified": [], "threshold": threshold}
    try:
        content = trace.open_envelope(data)
        found["envelope_keys"] = _labels(content)
        _add_signatures(found, content, names, publics)
        _add_manifest(found, content)
    except CoreletError as error:
        found["unreadable"] = error.text
    try:
        if threshold:
            verify.read_release(data, threshold, publics)
        else:
            envelope = manifest.read_envelope(data)
            manifest.check_digest(envelope)
            manifest.read_manifest(envelope)
        found["verdict"] = "accept" if threshold else "readable"
        found["reason"], found["text"] = "ok", "everything that was asked for is proven"
    except CoreletError as error:
        found["reason"], found["text"] = error.code, error.text
    return found


def _add_signatures(
    found: "dict[str, Any]", content: "dict[Any, Any]", names: list[str], publics: "tuple[bytes, ...]"
) -> None:
    found["digest"], signed, signatures = manifest.read_authentication(content.pop(2))  # 7 KiB, in a heap of 128
    found["digest_ok"] = found["digest"] == manifest.digest(content[3])
    found["auth"] = []
    for data in signatures[: cose.SIGNATURES_MAX]:
        one: dict[str, Any] = {"alg": None, "kid": None, "verifies_with": None}
        found["auth"].append(one)
        try:
            signature = cose.read_signature(data)
            one["alg"], one["kid"] = signature.algorithm, signature.kid
            index = cose.signer(publics, signature, signed)
            one["verifies_with"] = names[index] if index >= 0 else None
        except CoreletError as error:
            one["text"] = error.text
    found["verified"] = sorted({one["verifies_with"] for one in found["auth"] if one["verifies_with"]})


def _add_manifest(found: "dict[str, Any]", content: "dict[Any, Any]") -> None:
    opened = trace.open_manifest(content)
    found["version"], found["sequence"] = opened.get(1), opened.get(2)
    found["manifest_keys"] = _labels(opened)
    found["components"] = trace.components(opened)
    found["severed"] = trace.severed(content, opened)
    found["trace"] = trace.steps(content, opened)


def _labels(members: "dict[Any, Any]") -> "list[Any]":
    numbers = sorted([label for label in members if not isinstance(label, str)])
    return numbers + sorted([label for label in members if isinstance(label, str)])


def write_json(value: "Any", write: "Callable[[str], object]") -> None:
    """In pieces: a small heap holds no whole report. json.dumps has no order on MicroPython, and other escapes."""
    if value is None or value is True or value is False:
        write("null" if value is None else "true" if value else "false")
    elif isinstance(value, int):
        write(str(value))
    elif isinstance(value, bytes):
        write('"' + value.hex() + '"')
    elif isinstance(value, str):
        write('"' + "".join([_escaped(letter) for letter in value]) + '"')
    elif isinstance(value, dict):
        mark = "{"
        for key, one in sorted([(str(key), value[key]) for key in value], key=lambda pair: pair[0]):
            write(mark)
            write_json(key, write)
            write(": ")
            write_json(one, write)
            mark = ", "
        write("{}" if mark == "{" else "}")
    else:
        mark = "["
        for one in value:
            write(mark)
            write_json(one, write)
            mark = ", "
        write("[]" if mark == "[" else "]")


def _escaped(letter: str) -> str:
    point = ord(letter)
    if 32 <= point < 127 and letter not in '"\\':
        return letter
    if point < 0x10000:
        return f"\\u{point:04x}"
    point -= 0x10000
    return f"\\u{0xD800 + (point >> 10):04x}\\u{0xDC00 + (point & 1023):04x}"
