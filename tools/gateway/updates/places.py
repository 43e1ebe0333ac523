"""One device in a roll-out: where it stands, and what its births say of that. Pure.

waiting -> ordered -> staged -> trial -> updated, or failed; unfit: it cannot take this release, which says nothing of
the release and is not counted; stopped: the roll-out was aborted before this device ran the release.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from tools.gateway.updates.plan import Plan

WAITING, ORDERED, STAGED, TRIAL = "waiting", "ordered", "staged", "trial"
UPDATED, FAILED, UNFIT, STOPPED = "updated", "failed", "unfit", "stopped"
UNDER_WAY = (ORDERED, STAGED, TRIAL)
TRIES_MAX = 3
AGAIN_S = 60.0
# Reasons that are the world's: the same order may go well a little later. Codes of ota, of the agent and of the link.
PASSING = (
    "source", "slow", "busy", "memory", "power", "wait", "beacon_stale", "beacon_time", "locked", "offline", "timeout",
    "closed", "restart",
)  # fmt: skip
# Reasons that say what the device is, not how good the release is.
UNFITTING = {"class": "class", "rollback": "newer", "state_missing": "updates_off"}
CURABLE = ("no_updates", "updates_off", "not_the_updater")  # the owner may change that


class Seen(NamedTuple):
    """What a device's link says now. `update`: of its birth (agent/core/updated.py), {}: it cannot be updated."""

    is_up: bool
    update: dict[str, Any]
    boot: int


class Word(NamedTuple):
    """A device's new standing. `is_passing`: a failure that may go well a little later."""

    state: str
    reason: str
    text: str = ""
    is_passing: bool = False


@dataclass
class Place:
    """`wave`: the one it was ordered in, -1 before; `at`: the roll-out's clock at its order; `since`: at its last
    change; `number`: of the last result before the order; `boot`: when it was ordered, staged, or found unfit;
    `again_at`: when the order is repeated, 0 = it is not."""

    device: str
    state: str = WAITING
    reason: str = "wave"
    text: str = ""
    wave: int = -1
    at: float = 0.0
    since: float = 0.0
    number: int = 0
    boot: int = 0
    tries: int = 0
    again_at: float = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the release may be on it by our doing."""
        return self.wave >= 0 and self.state != UNFIT

    @property
    def is_old_news(self) -> bool:
        """It had the release without us: no evidence."""
        return self.state == UPDATED and self.wave < 0

    @property
    def is_judged(self) -> bool:
        return self.state in (UPDATED, FAILED)


def before_order(place: Place, seen: Seen, plan: Plan) -> Word | None:
    """Of one that was not ordered: is there something to do? None: nothing new."""
    update = seen.update
    if place.reason == "class":
        return None
    if not update:
        return Word(UNFIT, "no_updates", "its births say nothing of updates: its owner has not set them up")
    if update["digest"] == plan.digest and update["state"] == "idle":
        return Word(UPDATED, "current", "it had this release already")
    if update["sequence"] > plan.sequence:
        return Word(UNFIT, "newer", f"it runs release {update['sequence']}")
    if place.state == UNFIT and place.reason in CURABLE and (place.reason == "no_updates" or seen.boot != place.boot):
        return Word(WAITING, "wave")
    return None


def after_order(place: Place, seen: Seen, plan: Plan) -> Word | None:
    """What its birth says of an order that was given. None: nothing new."""
    update = seen.update
    if not update:
        return None
    is_idle = update["state"] == "idle"
    if update["digest"] == plan.digest:
        return Word(TRIAL, "on_trial") if update["state"] == "trial" else Word(UPDATED, "confirmed")
    if place.state == UPDATED:
        return Word(FAILED, "rolled_back", "it was updated, and runs another release again") if is_idle else None
    if place.state in (STAGED, TRIAL) and seen.boot != place.boot:
        return Word(FAILED, "rolled_back", "it tried the release, and went back to the one before") if is_idle else None
    result = update["result"]
    if result is None or result["number"] == place.number or result["do"] != "install":
        return None
    word = _of_result(result, plan)
    if word is not None and word.state == STAGED and is_idle and seen.boot != place.boot:
        return Word(FAILED, "rolled_back", "it tried the release unheard, and went back to the one before")
    return word


def _of_result(result: dict[str, Any], plan: Plan) -> Word | None:
    word, reason, text = result["result"], result["reason"], result["text"]
    if word == "staged":
        return Word(STAGED, "restart") if result["target"] in (plan.digest, "") else None
    if word == "nothing":
        if result["active"] == plan.digest:
            return Word(UPDATED, "current", text)
        return Word(FAILED, reason or "nothing", text)
    if word not in ("refused", "failed"):
        return None
    if reason in UNFITTING:
        return Word(UNFIT, UNFITTING[reason], text)
    # "failed" is the world's fault by ota/follow.py, "refused" the order's, save for what a device is short of.
    return Word(FAILED, reason or word, text, word == "failed" or reason in PASSING)
