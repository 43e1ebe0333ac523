"""The index against a plain dict, with random operations; and its size."""

from agent.core.shards.index import KEEP_ALWAYS, QUARANTINED, Index, hours_of, key_of
from tests.sim.chance import Xorshift32


def slab_of(index, slots):
    position = index.add_slab(slots)
    for place in range(slots - 1, -1, -1):
        index.give(position * 256 + place)
    return position


def test_first_slots_are_taken_first():
    index = Index()
    position = slab_of(index, 5)
    assert index.free == [5]
    assert [index.take(position) for _ in range(6)] == [0, 1, 2, 3, 4, -1]
    index.give(3)
    assert index.take(position) == 3 and index.free == [0]


def test_like_a_dict():
    random = Xorshift32(7)
    index, model, taken = Index(), {}, []
    positions = [slab_of(index, 40), slab_of(index, 256), slab_of(index, 3)]
    for step in range(3000):
        choice = random.below(10)
        if choice < 5:
            slot = index.take(positions[random.below(3)])
            if slot >= 0:
                # Few distinct keys, so that chains are long and keys collide.
                key, core = random.below(64) << 32 | random.below(4), 1 + random.below(3)
                index.insert(slot, key, core, random.below(1000), random.below(4))
                model[slot] = (key, core)
        elif choice < 9 and model:
            slot = sorted(model)[random.below(len(model))]
            assert index.is_record(slot, model[slot][0], model[slot][1])
            assert not index.is_record(slot, model[slot][0], model[slot][1] + 1)
            index.remove(slot)
            assert not index.is_record(slot, model[slot][0], model[slot][1])
            del model[slot]
            taken.append(slot)
        elif taken:
            index.give(taken.pop())
        if step % 50 == 0:
            for key, core in set(model.values()):
                wanted = sorted([slot for slot in model if model[slot] == (key, core)])
                assert sorted(index.find(key, core)) == wanted
                assert index.find(key ^ 1 << 33, core + 10) == []
    assert index.records == len(model) and sum(index.free) == 299 - len(model) - len(taken)
    found = [slot for position in positions for slot in index.records_in(position)]
    assert sorted(found) == sorted(model)


def test_growing_keeps_everything():
    index = Index()
    for number in range(4):
        position = slab_of(index, 256)
        for count in range(256):
            index.insert(index.take(position), number << 32 | count, 1, KEEP_ALWAYS, 0)
    for number in range(4):
        for count in range(0, 256, 7):
            assert index.find(number << 32 | count, 1) == [number * 256 + count]


def test_ram_a_record():
    index = Index()
    for number in range(4):
        position = slab_of(index, 256)
        for count in range(256):
            index.insert(index.take(position), (number * 256 + count) * 0x9E3779B97F & 0xFFFFFFFFFF, 1, 1, 0)
    tables = sum([4 * len(index._table(position)) for position in range(4)])
    assert (tables + 4 * len(index._heads)) / 1024 <= 16


def test_state_beside_the_key():
    index = Index()
    slot = index.take(slab_of(index, 1))
    key = key_of(b"\xff\xfe\xfd\xfc\xfb\xfa")
    index.insert(slot, key, 63, KEEP_ALWAYS, 0)
    assert index.find(key, 63) == [slot] and index.core_of(slot) == 63 and index.note(slot) == KEEP_ALWAYS
    index.set_kind(slot, QUARANTINED)
    assert index.kind(slot) == QUARANTINED and index.core_of(slot) == 63 and index.find(key, 63) == [slot]
    index.set_note(slot, 5)
    assert index.note(slot) == 5 and index.is_record(slot, key, 63)
    index.remove(slot)
    assert index.core_of(slot) == 0 and index.find(key, 63) == []
    index.give(slot)
    index.remove_slab(0)
    assert index.slots_in(0) == 0 and not index.is_record(slot, key, 63)
    assert index.add_slab(2) == 0, "the position is used again"


def test_hours():
    assert hours_of(0) == KEEP_ALWAYS
    assert hours_of(1) == 1 and hours_of(3600) == 1 and hours_of(3601) == 2
    assert hours_of((1 << 53) - 1) == KEEP_ALWAYS - 1
