"""Chooses and loads one board profile, and says why a machine is not fit for it."""

from agent.errors import UsageError
from boards import schema
from boards.marks import MARKS

if False:
    from typing import Any

# Every board there is; the image of one board may carry the profile of that board alone.
NAMES: "tuple[Any, ...]" = tuple([row[0] for row in MARKS])
DEFAULT = "generic-linux"


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
    return schema.validate(module.PROFILE)


def recognise(evidence: dict[str, str]) -> str:
    """The board whose marks are in `evidence` (agent/port/contract.py Health.board_evidence), else DEFAULT.
    No profile is loaded."""
    found = {kind: [evidence[kind]] for kind in evidence}
    found["dt_compatible"] = evidence.get("dt_compatible", "").replace("\0", " ").split()
    for row in MARKS:
        if [mark for mark in row[1:] if mark[1] in found.get(mark[0], ())]:
            return str(row[0])
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
