"""Each rule of a roll-out by itself: cohorts, soak, silence, sample, threshold, pause, abort, restart."""

import hashlib

import pytest

from agent.errors import UsageError
from tests.tools.rollout_world import NEW, OLD
from tools.gateway.updates.places import (
    FAILED,
    ORDERED,
    STAGED,
    STOPPED,
    TRIAL,
    TRIES_MAX,
    UNFIT,
    UPDATED,
    WAITING,
    Seen,
)
from tools.gateway.updates.plan import planned, share, span
from tools.gateway.updates.rollout import ABORTED, DONE, PAUSED, RUNNING, UNDER_WAY_MAX, Rollout

WORDS = {"canary": "10%", "waves": "50%,100%", "soak": "10m", "deadline": "30m", "abort_at": "10%"}


class Fleet:
    """`says`: what each device's birth says; all up and on the old release at first."""

    def __init__(self, count=20, **words):
        self.rollout = Rollout(planned(NEW, 8, WORDS | words))
        self.says = {f"{number:016x}": Seen(True, update(), 1) for number in range(count)}
        self.orders = []
        self.rows = {}

    def pass_time(self, seconds=1.0, step=60.0):
        while seconds > 0:
            self.rollout.know(dict.fromkeys(self.says, True))
            for device, seen in self.says.items():
                self.rollout.hear(device, seen)
            self.rollout.wake(min(step, seconds))
            seconds -= step
            self.write_down()

    def write_down(self):
        orders, changed = self.rollout.drain()
        self.orders += orders
        for device in orders:
            self.rollout.answered(device, "")
        self.rows |= {place.device: place for place in changed if not isinstance(place, str)}

    def say(self, device, **changes):
        is_up, boot = changes.pop("is_up", True), changes.pop("boot", self.says[device].boot)
        self.says[device] = Seen(is_up, update(**changes), boot)

    def updated(self, *devices):
        for device in devices:
            self.say(device, digest=NEW, boot=2)

    def refuse(self, device, reason, number=1, word="refused"):
        self.say(device, result=result(word, reason, number))

    def place(self, device):
        return self.rollout.places[device]

    def states(self):
        return {state: count for state, count in self.rollout.counts().items() if count}


def update(digest=OLD, state="idle", result=None, sequence=7):
    return {"slot": "a", "state": state, "sequence": sequence, "digest": digest, "result": result}


def result(word, reason="", number=1, active=OLD):
    return {
        "number": number, "do": "install", "result": word, "reason": reason, "text": reason, "state": "idle",
        "active": active, "sequence": 7, "target": "",
    }  # fmt: skip


def test_cohorts_are_the_first_by_hash():
    fleet = Fleet(20)
    fleet.pass_time()
    ranked = sorted(fleet.says, key=lambda one: hashlib.sha256(one.encode() + bytes.fromhex(NEW)).digest())
    assert fleet.orders == ranked[:2]
    assert [fleet.rollout.size(wave) for wave in range(3)] == [2, 10, 20]
    assert Fleet(0).rollout.size() == 0
    alone = Fleet(1)
    alone.pass_time()
    assert alone.orders, "a canary is at least one device"


def test_a_wave_opens_only_when_each_has_an_outcome_and_the_soak_is_over():
    fleet = Fleet(20)
    fleet.pass_time()
    first, second = fleet.orders
    fleet.updated(first)
    fleet.pass_time(1200)
    assert fleet.rollout.standing.wave == 0 and "1 without an outcome" in fleet.rollout.waits_for
    fleet.updated(second)
    fleet.pass_time(540)
    assert fleet.rollout.standing.wave == 0 and "stays well" in fleet.rollout.waits_for
    fleet.pass_time(180)
    assert fleet.rollout.standing.wave == 1 and len(fleet.orders) == 10
    fleet.updated(*fleet.orders)
    fleet.pass_time(900)
    fleet.updated(*fleet.orders)
    fleet.pass_time(900)
    assert fleet.states() == {UPDATED: 20} and fleet.rollout.standing.state == DONE
    fleet.says["f" * 16] = Seen(True, update(), 1)
    fleet.pass_time()
    assert fleet.orders[-1] == "f" * 16, "who comes later gets it too"


def test_what_staging_and_trial_look_like():
    fleet = Fleet(1)
    fleet.pass_time()
    device = fleet.orders[0]
    fleet.say(device, state="trial", result=result("staged"))
    fleet.pass_time()
    assert fleet.states() == {STAGED: 1}
    fleet.say(device, state="trial", digest=NEW, boot=2, result=result("staged"))
    fleet.pass_time()
    assert fleet.states() == {TRIAL: 1}
    fleet.say(device, boot=5, result=result("staged"))
    fleet.pass_time()
    assert fleet.states() == {FAILED: 1} and fleet.place(device).reason == "rolled_back"


def test_a_fall_back_that_nobody_saw_begin_is_one_too():
    fleet = Fleet(1)
    fleet.pass_time()
    fleet.say(fleet.orders[0], boot=5, result=result("staged"))
    fleet.pass_time()
    assert fleet.place(fleet.orders[0]).reason == "rolled_back"


@pytest.mark.parametrize("is_up, reason", [(False, "silent"), (True, "late")])
def test_silence_is_a_failure_after_the_deadline(is_up, reason):
    fleet = Fleet(20, sample=1)
    fleet.pass_time()
    first, second = fleet.orders
    fleet.updated(second)
    fleet.say(first, is_up=is_up)
    fleet.pass_time(1740)
    assert fleet.place(first).state == ORDERED
    fleet.pass_time(120)
    assert (fleet.place(first).state, fleet.place(first).reason) == (FAILED, reason)
    assert fleet.rollout.standing.state == ABORTED


def test_silence_after_the_update_is_one_as_long_as_the_wave_is_watched():
    fleet = Fleet(20, sample=1, soak="2h")
    fleet.pass_time()
    fleet.updated(*fleet.orders)
    fleet.pass_time()
    fleet.say(fleet.orders[0], is_up=False, digest=NEW, boot=2)
    fleet.pass_time(1920)
    assert fleet.place(fleet.orders[0]).reason == "silent" and fleet.rollout.standing.state == ABORTED


def test_who_is_not_heard_now_keeps_the_next_wave_shut():
    fleet = Fleet(20)
    fleet.pass_time()
    fleet.updated(*fleet.orders)
    fleet.pass_time()
    fleet.say(fleet.orders[0], is_up=False, digest=NEW, boot=2)
    fleet.pass_time(1200)
    assert fleet.rollout.standing.wave == 0 and "not heard now" in fleet.rollout.waits_for


def test_no_judgement_before_the_sample_and_none_below_the_threshold():
    fleet = Fleet(100, sample=5)
    fleet.pass_time()
    assert len(fleet.orders) == 10
    for device in fleet.orders[:2]:
        fleet.refuse(device, "image")
    fleet.updated(*fleet.orders[2:4])
    fleet.pass_time(60)
    assert fleet.rollout.standing.state == RUNNING, "4 of 5 outcomes"
    fleet.updated(fleet.orders[4])
    fleet.pass_time(60)
    assert fleet.rollout.standing.state == ABORTED and "2 of 10" in fleet.rollout.standing.why
    one = Fleet(100, sample=5)
    one.pass_time()
    one.refuse(one.orders[0], "image")
    one.updated(*one.orders[1:])
    one.pass_time(900)
    assert one.rollout.standing.state == RUNNING and one.rollout.standing.wave == 1, "10 % is not more than 10 %"


def test_pause_orders_nobody_and_its_clock_stands():
    fleet = Fleet(20)
    fleet.pass_time()
    fleet.updated(*fleet.orders)
    fleet.rollout.pause()
    fleet.pass_time(7200)
    assert len(fleet.orders) == 2 and fleet.rollout.standing.state == PAUSED
    assert fleet.states() == {WAITING: 18, UPDATED: 2}
    fleet.rollout.resume()
    fleet.pass_time(1200)
    assert len(fleet.orders) == 10


def test_pause_judges_no_silence_and_fills_no_wave():
    fleet = Fleet(400, canary="50%", waves="100%")
    fleet.pass_time()
    fleet.rollout.pause()
    fleet.updated(*fleet.orders[:10])
    fleet.pass_time(7200)
    assert len(fleet.orders) == UNDER_WAY_MAX
    assert fleet.states() == {WAITING: 400 - UNDER_WAY_MAX, UPDATED: 10, ORDERED: UNDER_WAY_MAX - 10}
    fleet.rollout.resume()
    fleet.pass_time()
    assert len(fleet.orders) == UNDER_WAY_MAX + 10


def test_no_next_wave_before_half_of_the_open_devices_have_confirmed():
    fleet = Fleet(100)
    for device in list(fleet.says)[:96]:
        fleet.say(device, is_up=False)
    fleet.pass_time(3600)
    assert len(fleet.orders) == 4
    fleet.updated(*fleet.orders)
    fleet.pass_time(7200)
    assert fleet.rollout.standing.wave == 0 and "4 of 10 have confirmed" in fleet.rollout.waits_for
    fleet.say(next(iter(fleet.says)))
    fleet.pass_time()
    fleet.updated(*fleet.orders)
    fleet.pass_time(1200)
    assert fleet.rollout.standing.wave == 1


def test_an_abort_reaches_who_is_under_way():
    fleet = Fleet(20)
    fleet.pass_time()
    first, second = fleet.orders
    fleet.say(first, state="trial", result=result("staged"))
    fleet.pass_time()
    assert fleet.rollout.allows(first) and not fleet.rollout.allows("no such device")
    fleet.rollout.abort("by hand")
    fleet.pass_time(5)
    assert fleet.orders[2:] == [first, second] or fleet.orders[2:] == [second, first], "told to refresh"
    assert not fleet.rollout.allows(first) and fleet.states()[STOPPED] == 18
    fleet.say(first, result=result("nothing", "nothing", 2))
    fleet.refuse(second, "aborted", 1)
    fleet.pass_time(5)
    assert fleet.states() == {STOPPED: 20} and fleet.place(first).reason == "called_off" and fleet.rollout.is_over
    fleet.pass_time(7200)
    assert len(fleet.orders) == 4


def test_a_restart_of_the_core_goes_on():
    fleet = Fleet(20)
    fleet.pass_time()
    fleet.updated(fleet.orders[0])
    fleet.pass_time(1200)
    fleet.rollout = Rollout(fleet.rollout.plan, fleet.rollout.standing, list(fleet.rows.values()))
    assert fleet.states() == {WAITING: 18, UPDATED: 1, ORDERED: 1}
    fleet.pass_time(30, step=1)
    assert len(fleet.orders) == 2
    fleet.pass_time(60)
    assert fleet.orders[2:] == [fleet.orders[1]], "ordered again: whether the first went out nobody knows"
    fleet.pass_time(1200)
    assert fleet.rollout.standing.state == ABORTED and fleet.place(fleet.orders[1]).reason == "late"


def test_what_says_nothing_of_the_release_is_not_counted():
    fleet = Fleet(20, sample=1)
    mute, newer, foreign = list(fleet.says)[:3]
    fleet.says[mute] = Seen(True, {}, 1)
    fleet.say(newer, sequence=9)
    fleet.rollout.know(dict.fromkeys(fleet.says, True) | {foreign: False})
    fleet.pass_time()
    assert [fleet.place(one).reason for one in (mute, newer, foreign)] == ["no_updates", "newer", "class"]
    ordered = fleet.orders[0]
    fleet.refuse(ordered, "class")
    fleet.pass_time()
    assert (fleet.place(ordered).state, fleet.place(ordered).reason) == (UNFIT, "class")
    for code in ("updates_off", "not_the_updater", "no_such"):
        device = next(place.device for place in fleet.rollout.places.values() if place.state == ORDERED)
        fleet.rollout.answered(device, code, "no")
        fleet.pass_time()
        assert fleet.place(device).reason == code
    assert fleet.states() == {UNFIT: 7, ORDERED: 2, WAITING: 11} and fleet.rollout.standing.state == RUNNING
    fleet.says[mute] = Seen(True, update(), 1)
    fleet.pass_time()
    assert fleet.place(mute).state in (WAITING, ORDERED)


def test_who_is_away_keeps_a_place_for_a_while():
    fleet = Fleet(20)
    ranked = sorted(fleet.says, key=lambda one: hashlib.sha256(one.encode() + bytes.fromhex(NEW)).digest())
    fleet.say(ranked[0], is_up=False)
    fleet.pass_time(1200)
    assert fleet.orders == [ranked[1]]
    fleet.pass_time(1200)
    assert ranked[2] in fleet.orders and fleet.place(ranked[0]).reason == "offline"


def test_what_may_go_well_later_is_tried_again_but_not_for_ever():
    fleet = Fleet(20)
    fleet.pass_time()
    device, other = fleet.orders
    fleet.updated(other)
    for number in range(1, TRIES_MAX + 1):
        assert fleet.place(device).state == ORDERED and fleet.orders.count(device) == number
        fleet.refuse(device, "source", number)
        fleet.pass_time(180)
    assert fleet.place(device).state == FAILED and fleet.orders.count(device) == TRIES_MAX


def test_an_offline_answer_gives_the_place_back():
    fleet = Fleet(20)
    fleet.rollout.know(dict.fromkeys(fleet.says, True))
    for device, seen in fleet.says.items():
        fleet.rollout.hear(device, seen)
    fleet.rollout.wake(1)
    first = fleet.rollout.drain()[0][0]
    fleet.rollout.answered(first, "offline")
    assert fleet.place(first).state == WAITING and not fleet.rollout.allows(first)


def test_only_so_many_at_a_time():
    fleet = Fleet(1000, canary="50%", waves="100%")
    fleet.pass_time(300)
    assert len(fleet.orders) == UNDER_WAY_MAX


def test_words():
    assert (share("1%"), share("0.5%"), share("100%"), span("45s"), span("2h")) == (100, 50, 10_000, 45, 7200)
    for call, word in ((share, "0%"), (share, "101%"), (share, "1"), (span, "5"), (span, "31d"), (span, "x")):
        with pytest.raises(UsageError):
            call(word)
    for wrong in ({"waves": "1%,1%"}, {"canary": "60%"}, {"sample": 0}, {"sample": True}, {"soak": 5}):
        with pytest.raises(UsageError):
            planned(NEW, 8, WORDS | wrong)


def test_who_is_paired_anew_has_its_turn_anew():
    fleet = Fleet(1)
    (device,) = fleet.says
    fleet.says[device] = Seen(False, {}, 1)
    fleet.pass_time(60)
    del fleet.says[device]
    fleet.pass_time(3600)
    fleet.says[device] = Seen(False, {}, 1)
    fleet.pass_time(60)
    assert fleet.place(device).reason == "wave", "it was away for a minute, not for an hour"
