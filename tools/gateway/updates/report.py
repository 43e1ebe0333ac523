"""What a roll-out looks like, as data for `corelet-core rollout status`: its waves, and each device with its reason."""

from typing import Any

from tools.gateway.updates.places import FAILED, UNDER_WAY, UPDATED, WAITING, Place
from tools.gateway.updates.plan import percent
from tools.gateway.updates.rollout import DONE, RUNNING, Rollout


def told(rollout: Rollout, names: dict[str, str]) -> dict[str, Any]:
    """`names`: of the devices, by their ids."""
    standing, plan = rollout.standing, rollout.plan
    return {
        "digest": plan.digest, "sequence": plan.sequence, "state": standing.state, "why": standing.why,
        "clock_s": int(standing.clock), "waits_for": rollout.waits_for if standing.state == RUNNING else "",
        "plan": {
            "waves": [percent(share) for share in plan.waves], "soak_s": plan.soak_s, "deadline_s": plan.deadline_s,
            "abort_at": percent(plan.abort_at), "sample": plan.sample,
        },
        "counts": rollout.counts(),
        "waves": [_wave(rollout, number) for number in range(len(plan.waves))],
        "devices": [_device(place, names, standing.clock) for place in sorted(rollout.places.values(), key=_order)],
    }  # fmt: skip


def _wave(rollout: Rollout, number: int) -> dict[str, Any]:
    """`devices`: how many it adds to those before it."""
    standing, plan = rollout.standing, rollout.plan
    before = rollout.size(number - 1) if number else 0
    places = [place for place in rollout.places.values() if place.wave == number and place.is_open]
    is_past = number < standing.wave or standing.state == DONE
    state = "over" if is_past else "open" if number == standing.wave else "closed"
    return {
        "share": percent(plan.waves[number]), "name": "canary" if not number else f"wave {number}", "state": state,
        "devices": max(rollout.size(number) - before, len(places)), "ordered": len(places),
        "updated": sum(place.state == UPDATED for place in places),
        "failed": sum(place.state == FAILED for place in places),
        "under_way": sum(place.state in UNDER_WAY for place in places),
    }  # fmt: skip


def _order(place: Place) -> tuple[bool, bool, int, str]:
    """Failures first, who waits last."""
    return place.state != FAILED, place.state == WAITING, -place.wave, place.device


def _device(place: Place, names: dict[str, str], clock: float) -> dict[str, Any]:
    return {
        "id": place.device, "name": names.get(place.device, ""), "state": place.state, "reason": place.reason,
        "text": place.text, "wave": place.wave, "tries": place.tries, "since_s": max(0, int(clock - place.since)),
    }  # fmt: skip
