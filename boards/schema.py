"""What a board profile must say: the FIELDS table, and `validate`.

A row is (name, kind, low, high, unit, why). Kinds: `int` (low..high), `word` (one of the words in
`low`), `text` (low..high characters), `words` and `ints` (tuples of low..high members), `sources`
(field name -> where the number comes from; "unverified" is allowed, absence is an error).
Integers only: a profile is also hashed and compared between interpreters.
"""

from collections import namedtuple

from agent.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MIB = 1024 * 1024

FIELDS: "tuple[Any, ...]" = (
    ("id", "text", 3, 40, "", "the name a person types and the TXT record shows"),
    ("summary", "text", 10, 200, "", "one line for people"),
    ("kind", "word", "router sbc tv mcu vm".split(), None, "", "what class of thing it is"),
    ("soc", "text", 2, 40, "", "the chip"),
    ("arch", "word", "mips32 armv7 aarch64 x86_64 any".split(), None, "", "which builds run on it"),
    ("endian", "word", "little big any".split(), None, "", "byte order"),
    ("cores", "int", 0, 256, "cores", "0 = probe"),
    ("mhz", "int", 0, 6000, "MHz", "0 = probe"),
    ("ram_kib", "int", 0, 64 * MIB, "KiB", "nominal; 0 = probe; the agent uses the smaller of nominal and probed"),
    ("storage_kind", "word", "spi-nor spi-nand emmc sd disk any".split(), None, "", "what wears out"),
    ("state_free_kib_min", "int", 0, 16 * MIB, "KiB", "free space the state folder must have at the first start"),
    ("runtime", "word", "cpython micropython any".split(), None, "", "which interpreter the package brings"),
    ("runtime_min", "text", 3, 8, "", "oldest version of that interpreter, such as 3.11"),
    ("heap_kib", "int", 128, 65536, "KiB", "MicroPython heap on this board"),
    ("needs", "text", 0, 200, "", "the sentence a person reads when the needs are not met"),
    ("needs_features", "words", 0, 4, "", "interpreter features without which the agent refuses to start"),
    ("memory_kib", "int", 2048, 4 * MIB, "KiB", "ceiling: resident memory of the agent"),
    ("cpu_permille", "int", 10, 1000, "permille", "ceiling: share of one core"),
    ("shard_bytes", "int", 0, 1 << 44, "bytes", "ceiling: all slab files together"),
    ("flash_bytes_day", "int", 0, 1 << 44, "bytes/day", "ceiling: bytes written to flash in a day"),
    ("shard_bps", "int", 64_000, 10_000_000_000, "bit/s", "ceiling: shards sent and received, together"),
    ("relay_bps", "int", 0, 10_000_000_000, "bit/s", "ceiling: relayed traffic, per direction"),
    ("allocations", "int", 0, 100_000, "allocations", "ceiling: TURN allocations at once"),
    ("connections", "int", 4, 4096, "connections", "ceiling: open HTTP connections"),
    ("log_bytes", "int", 8192, 64 * MIB, "bytes", "ceiling: all log files together"),
    ("slot_bytes", "ints", 1, 3, "bytes", "slot classes of the shard store, 64 KiB first: all have room for it"),
    ("store_layout", "word", ("slabs", "log"), None, "", "how the store writes: log on UBIFS and JFFS2"),
    ("sources", "sources", 0, 40, "", "where each hardware number comes from"),
)

# What the owner may lower and nobody can raise; in the order a person reads them.
CEILINGS = tuple([row[0] for row in FIELDS if row[5].startswith("ceiling: ")])

SLOT_CLASSES = (65536, 262144, 1048576)
# Numbers that claim something about hardware, so they need a source.
HARDWARE = ("soc", "cores", "mhz", "ram_kib")

if TYPE_CHECKING:
    Profile = Any
else:
    Profile = namedtuple("Profile", tuple([row[0] for row in FIELDS]))


def field(name: str) -> "Any":
    """The row of `name`; UsageError("setting") when there is none."""
    for row in FIELDS:
        if row[0] == name:
            return row
    raise UsageError("setting", "there is no setting '" + name + "'")


def _refuse(owner: str, key: str, value: object, allowed: str) -> UsageError:
    return UsageError("profile", f"{owner}: {key} is {value!r}; allowed: {allowed}")


def check(owner: str, row: "tuple[Any, ...]", value: object) -> None:
    """One value against its row. Raises UsageError("profile") with the key, the value and what is allowed."""
    name, kind, low, high, unit, _ = row
    if kind == "int":
        if value is True or value is False or not isinstance(value, int) or not low <= value <= high:
            raise _refuse(owner, name, value, f"a whole number {low}..{high} {unit}".strip())
    elif kind == "text":
        if not isinstance(value, str) or not low <= len(value) <= high:
            raise _refuse(owner, name, value, f"a text of {low}..{high} characters")
    elif kind == "word":
        if value not in low:
            raise _refuse(owner, name, value, "one of " + ", ".join(low))
    elif kind == "sources":
        _check_sources(owner, name, value, high)
    else:
        _check_members(owner, row, value)


def _check_members(owner: str, row: "tuple[Any, ...]", value: object) -> None:
    name, kind, low, high, _, _ = row
    if not isinstance(value, tuple) or not low <= len(value) <= high:
        raise _refuse(owner, name, value, f"{low}..{high} members in a tuple")
    for member in value:
        if kind == "words" and not isinstance(member, str):
            raise _refuse(owner, name, member, "texts")
        if kind == "ints" and member not in SLOT_CLASSES:
            raise _refuse(owner, name, member, "one of " + ", ".join([str(size) for size in SLOT_CLASSES]))
    if kind == "ints" and (value[0] != SLOT_CLASSES[0] or list(value) != sorted(set(value))):
        raise _refuse(owner, name, value, f"{SLOT_CLASSES[0]} first, then larger ones, each once")


def _check_sources(owner: str, name: str, value: object, count_max: int) -> None:
    if not isinstance(value, dict) or len(value) > count_max:
        raise _refuse(owner, name, value, f"at most {count_max} names with their source")
    for key in HARDWARE:
        if not isinstance(value.get(key), str):
            raise _refuse(owner, name + "." + key, value.get(key), "a source, or the word unverified")


def validate(profile: "dict[str, Any]") -> "Profile":
    """The frozen Profile. Raises UsageError("profile") naming the key, the value and the allowed range."""
    owner = "board " + str(profile.get("id", "without id"))
    known = [row[0] for row in FIELDS]
    for key in sorted(profile):
        if key not in known:
            raise _refuse(owner, key, profile[key], "no such key; see boards/schema.py")
    for row in FIELDS:
        if row[0] not in profile:
            raise _refuse(owner, row[0], None, "every key must be present")
        check(owner, row, profile[row[0]])
    return Profile(*[profile[row[0]] for row in FIELDS])
