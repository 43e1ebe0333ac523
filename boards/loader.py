"""Finds and loads board profiles, and says why a machine is not fit for one."""

from agent.errors import UsageError
from boards import schema

# Every board file; a test holds this against the folder. (A board may not be able to list its own files:
# a frozen tree has none.)
NAMES = ("generic-linux", "gl-mt300n-v2", "qemu-x86-64", "raspberry-pi-zero-2w")
DEFAULT = "generic-linux"


def load(name: str) -> "schema.Profile":
    """The validated Profile. UsageError("board") for an unknown name, UsageError("profile") for a wrong file."""
    if name not in NAMES:
        raise UsageError("board", f"there is no board '{name}'; there are: " + ", ".join(NAMES))
    module = __import__("boards." + name.replace("-", "_"), None, None, ["PROFILE"])
    return schema.validate(module.PROFILE)


def recognise(evidence: dict[str, str]) -> str:
    """The board whose marks are in `evidence` (agent/port/contract.py Health.board_evidence), else DEFAULT."""
    compatible = evidence.get("dt_compatible", "").replace("\0", " ").split()
    for name in NAMES:
        profile = load(name)
        if (
            [mark for mark in profile.match_dt if mark in compatible]
            or evidence.get("dmi_product", "") in profile.match_dmi
            or evidence.get("cpuinfo_machine", "") in profile.match_cpuinfo
        ):
            return name
    return DEFAULT


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
    if profile.runtime != "any" and runtime[0] != profile.runtime:
        found.append(f"this is {runtime[0]}, the board runs {profile.runtime}")
    elif profile.runtime != "any" and version(runtime[1]) < version(profile.runtime_min):
        found.append(f"this {runtime[0]} is {runtime[1]}, older than {profile.runtime_min}")
    for feature in profile.needs_features:
        if feature in missing:
            found.append(f"this interpreter has no {feature}")
    if free_kib < profile.state_free_kib_min:
        found.append(f"the state folder has {free_kib} KiB free, {profile.state_free_kib_min} KiB are needed")
    if not found:
        return ""
    needs = profile.needs or "see the board's profile"
    return f"board {profile.id} is refused: it needs {needs} (" + "; ".join(found) + ")"
