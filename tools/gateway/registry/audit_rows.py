"""The registry's rows about audits: what proves each shard, and what each device's answers have been.

For each shard one root and one salted hash, about 150 bytes: a root is good for any number of challenges; a salted hash
for one, so it is a rare extra that proves every byte, and 32 of them a shard would be 1.5 KB, more than the rest of the
registry together. Whatever else is needed is made when a shard is read.
"""

from collections.abc import Sequence

import sqlalchemy as sa

from agent.wire.audit import KEY_BYTES
from tools.gateway.audits.reputation import Reputation
from tools.gateway.registry.moves import enqueue, job_of, set_shard
from tools.gateway.registry.pairings import PairingRows
from tools.gateway.registry.tables import DEVICES, OBJECTS, PROOFS, QUEUE, REPUTATIONS, SHARDS, Placed, Proof

NAMES_AT_ONCE = 10_000  # each time all rows of the device are looked at


class AuditRows(PairingRows):
    """A part of registry.Registry."""

    def add_proofs(self, shards: Sequence[Placed], proofs: Sequence[Proof]) -> None:
        """One for each; those of before are replaced."""
        rows = [
            {"object": shard.object, "stripe": shard.stripe, "number": shard.number} | proof._asdict()
            for shard, proof in zip(shards, proofs, strict=True)
        ]
        with self._write(durable=False) as connection:
            connection.execute(sa.insert(PROOFS).prefix_with("OR REPLACE"), rows)

    def proof(self, shard: Placed) -> Proof | None:
        """None for one that was stored before there were proofs."""
        columns = PROOFS.c.root, PROOFS.c.salt, PROOFS.c.salted
        rows = self._rows(sa.select(*columns).where(*_is_of(shard)))
        return Proof(*rows[0]) if rows else None

    def spend_salt(self, shard: Placed) -> None:
        """Its salt is known to the device from now on."""
        with self._write(durable=False) as connection:
            connection.execute(sa.update(PROOFS).where(*_is_of(shard)).values(salt=b"", salted=b""))

    def placed(self, object_id: str, stripe: int, number: int) -> list[Placed]:
        """One shard; [] when its object is gone."""
        where = (SHARDS.c.object == object_id, SHARDS.c.stripe == stripe, SHARDS.c.number == number)
        return [Placed(**row._mapping) for row in self._rows(sa.select(SHARDS).where(*where))]

    def sample(self, device: str, count: int) -> list[Placed]:
        """Shards that it is believed to keep, at random."""
        query = sa.select(SHARDS).where(SHARDS.c.device == device, SHARDS.c.state == "kept")
        return [Placed(**row._mapping) for row in self._rows(query.order_by(sa.func.random()).limit(count))]

    def kept_keys(self, device: str) -> set[bytes]:
        """Beginnings of the names of all that it is believed to keep."""
        key = sa.func.substr(SHARDS.c.name, 1, KEY_BYTES)
        query = sa.select(key).where(SHARDS.c.device == device, SHARDS.c.state == "kept")
        return {bytes(row[0]) for row in self._rows(query)}

    def kept_named(self, device: str, beginnings: Sequence[bytes]) -> list[Placed]:
        """Those of them whose names begin so, each beginning KEY_BYTES at least."""
        wanted: dict[bytes, list[bytes]] = {}
        for each in beginnings:
            wanted.setdefault(each[:KEY_BYTES], []).append(each)
        keys, found = list(wanted), []
        for start in range(0, len(keys), NAMES_AT_ONCE):
            key = sa.func.substr(SHARDS.c.name, 1, KEY_BYTES).in_(keys[start : start + NAMES_AT_ONCE])
            query = sa.select(SHARDS).where(SHARDS.c.device == device, SHARDS.c.state == "kept", key)
            rows = [row for row in self._rows(query) if row.name.startswith(tuple(wanted[row.name[:KEY_BYTES]]))]
            found += [Placed(**row._mapping) for row in rows]
        return found

    def known_keys(self, device: str) -> set[bytes]:
        """Beginnings of the names of all that this device may have by our doing, waiting deletions included."""
        both = [
            sa.select(sa.func.substr(table.c.name, 1, KEY_BYTES)).where(table.c.device == device)
            for table in (SHARDS, QUEUE)
        ]
        return {bytes(row[0]) for query in both for row in self._rows(query)}

    def is_kept(self, shard: Placed) -> bool:
        """Whether it still is where it was when `shard` was read."""
        found = self.placed(shard.object, shard.stripe, shard.number)
        return [(each.device, each.state) for each in found] == [(shard.device, "kept")]

    def reputation(self, device: str) -> Reputation:
        """The first one for a device that was not audited since it was paired."""
        return self.reputations(device).get(device, Reputation(device, 0))

    def reputations(self, device: str = "") -> dict[str, Reputation]:
        """Of every device, or of one."""
        only = DEVICES.c.id == device if device else sa.true()
        found = {row.id: Reputation(row.id, row.added) for row in self._rows(sa.select(DEVICES).where(only))}
        on = sa.and_(REPUTATIONS.c.device == DEVICES.c.id, REPUTATIONS.c.since == DEVICES.c.added)
        rows = self._rows(sa.select(REPUTATIONS).join(DEVICES, on).where(only))
        return found | {row.device: Reputation(**row._mapping) for row in rows}

    def lose_shards(self, shards: Sequence[Placed]) -> int:
        """Their device has proven or said that it has them no longer: they are to be made again. Returns how many; what
        has been moved or removed meanwhile is not counted. Until a receipt names a new place, reads still ask there."""
        with self._write() as connection:
            lost = [each for each in shards if set_shard(connection, each, each.device, "missing", was="kept")]
            enqueue(connection, [job_of("put", each._replace(device="")) for each in lost])
        return len(lost)

    def note_reputation(self, reputation: Reputation) -> None:
        """As of now."""
        with self._write(durable=False) as connection:
            connection.execute(sa.insert(REPUTATIONS).prefix_with("OR REPLACE").values(reputation._asdict()))

    def sweep_proofs(self) -> None:
        """Forget what belongs to objects and devices that are gone."""
        with self._write(durable=False) as connection:
            connection.execute(sa.delete(PROOFS).where(PROOFS.c.object.not_in(sa.select(OBJECTS.c.id))))
            connection.execute(sa.delete(REPUTATIONS).where(REPUTATIONS.c.device.not_in(sa.select(DEVICES.c.id))))


def _is_of(shard: Placed) -> list[sa.ColumnElement[bool]]:
    return [PROOFS.c.object == shard.object, PROOFS.c.stripe == shard.stripe, PROOFS.c.number == shard.number]
