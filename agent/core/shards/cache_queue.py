"""A first-in, first-out queue of cached slots, and a memory of what was asked for lately. Parts of the cache policies.

The queue costs no memory of its own: a slot's 24-bit note (index.py has one for every record) holds the next newer slot
(22 bits, +1, 0 = none) and how often it was read (2 bits). `notes` has `note(slot)` and `set_note(slot, value)`.
"""

from array import array

if False:
    from collections.abc import Collection
    from typing import Protocol

    class Notes(Protocol):
        def note(self, slot: int) -> int: ...
        def set_note(self, slot: int, value: int) -> None: ...


SLOTS_MAX = (1 << 22) - 1
READS_MAX = 3
_READS_AT = 22
_WAYS = 8
_TIME = 0xFFFFFFFF


class Queue:
    """`oldest`, `newest`: slots, -1 when it is empty."""

    def __init__(self, notes: "Notes") -> None:
        self.oldest = -1
        self.newest = -1
        self.count = 0
        self._notes = notes

    def push(self, slot: int, reads: int) -> None:
        """The newest one."""
        self._notes.set_note(slot, reads << _READS_AT)
        if self.newest >= 0:
            self._link(self.newest, slot)
        else:
            self.oldest = slot
        self.newest = slot
        self.count += 1

    def newer(self, slot: int) -> int:
        return (self._notes.note(slot) & SLOTS_MAX) - 1

    def cut(self, before: int, slot: int) -> None:
        """Take out `slot`; `before` is the one that is just older, -1 when there is none."""
        after = self.newer(slot)
        if before < 0:
            self.oldest = after
        else:
            self._link(before, after)
        if after < 0:
            self.newest = before
        self.count -= 1

    def discard(self, slots: "Collection[int]") -> "list[tuple[int, int]]":
        """Take these out wherever they are, in one walk; (slot, the one that is just older then) of each."""
        found: list[tuple[int, int]] = []
        before, slot = -1, self.oldest
        while slot >= 0 and len(found) < len(slots):
            after = self.newer(slot)
            if slot in slots:
                self.cut(before, slot)
                found.append((slot, before))
            else:
                before = slot
            slot = after
        return found

    def reads(self, slot: int) -> int:
        return self._notes.note(slot) >> _READS_AT

    def set_reads(self, slot: int, reads: int) -> None:
        self._notes.set_note(slot, self._notes.note(slot) & SLOTS_MAX | reads << _READS_AT)

    def _link(self, slot: int, newer: int) -> None:
        self._notes.set_note(slot, self._notes.note(slot) & ~SLOTS_MAX | newer + 1)


class Ghost:
    """The last `entries` keys that were seen and not kept. A key is found once, then it is forgotten. Keys share
    `places`, 8 bytes each, by eights: with few of them some are forgotten early; 1 in 2**32 is taken for another."""

    def __init__(self, entries: int, places: int) -> None:
        self._sets = max(1, (places + _WAYS - 1) // _WAYS)
        self._entries = entries
        self._words = array("I", bytes(8 * _WAYS * self._sets))  # mark, when it was seen (0 = never)
        self._now = 0

    def add(self, key: int) -> None:
        """`key`: 40 evenly distributed bits."""
        self._now = self._now % _TIME + 1
        words, at = self._words, self._home(key)
        chosen, longest = at, -1
        for place in range(at, at + 2 * _WAYS, 2):
            age = (self._now - words[place + 1]) % _TIME if words[place + 1] else _TIME
            if age > longest:
                chosen, longest = place, age
        words[chosen] = key & _TIME
        words[chosen + 1] = self._now

    def take(self, key: int) -> bool:
        """Whether it was seen lately."""
        words, at = self._words, self._home(key)
        for place in range(at, at + 2 * _WAYS, 2):
            if words[place] == key & _TIME and words[place + 1]:
                is_recent = (self._now - words[place + 1]) % _TIME < self._entries
                words[place + 1] = 0
                return is_recent
        return False

    def _home(self, key: int) -> int:
        return (key >> 8) % self._sets * 2 * _WAYS
