"""What an operator asks of a roll-out: how many devices at a time, how long to watch, when to stop. Data and its words.

Shares are counted in parts of WHOLE, so "0.5%" is 50. Times are seconds of the roll-out's own clock (rollout.py).
"""

import json
import re
from typing import Any, NamedTuple

from agent.errors import UsageError

WHOLE = 10_000
WAVES_MAX = 16  # the canary included
SPAN_S_MAX = 30 * 86_400
SAMPLE, SAMPLE_MAX = 5, 10_000
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
DEFAULTS = {"canary": "1%", "waves": "10%,50%,100%", "soak": "30m", "abort_at": "3%", "deadline": "1h"}


class Plan(NamedTuple):
    """`digest`: of the release, hex; `waves`: shares of all devices, ascending, the canary first; `sample`: no
    judgement before so many devices have an outcome (or all of the open ones, when they are fewer)."""

    digest: str
    sequence: int
    waves: tuple[int, ...]
    soak_s: int
    abort_at: int
    deadline_s: int
    sample: int = SAMPLE

    def encoded(self) -> str:
        return json.dumps(self._asdict())


def decoded(text: str) -> Plan:
    """Of `encoded`."""
    values = json.loads(text)
    return Plan(**values | {"waves": tuple(values["waves"])})


def planned(digest: str, sequence: int, words: dict[str, Any]) -> Plan:
    """Of what was typed; what is left out is DEFAULTS. UsageError("share", "span", "waves", "sample")."""
    said = {name: _word(words, name) for name in DEFAULTS}
    waves = tuple(share(word) for word in [said["canary"], *said["waves"].split(",")])
    if len(waves) > WAVES_MAX or list(waves) != sorted(set(waves)):
        text = f"waves grow from the canary on, at most {WAVES_MAX} of them, as in --canary 1% --waves 10%,50%,100%"
        raise UsageError("waves", text)
    sample = words.get("sample", SAMPLE)
    if not isinstance(sample, int) or isinstance(sample, bool) or not 1 <= sample <= SAMPLE_MAX:
        raise UsageError("sample", f"--sample is a number of devices from 1 to {SAMPLE_MAX}")
    return Plan(
        digest, sequence, waves, span(said["soak"]), share(said["abort_at"]), span(said["deadline"]), sample
    )  # fmt: skip


def _word(words: dict[str, Any], name: str) -> str:
    found = words.get(name) or DEFAULTS[name]
    if not isinstance(found, str):
        raise UsageError("json", f"{name} is a text such as {DEFAULTS[name]}")
    return found


def share(word: str) -> int:
    """ "1%" -> 100, in parts of WHOLE; more than nothing, at most all."""
    found = re.fullmatch(r"([0-9]{1,3})(?:\.([0-9]{1,2}))?%", word.strip())
    parts = 0 if found is None else int(found[1]) * 100 + int((found[2] or "").ljust(2, "0"))
    if not 0 < parts <= WHOLE:
        raise UsageError("share", f"{word!r} is no share: write a percentage above 0, at most 100%, such as 1% or 0.5%")
    return parts


def span(word: str) -> int:
    """ "30m" -> 1800 seconds."""
    found = re.fullmatch(r"([0-9]{1,8})([smhd])", word.strip())
    seconds = 0 if found is None else int(found[1]) * UNITS[found[2]]
    if found is None or seconds > SPAN_S_MAX:
        raise UsageError("span", f"{word!r} is no time: write 45s, 30m, 2h or 1d, at most {SPAN_S_MAX // 86_400}d")
    return seconds


def percent(parts: int) -> str:
    """100 -> "1 %"."""
    return f"{parts / 100:g} %"
