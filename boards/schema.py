"""What a board profile must say: the FIELDS table, and `validate`.

A row is (name, kind, low, high, unit, why). Kinds: `int` (low..high), `word` (one of the words in
`low`), `text` (low..high characters), `words` and `ints` (tuples of low..high members), `hours` ("" or HH:MM-HH:MM),
`sources` (field name -> where the number comes from; "unverified" is allowed, absence is an error).
Integers only: a profile is also hashed and compared between interpreters. Whether the numbers fit each other:
boards/sums.py.
"""

from agent.errors import UsageError
from boards.ceilings import CEILINGS as CEILINGS
from boards.ceilings import SLOT_CLASSES as SLOT_CLASSES

if False:
    from typing import Any

MIB = 1024 * 1024

FIELDS: "tuple[Any, ...]" = (
    ("id", "text", 3, 40, "", "the name a person types and the TXT record shows"),
    ("summary", "text", 10, 200, "", "one line for people"),
    ("kind", "word", "router sbc tv mcu vm".split(), None, "", "what class of thing it is"),
    ("soc", "text", 2, 40, "", "the chip"),
    ("arch", "word", "mips32 armv7 aarch64 x86_64 xtensa armv8m any".split(), None, "", "which builds run on it"),
    ("endian", "word", "little big any".split(), None, "", "byte order"),
    ("cores", "int", 0, 256, "cores", "0 = probe"),
    ("mhz", "int", 0, 6000, "MHz", "0 = probe"),
    ("ram_kib", "int", 0, 64 * MIB, "KiB", "nominal; 0 = probe; the agent uses the smaller of nominal and probed"),
    ("flash_size_kib", "int", 0, 1 << 34, "KiB", "the medium that the system is on; 0 = probe"),
    ("system_slots", "int", 0, 2, "slots", "whole systems side by side; 0: nothing of ours is flashed"),
    ("system_slot_kib", "int", 0, 1 << 24, "KiB", "room for one of them"),
    ("code_kib_max", "int", 64, 65536, "KiB", "the most that our code may take, without the interpreter"),
    ("storage_kind", "word", "spi-nor spi-nand emmc sd disk mcu-flash any".split(), None, "", "what wears out"),
    ("state_size_kib", "int", 0, 1 << 34, "KiB", "nominal size of the file system that the state is on; 0 = probe"),
    ("state_free_kib_min", "int", 0, 16 * MIB, "KiB", "free space the state folder must have at the first start"),
    (
        "pe_cycles_assumed",
        "int",
        100,
        1_000_000,
        "full writes",
        "how often what the state is on can be written in full",
    ),
    ("write_amp_assumed", "int", 1, 100, "times", "what the medium writes for a byte of ours"),
    ("lifetime_years", "int", 1, 50, "whole years", "how long it is to last"),
    ("runtime", "word", ("cpython", "micropython", "any", "nothing yet"), None, "", "the interpreter of its package"),
    ("runtime_min", "text", 3, 8, "", "oldest version of that interpreter, such as 3.11"),
    ("heap_kib", "int", 128, 65536, "KiB", "MicroPython heap on this board"),
    ("needs", "text", 0, 200, "", "the sentence a person reads when the needs are not met"),
    ("needs_features", "words", 0, 4, "", "interpreter features without which the agent refuses to start"),
    ("ram_share_permille", "int", 10, 900, "permille", "the part of the memory that is not the board's own"),
    ("memory_kib", "int", 256, 4 * MIB, "KiB", "ceiling: resident memory of the agent"),
    ("cpu_permille", "int", 10, 1000, "permille", "ceiling: share of one core"),
    ("shard_bytes", "int", 0, 1 << 44, "bytes", "ceiling: all slab files together"),
    ("flash_bytes_day", "int", 0, 1 << 44, "bytes/day", "ceiling: bytes written to flash in a day"),
    ("shard_bps", "int", 64_000, 10_000_000_000, "bit/s", "ceiling: shards sent and received, together"),
    ("relay_bps", "int", 0, 10_000_000_000, "bit/s", "ceiling: relayed traffic, per direction"),
    ("network_up_bps", "int", 64_000, 20_000_000_000, "bit/s", "ceiling: all that leaves"),
    ("network_down_bps", "int", 64_000, 20_000_000_000, "bit/s", "ceiling: all that arrives"),
    ("network_up_mib_month", "int", 0, 1 << 32, "MiB a month", "ceiling: all that leaves"),
    ("network_down_mib_month", "int", 0, 1 << 32, "MiB a month", "ceiling: all that arrives"),
    ("allocations", "int", 0, 100_000, "allocations", "ceiling: TURN allocations at once"),
    ("connections", "int", 4, 4096, "connections", "ceiling: open HTTP connections"),
    ("descriptors", "int", 64, 1_048_576, "descriptors", "ceiling: open files and sockets"),
    ("process_count", "int", 1, 4096, "tasks at once", "ceiling: processes and threads"),
    ("throttle_celsius", "int", 30, 110, "degrees Celsius", "ceiling: at this temperature work becomes slower"),
    ("stop_celsius", "int", 30, 120, "degrees Celsius", "ceiling: at this temperature work stops"),
    ("log_bytes", "int", 8192, 64 * MIB, "bytes", "ceiling: all log files together"),
    ("under_voltage", "word", "none rpi".split(), None, "", "how the board tells of it; rpi: the firmware's hwmon"),
    ("quiet_hours", "hours", None, None, "", "no work then, by the board's clock, such as 22:00-07:00; empty: never"),
    (
        "ceilings_required",
        "words",
        0,
        20,
        "",
        "ceilings that must hold: work is refused while nothing enforces one of them",
    ),
    ("backends_denied", "words", 0, 8, "", "back ends that are known to harm this board"),
    ("slot_bytes", "ints", 1, 3, "bytes", "slot classes of the shard store, 64 KiB first: all have room for it"),
    ("store_layout", "word", ("slabs", "log"), None, "", "how the store writes: log on UBIFS and JFFS2"),
    ("sources", "sources", 0, 40, "", "where each hardware number comes from"),
)

# Numbers that claim something about hardware, so they need a source.
HARDWARE = "soc cores mhz ram_kib flash_size_kib system_slot_kib pe_cycles_assumed throttle_celsius".split()

# A complete one, as its file says it. A dict: a record would leave fifty names in the table of a small heap.
if False:
    Profile = dict[str, Any]


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
    elif kind == "hours":
        _check_hours(owner, name, value)
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


def _check_hours(owner: str, name: str, value: object) -> None:
    parts = value.split("-") if isinstance(value, str) and len(value) == 11 else []
    good = len(parts) == 2 and parts[0] != parts[1]
    for part in parts:
        found = [int(each) for each in part.split(":") if len(each) == 2 and not each.strip("0123456789")]
        good = good and len(found) == 2 and found[0] <= 23 and found[1] <= 59
    if value != "" and not good:
        raise _refuse(owner, name, value, "HH:MM-HH:MM, from 00:00 to 23:59, or nothing")


def _check_sources(owner: str, name: str, value: object, count_max: int) -> None:
    if not isinstance(value, dict) or len(value) > count_max:
        raise _refuse(owner, name, value, f"at most {count_max} names with their source")
    for key in HARDWARE:
        if not isinstance(value.get(key), str):
            raise _refuse(owner, name + "." + key, value.get(key), "a source, or the word unverified")


def validate(profile: "dict[str, Any]") -> "Profile":
    """A copy with every key, each value in its range. UsageError("profile") names the key, the value and what is
    allowed."""
    owner = "board " + str(profile.get("id", "without id"))
    known = [row[0] for row in FIELDS]
    for key in sorted(profile):
        if key not in known:
            raise _refuse(owner, key, profile[key], "no such key; see boards/schema.py")
    for row in FIELDS:
        if row[0] not in profile:
            raise _refuse(owner, row[0], None, "every key must be present")
        check(owner, row, profile[row[0]])
    return dict(profile)
