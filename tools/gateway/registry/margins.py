"""The registry's view of how safe objects are: what each stripe can lose now, and which are to be repaired.

The rows of shards are the truth, the queue is only what is being done about them: repairs are found here, worst first,
a bounded number at a time. The two queries over all objects are made to be called from a thread.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa

from tools.gateway.objects.stripes import SLOT_HEADER_BYTES, SLOTS
from tools.gateway.registry.tables import ABSENCES, OBJECTS, PROMISED, QUEUE, SHARDS, Placed
from tools.gateway.registry.update_rows import UpdateRows


class Margin(NamedTuple):
    """Of one object. `kept`: shards with a receipt; `survives`: losses that its worst stripe survives now, below 0 = it
    cannot be read now; `away`: shards on devices that are not up; `missing`: shards that nobody has; `weak`: stripes
    of which not every shard can be read."""

    kept: int
    survives: int
    away: int
    missing: int
    weak: int


class Presence(NamedTuple):
    """`up`: devices that can be reached; `gone`: away for so long that they are not waited for; `waited`: away, but not
    for so long; `room`: slot size -> how many of those that are up would take a shard. `is_urgent`: look only at
    stripes that survive no loss."""

    up: frozenset[str]
    gone: frozenset[str]
    waited: frozenset[str]
    room: Mapping[int, int]
    is_urgent: bool = False


class Frail(NamedTuple):
    """A stripe to be repaired."""

    object: str
    stripe: int
    margin: int


class Remains(NamedTuple):
    """Of a device that is emptied. `shards`: that it keeps; `objects`: ids of stored ones that have some of them;
    `lost`: of those that cannot be read without it."""

    shards: int
    objects: list[str]
    lost: list[str]


# A shard that is to be made on any device.
_IS_QUEUED = sa.exists().where(QUEUE.c.kind == "put", QUEUE.c.device == "", QUEUE.c.name == SHARDS.c.name)


def _count(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.sum(sa.case((condition, 1), else_=0))


class MarginRows(UpdateRows):
    """A part of registry.Registry."""

    def margins(self, up: Iterable[str]) -> dict[str, Margin]:
        """Of each stored object. Only shards on the devices `up` count as readable; doubted ones make an object
        readable, but no losses survivable."""
        state, is_up = SHARDS.c.state, SHARDS.c.device.in_(list(up))
        is_kept, is_promised = state == "kept", state.in_(PROMISED)
        by_stripe = (
            sa.select(
                SHARDS.c.object,
                _count(is_kept).label("kept"),
                _count(sa.and_(is_kept, is_up)).label("readable"),
                _count(sa.and_(is_promised, is_up)).label("likely"),
                _count(sa.and_(is_promised, ~is_up)).label("away"),
                _count(~is_promised).label("missing"),
            )
            .group_by(SHARDS.c.object, SHARDS.c.stripe)
            .subquery()
        )
        row = by_stripe.c
        sure, hoped = row.readable - OBJECTS.c.k, row.likely - OBJECTS.c.k
        losses = sa.case((sure >= 0, sure), (hoped >= 0, 0), else_=hoped)
        wanted = [sa.func.sum(row.kept), sa.func.min(losses), sa.func.sum(row.away), sa.func.sum(row.missing)]
        query = (
            sa.select(OBJECTS.c.id, *wanted, _count(row.readable < OBJECTS.c.n))
            .join(by_stripe, row.object == OBJECTS.c.id)
            .where(OBJECTS.c.state == "stored")
            .group_by(OBJECTS.c.id)
        )
        return {found[0]: Margin(*[int(value) for value in found[1:]]) for found in self._rows(query)}

    def absent_holders(self, up: Iterable[str]) -> dict[str, list[str]]:
        """For each stored object the devices that have shards of it and are not up."""
        column = SHARDS.c
        query = (
            sa.select(column.object, column.device)
            .join(OBJECTS, OBJECTS.c.id == column.object)
            .where(OBJECTS.c.state == "stored", column.state.in_(PROMISED), column.device.not_in([*up, ""]))
            .distinct()
            .order_by(column.object, column.device)
        )
        found: dict[str, list[str]] = {}
        for row in self._rows(query):
            found.setdefault(row.object, []).append(row.device)
        return found

    def survival(self, up: Iterable[str]) -> dict[str, tuple[int, int]]:
        """For each stored object (shards with a receipt, losses it survives)."""
        return {each: (margin.kept, margin.survives) for each, margin in self.margins(up).items()}

    def frail(self, presence: Presence, count: int) -> list[Frail]:
        """Stripes to be repaired now and not queued yet, worst first: those with a shard that nobody has, and those
        that shards on devices that are gone have brought down to their bound (half of what they could lose; 0 when it
        is urgent). Only where a device that is up could take one."""
        state, device = SHARDS.c.state, SHARDS.c.device
        is_up, is_gone = device.in_(list(presence.up)), device.in_(list(presence.gone))
        # One whose own device is up, or waited for, has a job of its own.
        is_free = sa.and_(state == "missing", ~is_up, device.not_in(list(presence.waited)))
        is_lost = sa.and_(is_free, ~_IS_QUEUED)
        by_stripe = (
            sa.select(
                SHARDS.c.object,
                SHARDS.c.stripe,
                _count(sa.and_(state == "kept", is_up)).label("readable"),
                _count(sa.and_(state.in_(PROMISED), is_up)).label("placed"),
                _count(sa.and_(state.in_(PROMISED), is_gone)).label("gone"),
                _count(is_lost).label("lost"),
            )
            .group_by(SHARDS.c.object, SHARDS.c.stripe)
            .subquery()
        )
        row, found = by_stripe.c, OBJECTS.c
        margin = row.readable - found.k
        bound: Any = 0 if presence.is_urgent else (found.n - found.k) // 2
        room = sa.case(*[(found.slot == slot, number) for slot, number in presence.room.items()], else_=0)
        is_wanted = sa.or_(row.lost > 0, sa.and_(row.gone > 0, margin <= bound))
        query = (
            sa.select(found.id, row.stripe, margin)
            .join(by_stripe, row.object == found.id)
            .where(found.state == "stored", is_wanted, row.placed >= found.k, row.placed < room)
            .order_by(margin, found.id, row.stripe)
            .limit(count)
        )
        return [Frail(*values) for values in self._rows(query)]

    def movable(self, device: str, able: Mapping[int, list[str]], count: int, is_queued: bool = False) -> list[Placed]:
        """Shards that it keeps and another device can take. `able`: slot size -> those with room; `is_queued`: also
        those that are being moved already."""
        other = SHARDS.alias()
        is_same = (other.c.object == SHARDS.c.object, other.c.stripe == SHARDS.c.stripe)
        free = []
        for slot, devices in able.items():
            taken = sa.select(sa.func.count(other.c.device.distinct())).where(*is_same, other.c.device.in_(devices))
            free.append(sa.and_(OBJECTS.c.slot == slot, taken.scalar_subquery() < len(devices)))
        query = (
            sa.select(SHARDS)
            .join(OBJECTS, OBJECTS.c.id == SHARDS.c.object)
            .where(SHARDS.c.device == device, SHARDS.c.state.in_(PROMISED), OBJECTS.c.state == "stored")
            .where(sa.or_(sa.false(), *free), sa.or_(sa.literal(is_queued), ~_IS_QUEUED))
            .limit(count)
        )
        return [Placed(**row._mapping) for row in self._rows(query)]

    def remains(self, device: str, leaving: Iterable[str]) -> Remains:
        """What of it the devices that stay do not have."""
        column = SHARDS.c
        is_here, is_promised = column.device == device, column.state.in_(PROMISED)
        is_there = sa.and_(is_promised, column.device.not_in([*leaving, ""]))
        shards = self._rows(sa.select(sa.func.count()).where(is_here, is_promised))[0][0]
        here = sa.select(column.object).where(is_here, is_promised)
        counts = [_count(sa.and_(is_here, is_promised)).label("here"), _count(is_there).label("there")]
        by_stripe = (
            sa.select(column.object, *counts)
            .where(column.object.in_(here))
            .group_by(column.object, column.stripe)
            .subquery()
        )
        row = by_stripe.c
        query = (
            sa.select(OBJECTS.c.id, _count(sa.and_(row.here > 0, row.there < OBJECTS.c.k)))
            .join(by_stripe, row.object == OBJECTS.c.id)
            .where(OBJECTS.c.state == "stored")
            .group_by(OBJECTS.c.id)
            .order_by(OBJECTS.c.created, OBJECTS.c.id)
        )
        found = self._rows(query)
        return Remains(shards, [each[0] for each in found], [each[0] for each in found if each[1]])

    def shard_counts(self) -> dict[str, int]:
        """Device -> shards that it has given a receipt for."""
        promised = SHARDS.c.state.in_(PROMISED)
        query = sa.select(SHARDS.c.device, sa.func.count()).where(promised).group_by(SHARDS.c.device)
        return {row[0]: row[1] for row in self._rows(query)}

    def lacking(self, object_id: str) -> int:
        """Shards of this object without a receipt."""
        query = sa.select(sa.func.count()).where(SHARDS.c.object == object_id, SHARDS.c.state != "kept")
        return int(self._rows(query)[0][0])

    def homeless(self) -> int:
        """Shards that no device has."""
        return int(self._rows(sa.select(sa.func.count()).where(SHARDS.c.device == ""))[0][0])

    def kept_bytes(self) -> dict[str, int]:
        """Device -> bytes of its slots that our shards fill, as far as receipts tell."""
        whole = SHARDS.c.size + SLOT_HEADER_BYTES
        slot = sa.case(*[(whole <= slot, slot) for slot in SLOTS], else_=whole)
        promised = SHARDS.c.state.in_(PROMISED)
        query = sa.select(SHARDS.c.device, sa.func.sum(slot)).where(promised).group_by(SHARDS.c.device)
        return {row[0]: int(row[1]) for row in self._rows(query)}

    # Who is away, and for how long

    def absences(self) -> dict[str, int]:
        """Device -> seconds that it has been away."""
        return {row.device: row.seconds for row in self._rows(sa.select(ABSENCES))}

    def note_absences(self, seconds: Mapping[str, int]) -> None:
        """In the place of what was written before."""
        with self._write(durable=False) as connection:
            connection.execute(sa.delete(ABSENCES))
            if seconds:
                rows = [{"device": device, "seconds": value} for device, value in sorted(seconds.items())]
                connection.execute(sa.insert(ABSENCES), rows)
