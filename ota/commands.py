"""SUIT command sequences (draft-ietf-suit-manifest-37 section 8.4), the strict subset that a device obeys.

Only the commands and parameters of the tables below, each with its shape, everything else is refused. Conditions 4 and
28, directive 29 and their parameters are of draft-ietf-suit-update-management-14. A command is (code, argument); the
argument of try-each is a list of such sequences. Errors as in ota/manifest.py.
"""

from ota import cbor
from ota.errors import LimitError, PeerError, TrustError

if False:
    from typing import Any

    Sequence = list[tuple[int, Any]]

COMPONENTS_MAX = 8
COMMANDS_MAX = 64  # in the whole manifest
DEPTH_MAX = 3  # of try-each
TEXT_BYTES_MAX = 255

SHA256 = -16  # RFC 9054

SET_COMPONENT_INDEX, TRY_EACH, OVERRIDE_PARAMETERS = 12, 15, 20
# vendor, class, image match, use before, component slot, image not match, update authorized, version
CONDITIONS = (1, 2, 3, 4, 5, 25, 27, 28)
# fetch, copy, invoke, wait
ACTIONS = (21, 22, 23, 29)
REPORT_MAX = 15  # the four reporting bits

# Floor below which nothing may run once this release is confirmed: a private parameter (negative labels are).
SECURITY_FLOOR = -1
# Of a pack (ota/pack.py): digest of its head, and the versions it needs (ota/README.md). Private too.
HEAD_DIGEST, NEEDS = -2, -3
NEEDS_MAX = 16
# What needs may name by its place here: envelopes get smaller. New ones at the end. (`split` interns no strings.)
NAMES = "cpython micropython paho-mqtt cbor2 pycryptodome zeroconf psutil".split(" ")
IMAGE_DIGEST, SOURCE_COMPONENT, VERSION, WAIT_INFO = 3, 22, 28, 29
# Parameter -> (kind, least, most): values of numbers, lengths of bytes and text.
PARAMETERS = {
    SECURITY_FLOOR: ("int", 0, cbor.INT_MAX),
    HEAD_DIGEST: ("bytes", 32, 32),
    NEEDS: ("bytes", 1, 512),
    1: ("bytes", 16, 16),  # vendor identifier
    2: ("bytes", 16, 16),  # class identifier
    IMAGE_DIGEST: ("bytes", 1, 64),
    4: ("int", 0, cbor.INT_MAX),  # use before, seconds of Unix time
    5: ("int", 0, 255),  # component slot
    14: ("int", 0, cbor.INT_MAX),  # image size
    21: ("text", 1, TEXT_BYTES_MAX),  # URI
    SOURCE_COMPONENT: ("int", 0, COMPONENTS_MAX - 1),
    VERSION: ("bytes", 1, 64),
    WAIT_INFO: ("bytes", 1, 64),
}


def read_digest(value: object) -> bytes:
    """SUIT_Digest with SHA-256."""
    if not isinstance(value, list) or len(value) != 2 or not isinstance(value[1], bytes):
        raise bad("digest", "something else than an algorithm and bytes")
    if value[0] != SHA256:
        raise TrustError("algorithm", f"expected a digest by SHA-256 (-16), got algorithm {value[0]}")
    if len(value[1]) != 32:
        raise bad("digest", f"{len(value[1])} bytes")
    return value[1]


def check_version(numbers: object) -> None:
    if not isinstance(numbers, list) or not 1 <= len(numbers) <= 5 or [one for one in numbers if type(one) is not int]:
        raise bad("version", "something else than 1 to 5 numbers")


def read_needs(member: bytes) -> "dict[str, list[list[int]]]":
    """Name of an interpreter or a package, or its place in NAMES -> [at least, below], versions as numbers."""
    needs = cbor.decode(member, (), 3)
    if not isinstance(needs, dict) or not 1 <= len(needs) <= NEEDS_MAX:
        raise bad("needs", f"something else than 1 to {NEEDS_MAX} names")
    made = {}
    for name in needs:
        word = NAMES[name] if fits(name, ("int", 0, len(NAMES) - 1)) else name
        two = needs[name]
        if not fits(word, ("text", 1, 64)) or word in made or not isinstance(two, list) or len(two) != 2:
            raise bad("needs", "something else than names, each once, with two versions")
        for version in two:
            check_version(version)
        made[word] = two
    return made


class Reader:
    """Reads the command sequences of one manifest, and counts."""

    def __init__(self, components: int) -> None:
        self.components = components
        self.commands = 0
        self.security_floor = 0

    def sequence(self, member: object, is_shared: bool, depth: int) -> "Sequence":
        """Section 8.4.6: pairs of code and argument. The shared sequence has no actions."""
        flat = cbor.decode(member, (), 4) if isinstance(member, bytes) else None
        if not isinstance(flat, list) or not flat or len(flat) % 2:
            raise bad("command sequence", "something else than pairs of code and argument")
        commands = []
        for index in range(0, len(flat), 2):
            code, argument = flat[index], flat[index + 1]
            self.commands += 1
            if self.commands > COMMANDS_MAX:
                raise LimitError("too_big", f"expected at most {COMMANDS_MAX} commands in a manifest, got more")
            if type(code) is not int:
                raise bad("command", "something else than a number")
            if code in CONDITIONS or (code in ACTIONS and not is_shared):
                if not fits(argument, ("int", 0, REPORT_MAX)):
                    raise bad("reporting policy", "something else than four bits")
            elif code == SET_COMPONENT_INDEX:
                self.check_index(argument)
            elif code == OVERRIDE_PARAMETERS:
                self.check_parameters(argument)
            elif code == TRY_EACH:
                argument = self.branches(argument, is_shared, depth + 1)
            else:
                raise unsupported("command", code)
            commands.append((code, argument))
        return commands

    def branches(self, argument: object, is_shared: bool, depth: int) -> "list[Sequence]":
        """Section 8.4.10.2: at least two sequences; a null at the end, "or nothing", is an empty one here."""
        if depth > DEPTH_MAX:
            raise LimitError("too_big", f"expected try-each at most {DEPTH_MAX} deep, got more")
        if not isinstance(argument, list) or len(argument) < 2:
            raise bad("try-each", "fewer than two sequences")
        is_optional = argument[-1] is None
        members = argument[:-1] if is_optional else argument
        made = [self.sequence(member, is_shared, depth) for member in members]
        return made + [[]] if is_optional else made

    def check_index(self, argument: object) -> None:
        """Section 8.4.10.1: an index, all of them (true), or a list."""
        indexes = argument if isinstance(argument, list) else [0 if argument is True else argument]
        if not indexes or [one for one in indexes if not fits(one, ("int", 0, self.components - 1))]:
            raise bad("component index", f"none of the {self.components} components")

    def check_parameters(self, argument: object) -> None:
        """Section 8.4.8."""
        if not isinstance(argument, dict) or not argument:
            raise bad("parameters", "something else than a map with some")
        for label in argument:
            value = argument[label]
            if label not in PARAMETERS:
                raise unsupported("parameter", label)
            if not fits(value, PARAMETERS[label]):
                raise bad(f"parameter {label}", "another type or range")
            if label == IMAGE_DIGEST:
                read_digest(cbor.decode(value, (), 1))
            elif label == SOURCE_COMPONENT:
                self.check_index(value)
            elif label == VERSION:
                comparison = cbor.decode(value, (), 2)
                if not isinstance(comparison, list) or len(comparison) != 2 or not fits(comparison[0], ("int", 1, 5)):
                    raise bad("version", "something else than a comparison and numbers")
                check_version(comparison[1])
            elif label == NEEDS:
                read_needs(value)
            elif label == WAIT_INFO:
                _check_wait(cbor.decode(value, (), 1))
            elif label == SECURITY_FLOOR:
                self.security_floor = max(self.security_floor, value)


def _check_wait(info: object) -> None:
    """1 authorization, 2 power, 3 network: a number each; 5 a time."""
    if not isinstance(info, dict) or not info:
        raise bad("wait information", "something else than a map")
    for label in info:
        if label not in (1, 2, 3, 5):
            raise unsupported("wait information", label)
        if type(info[label]) is not int:
            raise bad("wait information", "something else than a number")


def is_number(value: object) -> bool:
    return fits(value, ("int", 0, cbor.INT_MAX))


def fits(value: object, shape: "tuple[str, int, int]") -> bool:
    kind, low, high = shape
    if kind == "int":
        return type(value) is int and low <= value <= high
    if kind == "bytes":
        return isinstance(value, bytes) and low <= len(value) <= high
    return isinstance(value, str) and low <= len(value) <= high


def bad(what: str, came: str) -> PeerError:
    return PeerError("manifest", f"expected a SUIT {what} of draft 37, got {came}")


def unsupported(what: str, label: object) -> TrustError:
    return TrustError("unsupported", f"expected only what a device obeys, got {what} {label}: leave it out")
