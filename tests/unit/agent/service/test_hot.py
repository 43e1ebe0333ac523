"""Shards held in memory: never more than agreed, those that are being sent included."""

from agent import port
from agent.core.shards.ticket import HASH, Effect, Ticket
from agent.errors import PortError
from agent.service import hot

PAGE = hot.PAGE_BYTES
CORE = "00112233445566aa"


class Block:
    """Counts what is open."""

    open = 0
    is_full = False

    def __init__(self, data):
        if Block.is_full:
            raise PortError("io", "No descriptors.")
        self.data = bytes(data)
        Block.open += 1

    def close(self):
        Block.open -= 1


def held(most, *names):
    """A Hot with shards of 100 bytes (two pages each), in slots 0, 1, ..."""
    Block.open, Block.is_full = 0, False
    made = hot.Hot(most * 2 * PAGE, Block)
    return made, [put(made, name, slot) for slot, name in enumerate(names)]


def put(made, name, slot, is_right=True, core=CORE):
    ticket = Ticket("get", core, 1, name)
    ticket.slot, ticket.length = slot, 100
    data = made.begin(Effect(HASH, None, 0, 100, None, ticket))
    if data is not None:
        data[:] = name * (100 // len(name))
        made.end(ticket, data, is_right)
    return made.held.get(name)


def test_the_first_gives_way():
    made, kept = held(2, b"aa", b"bb", b"cc")
    assert None not in kept and b"cc" in made.held and Block.open == len(made.held) == 2
    assert port.MICROPYTHON or b"bb" in made.held  # whose dictionaries know no order; it has fresh.py instead
    assert kept[2].block.data == b"cc" * 50 and b"Content-Length: 100" in kept[2].head


def test_what_is_being_sent_stays_and_is_counted():
    made, kept = held(2, b"aa", b"bb")
    assert made.take(b"aa", kept[0]) and made.take(b"bb", kept[1])
    assert put(made, b"cc", 3) is None, "no room: it is answered from the disk"
    made.drop(0)
    assert Block.open == 2 and put(made, b"cc", 3) is None, "deleted, but still on its way"
    kept[0].pins -= 1
    assert put(made, b"cc", 3) is not None and Block.open == 2
    assert not made.take(b"aa", kept[0]) and kept[0].pins == 0
    assert kept[0].reads == kept[1].reads == 1, "what was not sent was not read"


def test_only_what_is_right_and_fits():
    made, _ = held(2)
    assert put(made, b"aa", 0, is_right=False) is None and made._bytes == 0
    Block.is_full = True
    assert put(made, b"aa", 0) is None and made._bytes == 0, "no descriptors: from the disk"
    assert hot.Hot(PAGE, Block).begin(Effect(HASH, None, 0, 100, None, None)) is None


def test_a_slot_or_a_name_is_held_once():
    made, _ = held(9, b"aa", b"bb")
    put(made, b"cc", 1)
    put(made, b"aa", 7)
    assert sorted(made.held) == [b"aa", b"cc"] and made.held[b"aa"].slot == 7 and Block.open == 2
    made.drop(5)
    made.drop(1)
    assert sorted(made.held) == [b"aa"]


def test_a_core_that_is_left():
    made, _ = held(9, b"aa")
    put(made, b"bb", 1, core="1111111111111111")
    made.forget(CORE)
    assert sorted(made.held) == [b"bb"] and Block.open == 1


def test_no_more_than_there_are_descriptors_for():
    made, _ = held(10_000)
    kept, hot.KEPT_MAX = hot.KEPT_MAX, 3
    try:
        for number in range(5):
            put(made, bytes([65 + number]), number)
        assert len(made.held) == Block.open == 3 and b"E" in made.held
    finally:
        hot.KEPT_MAX = kept
