"""One roll-out of one release: who may have it now, who is ordered, when it goes on, when it stops. No I/O.

    rollout = Rollout(plan, standing, places)
    know({device: whether the release is for its board})    hear(device, Seen)     answered(device, code, text)
    wake(seconds)      -> devices to be ordered, in `outgoing`; rows to be written down, in `changed`

Devices are taken in the order of SHA-256(device id || digest). A wave is the first `share` of them, at least one; who
is away when its turn comes keeps its place for `deadline_s`, then yields it to the next. A wave is over when each of it
has an outcome and CONFIRMED of all open ones have confirmed, and the next one opens after it was quiet for `soak_s`.
The roll-out aborts itself when more have failed than `abort_at` of all that are open, and at least `sample` of them
have an outcome.

Time is the roll-out's own clock: the seconds in which the core listened (the caller's word). So nobody is called silent
because the core, or its broker, was away. Who was ordered and says nothing for `deadline_s` has failed.

Bounds: UNDER_WAY_MAX devices under way at a time, TRIES_MAX orders each (places.py).
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from tools.gateway.updates.places import (
    AGAIN_S,
    CURABLE,
    FAILED,
    ORDERED,
    PASSING,
    STAGED,
    STOPPED,
    TRIAL,
    TRIES_MAX,
    UNDER_WAY,
    UNFIT,
    UPDATED,
    WAITING,
    Place,
    Seen,
    Word,
    after_order,
    before_order,
)
from tools.gateway.updates.plan import WHOLE, Plan, percent

RUNNING, PAUSED, ABORTED, DONE = "running", "paused", "aborted", "done"
UNDER_WAY_MAX = 64
CONFIRMED = 5_000  # of WHOLE: so many of the open devices must have confirmed before the next wave


@dataclass
class Standing:
    """`why`: a sentence; `clock`: seconds listened; `wave_at`: of it when the wave opened; `quiet_at`: when each of the
    wave had an outcome, -1 = not yet."""

    state: str = RUNNING
    why: str = ""
    wave: int = 0
    clock: float = 0.0
    wave_at: float = 0.0
    quiet_at: float = -1.0


class Rollout:
    """`changed`: devices whose rows are to be written down (or removed, when they are in `places` no longer)."""

    def __init__(self, plan: Plan, standing: Standing | None = None, places: Iterable[Place] = ()) -> None:
        self.plan = plan
        self.standing = standing or Standing()
        self.places = {place.device: place for place in places}
        self.outgoing: list[str] = []
        self.changed: set[str] = set()
        self.waits_for = ""  # what the wave waits for, for people
        self._seen: dict[str, Seen] = {}
        self._heard_at: dict[str, float] = {}  # when it was up last; of who is up, now
        self._answering: set[str] = set()
        self._ranked: list[Place] = []
        self._again_s = min(AGAIN_S, plan.deadline_s / 10)
        self._rank()
        for place in self.places.values():
            if place.state == ORDERED:  # whether the order went out before the stop nobody knows; twice does no harm
                place.tries, place.again_at = max(0, place.tries - 1), self.standing.clock + self._again_s

    # What happens

    def know(self, fits: Mapping[str, bool]) -> None:
        """The paired devices, all of them; whether the release is for their board."""
        gone, new = set(self.places) - set(fits), set(fits) - set(self.places)
        for device in gone:
            del self.places[device]
            self._seen.pop(device, None)
            self._heard_at.pop(device, None)
        for device in new:
            self.places[device] = Place(device, since=self.standing.clock)
            if self.standing.state == ABORTED:
                self._set(
                    self.places[device], Word(STOPPED, "aborted", "it came when the roll-out was aborted already")
                )
        self.changed |= gone | new
        if gone or new:
            self._rank()
        for place in self.places.values():
            if not fits[place.device] and place.state == WAITING:
                self._set(place, Word(UNFIT, "class", "the release is for another kind of board"))

    def hear(self, device: str, seen: Seen) -> None:
        """Its link, as it is now."""
        place = self.places[device]
        self._seen[device] = seen
        if seen.is_up or device not in self._heard_at:
            self._heard_at[device] = self.standing.clock
        if not seen.is_up:
            return
        if place.wave < 0:
            word = None if self.standing.state == ABORTED else before_order(place, seen, self.plan)
            if word is not None:
                self._set(place, word)
        else:
            self._hear_ordered(place, seen)

    def _hear_ordered(self, place: Place, seen: Seen) -> None:
        word = after_order(place, seen, self.plan)
        if (
            word is None
            or word.state == place.state
            or (place.state in (FAILED, STOPPED, UNFIT) and word.state != UPDATED)
        ):
            return
        if place.state == UPDATED and not self._is_watched(place):
            return  # what comes of it later is no news about this release
        result = seen.update["result"]
        is_refusal = word.state == FAILED and word.reason != "rolled_back"
        if word.is_passing and place.tries < TRIES_MAX:
            if place.again_at <= 0:
                place.again_at = self.standing.clock + self._again_s
                place.reason, place.text = word.reason, word.text
                self.changed.add(place.device)
            return
        if is_refusal and self.standing.state == ABORTED:
            word = Word(STOPPED, "called_off", "it gave the release up before it ran")
        if word.state in (STAGED, TRIAL):
            place.boot = seen.boot
            place.number = result["number"] if result else place.number
        if self.standing.state != ABORTED:
            place.again_at = 0.0
        self._set(place, word)

    def answered(self, device: str, code: str, text: str = "") -> None:
        """Of an order; `code` "": it was accepted."""
        place = self.places.get(device)
        self._answering.discard(device)
        if place is None or place.state not in UNDER_WAY:
            return
        if not code:
            return
        if code in PASSING:
            place.again_at = self.standing.clock + self._again_s
            place.tries -= code in ("busy", "offline")
            if code == "offline" and place.tries <= 0 and place.state == ORDERED and self.standing.state != ABORTED:
                place.wave, place.again_at = -1, 0.0
                self._set(place, Word(WAITING, "offline"))
            self.changed.add(device)
            return
        place.boot = self._seen[device].boot if device in self._seen else 0
        place.wave = -1 if code in CURABLE else place.wave
        self._set(place, Word(UNFIT, code, text))

    def pause(self) -> None:
        """Nobody new; who is under way goes on, and the clock stands."""
        if self.standing.state == RUNNING:
            self.standing.state, self.standing.why = PAUSED, "paused by the operator"

    def resume(self) -> None:
        if self.standing.state == PAUSED:
            self.standing.state, self.standing.why = RUNNING, ""

    def abort(self, why: str) -> None:
        """For ever. Who has not run it yet is told to give it up; who runs it keeps it, or falls back by itself."""
        if self.standing.state == ABORTED:
            return
        self.standing.state, self.standing.why = ABORTED, why
        for place in self.places.values():
            if place.state == WAITING:
                self._set(place, Word(STOPPED, "aborted", "the roll-out was aborted before its turn"))
            elif place.state in UNDER_WAY:
                place.tries, place.again_at = 0, self.standing.clock or 0.001
                self.changed.add(place.device)

    # Time

    def wake(self, seconds: float) -> None:
        """So much more time was listened."""
        standing = self.standing
        if standing.state != PAUSED:
            standing.clock += seconds
            self._judge_silence()
            self._order_again()
        if standing.state in (RUNNING, PAUSED) and self.is_too_bad():
            counts = self.counts()
            allowed = percent(self.plan.abort_at)
            self.abort(f"{counts[FAILED]} of {self.size()} open devices failed, which is more than {allowed}")
        if standing.state in (RUNNING, DONE):
            held = self._admit()
            if standing.state == RUNNING:
                self._step(held)

    def _judge_silence(self) -> None:
        """Who was ordered, and who was updated in this wave and has not been heard since."""
        clock, deadline = self.standing.clock, self.plan.deadline_s
        for place in self.places.values():
            silent_for = clock - self._heard_at.setdefault(place.device, clock)
            if place.state in UNDER_WAY and clock - place.at > deadline:
                is_up = place.device in self._seen and self._seen[place.device].is_up
                text = f"no outcome within {deadline} s; the last was: {place.reason}"
                place.again_at = 0.0
                self._set(place, Word(FAILED, "late" if is_up else "silent", text))
            elif place.state == UPDATED and self._is_watched(place) and silent_for > deadline:
                self._set(place, Word(FAILED, "silent", f"it was updated, then nothing was heard for {deadline} s"))

    def _is_watched(self, place: Place) -> bool:
        return place.wave >= 0 and place.wave == self.standing.wave and self.standing.state == RUNNING

    def _order_again(self) -> None:
        for place in self.places.values():
            is_due = place.state in UNDER_WAY and 0 < place.again_at <= self.standing.clock
            if is_due and place.tries < TRIES_MAX and self._is_up(place) and place.device not in self._answering:
                self._order(place)

    def _admit(self) -> int:
        """Order the next ones as there is room. How many are without an outcome, those included whose place is kept."""
        room = self.size() - sum(place.is_open for place in self.places.values())
        held = sum(place.state in UNDER_WAY for place in self.places.values())
        free = UNDER_WAY_MAX - held
        for place in self._ranked:
            if room <= 0:
                break
            if place.state != WAITING or (not self._is_up(place) and self._has_yielded(place)):
                continue
            room, held = room - 1, held + 1
            if self._is_up(place) and free > 0:
                free -= 1
                place.wave, place.at = self.standing.wave, self.standing.clock
                self._order(place)
        return held

    def _has_yielded(self, place: Place) -> bool:
        since = max(self._heard_at.setdefault(place.device, self.standing.clock), self.standing.wave_at)
        has = self.standing.clock - since > self.plan.deadline_s
        if has and place.reason != "offline":
            self._set(place, Word(WAITING, "offline", "it was away when its turn came"))
        return has

    def _is_up(self, place: Place) -> bool:
        seen = self._seen.get(place.device)
        return seen is not None and seen.is_up and bool(seen.update)

    def _order(self, place: Place) -> None:
        result = self._seen[place.device].update["result"]
        place.number = result["number"] if result else 0
        place.tries += 1
        place.again_at = 0.0
        if place.state in (WAITING, ORDERED):
            place.boot = self._seen[place.device].boot
            self._set(place, Word(ORDERED, "download"))
        self.changed.add(place.device)
        self._answering.add(place.device)
        self.outgoing.append(place.device)

    def _step(self, held: int) -> None:
        """To the next wave, when this one has shown enough."""
        standing = self.standing
        self.waits_for = self._missing(held)
        if self.waits_for:
            standing.quiet_at = -1.0
            return
        if standing.quiet_at < 0:
            standing.quiet_at = standing.clock
        left = self.plan.soak_s - (standing.clock - standing.quiet_at)
        self.waits_for = f"{left:.0f} s more to see whether it stays well"
        if left <= 0:
            self._open_next()

    def _missing(self, held: int) -> str:
        """What the next wave needs, as words; "" when it is all there."""
        size, counts = self.size(), self.counts()
        confirmed = sum(place.state == UPDATED and place.wave >= 0 for place in self.places.values())
        unheard = sum(
            place.state == UPDATED and self._is_watched(place) and not self._is_up(place)
            for place in self.places.values()
        )
        if held:
            return f"{held} without an outcome"
        if not counts[UPDATED] or confirmed * WHOLE < CONFIRMED * size:
            return f"devices that can be reached: {confirmed} of {size} have confirmed"
        if (counts[FAILED] + unheard) * WHOLE > self.plan.abort_at * size:
            return f"{unheard} that were updated and are not heard now" if unheard else "more devices to judge by"
        return ""

    def _open_next(self) -> None:
        standing, before = self.standing, self.size()
        while standing.wave + 1 < len(self.plan.waves):
            standing.wave += 1
            standing.wave_at, standing.quiet_at = standing.clock, -1.0
            self.waits_for = ""
            if self.size() > before:
                return
        standing.state, standing.why, self.waits_for = DONE, "", ""

    # What it is

    def size(self, wave: int | None = None) -> int:
        """How many devices are open when this wave (default: the present one) is: a share of those that take the
        release and do not have it from before."""
        fit = sum(place.state != UNFIT and not place.is_old_news for place in self.places.values())
        share = self.plan.waves[self.standing.wave if wave is None else wave]
        return -(-fit * share // WHOLE)  # at least one, where there is one

    def counts(self) -> dict[str, int]:
        """State -> devices."""
        found = dict.fromkeys((WAITING, ORDERED, STAGED, TRIAL, UPDATED, FAILED, UNFIT, STOPPED), 0)
        for place in self.places.values():
            found[place.state] += 1
        return found

    def is_too_bad(self) -> bool:
        """More failures than the open devices may have, when enough have an outcome."""
        size, judged = self.size(), sum(place.is_judged for place in self.places.values() if place.wave >= 0)
        failed = self.counts()[FAILED]
        return judged >= min(self.plan.sample, size) and failed * WHOLE > self.plan.abort_at * size

    def allows(self, device: str) -> bool:
        """Whether this device's beacon names the release."""
        place = self.places.get(device)
        return place is not None and place.is_open and self.standing.state != ABORTED

    @property
    def is_over(self) -> bool:
        """Nothing is left to be done but for latecomers."""
        is_under_way = any(place.state in UNDER_WAY for place in self.places.values())
        return self.standing.state in (ABORTED, DONE) and not is_under_way

    def _rank(self) -> None:
        def rank(place: Place) -> bytes:
            return hashlib.sha256(place.device.encode() + bytes.fromhex(self.plan.digest)).digest()

        self._ranked = sorted(self.places.values(), key=rank)

    def _set(self, place: Place, word: Word) -> None:
        if (place.state, place.reason, place.text) != (word.state, word.reason, word.text):
            place.state, place.reason, place.text = word.state, word.reason, word.text
            place.since = self.standing.clock
            self.changed.add(place.device)

    def drain(self) -> tuple[list[str], list[Place | str]]:
        """(devices to be ordered, rows to be written down: a copy of each, or the id of one that is gone)."""
        orders, self.outgoing = self.outgoing, []
        changed, self.changed = self.changed, set()
        return orders, [replace(self.places[one]) if one in self.places else one for one in sorted(changed)]
