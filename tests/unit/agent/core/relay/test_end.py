"""Allocations that end because their core is left."""

from agent.core.relay.events import Close
from tests.unit.agent.core.relay.relaying import LIMITS, Caller, Place, table_sizes


def test_the_allocations_of_one_who_goes_end_and_no_others():
    place = Place(LIMITS)
    callers = [Caller(place, 1, "ann"), Caller(place, 2, "bob"), Caller(place, 3, "ann")]
    assert [caller.allocate()[0] for caller in callers] == [0, 0, 0]
    assert callers[0].bind(0x4000, (b"\x09\x09\x09\x09", 5000)) == 0
    place.drain()
    place.relay.end(lambda user: user == "ann", place.now)
    place.settle()
    assert len(place.drain(Close)) == 2
    assert table_sizes(place.relay)[:2] == (1, 1) and place.relay.users["ann"][0] == 0
    assert callers[0].refresh(600)[0] == 437 and callers[1].refresh(600)[0] == 0
