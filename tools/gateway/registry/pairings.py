"""The registry's rows about pairings that are not finished: certificates that were issued and not yet bound.

They stand beside a device's own row, never in its place: what the device keeps stays readable until it has said that
it is bound. Bounds: admission.py ends a pairing after a day.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import sqlalchemy as sa

from tools.gateway.registry.tables import DEVICES, PAIRINGS, Device, Pairing


class PairingRows:
    """A part of registry.Registry."""

    _pairing: frozenset[str] = frozenset()

    def _write(self, durable: bool = True) -> AbstractContextManager[sa.Connection]:
        raise NotImplementedError

    def _rows(self, query: sa.Select[*tuple[Any, ...]]) -> Sequence[sa.Row[*tuple[Any, ...]]]:
        raise NotImplementedError

    def add_pairing(self, pairing: Pairing) -> None:
        """Add, or write down what became of it. The device's row, if there is one, holds until `bind_pairing`."""
        with self._write() as connection:
            connection.execute(sa.delete(PAIRINGS).where(PAIRINGS.c.serial == str(pairing.serial)))
            connection.execute(sa.insert(PAIRINGS).values(pairing._asdict() | {"serial": str(pairing.serial)}))
        self._look_who_pairs()

    def pairings(self) -> list[Pairing]:
        """Oldest first."""
        rows = self._rows(sa.select(PAIRINGS).order_by(PAIRINGS.c.started, PAIRINGS.c.serial))
        return [Pairing(**row._mapping)._replace(serial=int(row.serial)) for row in rows]

    def is_pairing(self, device_id: str) -> bool:
        """Whether it may have a certificate of a pairing that is not finished."""
        return device_id in self._pairing

    def bind_pairing(self, pairing: Pairing, now: int) -> Device:
        """In one step: the device is paired by this one, and what it was paired by before is left as "void" pairings,
        to be revoked and dropped."""
        kept = {key: value for key, value in pairing._asdict().items() if key in Device._fields}
        device = Device(**kept | {"state": "paired", "added": now})
        with self._write() as connection:
            mine, others = PAIRINGS.c.serial == str(pairing.serial), PAIRINGS.c.id == pairing.id
            before = connection.execute(sa.select(DEVICES.c.serial).where(DEVICES.c.id == pairing.id)).scalar()
            connection.execute(sa.delete(PAIRINGS).where(mine))
            connection.execute(sa.update(PAIRINGS).where(others).values(state="void", link_secret=b""))
            if before not in (None, str(pairing.serial)):
                void = pairing._asdict() | {"serial": before, "state": "void", "link_secret": b""}
                connection.execute(sa.insert(PAIRINGS).prefix_with("OR REPLACE"), [void])
            connection.execute(sa.delete(DEVICES).where(DEVICES.c.id == pairing.id))
            connection.execute(sa.insert(DEVICES).values(device._asdict() | {"serial": str(device.serial)}))
        self._look_who_pairs()
        return device

    def drop_pairing(self, serial: int) -> None:
        """Its certificate is revoked."""
        with self._write() as connection:
            connection.execute(sa.delete(PAIRINGS).where(PAIRINGS.c.serial == str(serial)))
        self._look_who_pairs()

    def _look_who_pairs(self) -> None:
        """Asked at every message of a device, so it is kept."""
        self._pairing = frozenset(pairing.id for pairing in self.pairings() if pairing.state != "void")
