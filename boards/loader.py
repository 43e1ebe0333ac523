"""Chooses and loads one board profile, and says why a machine is not fit for it."""

from agent.errors import UsageError
from boards import schema, sums
from boards.marks import MARKS

if False:
    from typing import Any

# Every board there is; the image of one board may carry the profile of that board alone.
NAMES: "tuple[Any, ...]" = tuple([name for name, _ in MARKS])
DEFAULT = "generic-linux"
# What a system says of itself comes first: it decides what may be installed and where, whatever the board under it.
KINDS = (
    ("os_release_id", "its /etc/os-release"),
    ("dt_compatible", "its device tree"),
    ("dmi_product", "its DMI table"),
    ("cpuinfo_machine", "its /proc/cpuinfo"),
)
# How kernels' names of architectures begin, and ours; one that is not here is not compared.
ARCHITECTURES = "aarch64 aarch64 armv7 armv7 armv8l armv7 x86_64 x86_64 mips mips32".split(" ")


def load(name: str) -> "schema.Profile":
    """The validated Profile. UsageError("board") for a name that is unknown or whose profile is not installed,
    UsageError("profile") for a wrong file."""
    if name not in NAMES:
        raise UsageError("board", f"there is no board '{name}'; there are: " + ", ".join(NAMES))
    try:
        module = __import__("boards." + name.replace("-", "_"), None, None, ["PROFILE"])
    except ImportError:
        why = f"the profile of board '{name}' is not installed here: install the package for that board, or choose"
        raise UsageError("board", why + " the board this one was made for with --board")
    profile = schema.validate(module.PROFILE)
    sums.check(profile, schema.CEILINGS)
    return profile


def recognise(evidence: dict[str, str]) -> tuple[str, str]:
    """(board, by what) of the marks in `evidence` (agent/port/contract.py Health.board_evidence). Where they contradict
    each other, or none is known, DEFAULT: its ceilings hurt nobody. No profile is loaded."""
    names: list[str] = []
    how: list[str] = []
    for kind, source in KINDS:
        text = evidence.get(kind, "")
        words = text.replace("\0", " ").split() if kind == "dt_compatible" else [text]
        for name, marks in MARKS:
            for mark in marks:
                if mark[0] == kind and mark[1] in words and name not in names:
                    names.append(name)
                    how.append(f"{source} says '{mark[1]}'")
        if names and kind == "os_release_id":
            break
    return names[0] if len(names) == 1 else DEFAULT, "; ".join(how) or "nothing that tells it from others is known"


def choose(named: str, evidence: dict[str, str], size: int) -> "tuple[schema.Profile, str, dict[str, int]]":
    """(profile, by what it was chosen, its ceilings on this machine, before the owner's). `named`: by the owner, "" for
    none; that is believed. What was recognised but has another architecture or byte order is DEFAULT. `size`: KiB of
    the file system that the state is on, 0: unknown. UsageError as `load`."""
    name, how = (named, "its owner named it") if named else recognise(evidence)
    profile = load(name)
    machine, order, good = evidence.get("architecture", ""), evidence.get("endian", ""), True
    for number in range(0, len(ARCHITECTURES), 2):
        if machine.startswith(ARCHITECTURES[number]):
            good = profile["arch"] in ("any", ARCHITECTURES[number + 1])
    if not good or order and profile["endian"] not in ("any", order):
        how += f", but this is {machine}, {order}-endian, and {name} is {profile['arch']}, {profile['endian']}-endian"
        profile = profile if named else load(DEFAULT)
    ceilings = {key: profile[key] for key in schema.CEILINGS}
    return profile, how, sums.lower(profile, ceilings, int(evidence.get("ram_kib", "0")), size)


def version(text: str) -> tuple[int, ...]:
    """ "3.11.7" -> (3, 11); what follows the second number does not decide anything."""
    numbers = []
    for part in text.split(".")[:2]:
        digits = "".join([character for character in part if character in "0123456789"])
        numbers.append(int(digits or "0"))
    return tuple(numbers)


def refusal(profile: "schema.Profile", runtime: tuple[str, str], missing: list[str], free_kib: int) -> str:
    """ "" when this machine is fit for `profile`, else one sentence.

    `runtime`: (interpreter, version). `missing`: features the interpreter lacks. `free_kib`: where the state is.
    """
    found = []
    if profile["runtime"] != "any" and runtime[0] != profile["runtime"]:
        found.append(f"this is {runtime[0]}, the board runs {profile['runtime']}")
    elif profile["runtime"] != "any" and version(runtime[1]) < version(profile["runtime_min"]):
        found.append(f"this {runtime[0]} is {runtime[1]}, older than {profile['runtime_min']}")
    for feature in profile["needs_features"]:
        if feature in missing:
            found.append(f"this interpreter has no {feature}")
    if free_kib < profile["state_free_kib_min"]:
        found.append(f"the state folder has {free_kib} KiB free, {profile['state_free_kib_min']} KiB are needed")
    if not found:
        return ""
    needs = profile["needs"] or "see the board's profile"
    return f"board {profile['id']} is refused: it needs {needs} (" + "; ".join(found) + ")"
