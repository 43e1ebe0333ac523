"""What an envelope says, for people: every command of every sequence, also of SUIT that a device refuses.

Lenient where ota/manifest.py is strict, and never a base for a decision: whatever is deterministic CBOR in the shape of
an envelope is shown. Codes of draft-ietf-suit-manifest-37, -trust-domains-12, -update-management-14 and
-firmware-encryption-26; what has no name here is shown by its number. PeerError("cbor") or PeerError("envelope").
"""

from ota import cbor
from ota.commands import DEPTH_MAX, OVERRIDE_PARAMETERS, SET_COMPONENT_INDEX, TRY_EACH
from ota.errors import CoreletError, PeerError
from ota.manifest import digest

if False:
    from collections.abc import Iterator
    from typing import Any

STEPS_MAX = 1000
SET_PARAMETERS, RUN_SEQUENCE = 19, 32
# Where sequences stand in a manifest; the shared one is in its member "common".
PLACES = (
    ("shared", 0), ("validate", 7), ("load", 8), ("invoke", 9), ("dependency-resolution", 15), ("payload-fetch", 16),
    ("candidate-verification", 18), ("install", 20), ("uninstall", 24),
)  # fmt: skip
COMMANDS = {
    1: "vendor-identifier", 2: "class-identifier", 3: "image-match", 4: "use-before", 5: "component-slot",
    6: "check-content", 7: "dependency-integrity", 8: "is-dependency", 11: "process-dependency",
    12: "set-component-index", 14: "abort", 15: "try-each", 18: "write", 19: "set-parameters",
    20: "override-parameters", 21: "fetch", 22: "copy", 23: "invoke", 24: "device-identifier", 25: "image-not-match",
    26: "minimum-battery", 27: "update-authorized", 28: "version", 29: "wait", 31: "swap", 32: "run-sequence",
    33: "unlink", 34: "override-multiple", 35: "copy-params",
}  # fmt: skip
PARAMETERS = {
    1: "vendor-identifier", 2: "class-identifier", 3: "image-digest", 4: "use-before", 5: "component-slot",
    12: "strict-order", 13: "soft-failure", 14: "image-size", 18: "content", 19: "encryption-info", 21: "uri",
    22: "source-component", 23: "invoke-args", 24: "device-identifier", 25: "fetch-arguments", 26: "minimum-battery",
    27: "update-priority", 28: "version", 29: "wait-info", -1: "security-floor", -2: "head-digest", -3: "needs",
}  # fmt: skip


def open_envelope(data: bytes) -> "dict[Any, Any]":
    """Its members; tagged or not."""
    content = cbor.decode(data, (107,), 2)
    content = content.value if isinstance(content, cbor.Tag) else content
    if not isinstance(content, dict) or not isinstance(content.get(2), bytes) or not isinstance(content.get(3), bytes):
        raise PeerError("envelope", "expected a SUIT envelope with the members 2 and 3, got something else")
    return content


def open_manifest(content: "dict[Any, Any]") -> "dict[Any, Any]":
    manifest = _decode(content[3])
    if not isinstance(manifest, dict):
        raise PeerError("envelope", "expected a map as manifest, got something else")
    return manifest


def severed(content: "dict[Any, Any]", manifest: "dict[Any, Any]") -> "dict[str, Any]":
    """Label of a severed member -> whether its digest is right, or "absent"."""
    found: dict[str, Any] = {}
    for label in manifest:
        member = manifest[label]
        if isinstance(member, list) and len(member) == 2 and isinstance(member[1], bytes):
            came = content.get(label)
            found[str(label)] = digest(came) == member[1] if isinstance(came, bytes) else "absent"
    return found


def steps(content: "dict[Any, Any]", manifest: "dict[Any, Any]") -> "Iterator[dict[str, Any]]":
    """A row for each command, in the order in which they stand; those of a branch follow their try-each. What cannot
    be read ends its sequence with a row that says so."""
    common = _decode(manifest.get(3))
    for place, label in PLACES:
        member = manifest.get(label) if label else common.get(4) if isinstance(common, dict) else None
        member = content.get(label) if isinstance(member, list) else member
        if isinstance(member, bytes):
            try:
                yield from _Walk().sequence(member, place, 0)
            except CoreletError as error:
                yield {"sequence": place, "unreadable": error.text}


def components(manifest: "dict[Any, Any]") -> "Any":
    common = _decode(manifest.get(3))
    return common.get(2) if isinstance(common, dict) else None


def _decode(member: "Any") -> "Any":
    return cbor.decode(member, (), 16) if isinstance(member, bytes) else None


class _Walk:
    """One sequence: the component that is selected, and how many rows there were."""

    def __init__(self) -> None:
        self.component: Any = 0
        self.count = 0

    def sequence(self, member: bytes, place: str, depth: int) -> "Iterator[dict[str, Any]]":
        flat = _decode(member)
        if not isinstance(flat, list) or len(flat) % 2 or depth > DEPTH_MAX:
            raise PeerError("envelope", f"expected pairs of command and argument in {place}, got something else")
        for index in range(0, len(flat), 2):
            code, argument = flat[index], flat[index + 1]
            self.count += 1
            if self.count > STEPS_MAX or type(code) is not int:
                raise PeerError("envelope", f"expected at most {STEPS_MAX} numbered commands in {place}, got others")
            inner = argument if code == TRY_EACH and isinstance(argument, list) else []
            inner = [argument] if code == RUN_SEQUENCE else inner
            if code == SET_COMPONENT_INDEX:
                self.component = argument
            elif code in (OVERRIDE_PARAMETERS, SET_PARAMETERS) and isinstance(argument, dict):
                argument = {str(PARAMETERS.get(label, label)): argument[label] for label in argument}
            yield {
                "sequence": place, "component": self.component, "code": code, "command": COMMANDS.get(code, ""),
                "argument": len(inner) if inner else argument,
            }  # fmt: skip
            for number, branch in enumerate(inner):
                if isinstance(branch, bytes):
                    yield from self.sequence(branch, f"{place}/{number}", depth + 1)
