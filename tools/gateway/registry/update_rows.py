"""The registry's rows about updates: roll-outs, where each device stands in the last one, the time of the last beacon.

Bounds: ROLLOUTS_MAX roll-outs; devices' rows of the last one only. What was aborted is kept beside them, whatever its
age, for ABORTED_MAX digests: a beacon names them.
"""

from collections.abc import Sequence

import sqlalchemy as sa

from ota.trust import DIGESTS_MAX
from tools.gateway.registry.relay_rows import RelayRows
from tools.gateway.registry.tables import BEACONS, ROLLOUTS, ROLLOUTS_OF, RolloutRow
from tools.gateway.updates.places import Place

ROLLOUTS_MAX = 200
ABORTED_MAX = DIGESTS_MAX
_ABORTED = sa.select(ROLLOUTS.c.digest).where(ROLLOUTS.c.state == "aborted").order_by(ROLLOUTS.c.id.desc())


class UpdateRows(RelayRows):
    """A part of registry.Registry."""

    def add_rollout(self, row: RolloutRow) -> int:
        """Its number. The rows of devices of those before are gone."""
        with self._write() as connection:
            connection.execute(sa.delete(ROLLOUTS_OF))
            values = {name: value for name, value in row._asdict().items() if name != "id"}
            number = connection.execute(sa.insert(ROLLOUTS).values(values)).inserted_primary_key
            assert number is not None
            kept = sa.select(ROLLOUTS.c.id).order_by(ROLLOUTS.c.id.desc()).limit(ROLLOUTS_MAX)
            aborted = _ABORTED.with_only_columns(ROLLOUTS.c.id).limit(ABORTED_MAX)  # one aborted is never begun again
            connection.execute(sa.delete(ROLLOUTS).where(ROLLOUTS.c.id.not_in(kept), ROLLOUTS.c.id.not_in(aborted)))
            return int(number[0])

    def set_rollout(self, row: RolloutRow, places: Sequence[Place | str], durable: bool) -> None:
        """As it stands, and the devices that have changed; a device's id: it is no part of it any more."""
        with self._write(durable) as connection:
            connection.execute(sa.update(ROLLOUTS).where(ROLLOUTS.c.id == row.id).values(row._asdict()))
            gone = [one for one in places if isinstance(one, str)]
            rows = [vars(one) | {"rollout": row.id} for one in places if isinstance(one, Place)]
            for device in gone:
                connection.execute(sa.delete(ROLLOUTS_OF).where(ROLLOUTS_OF.c.device == device))
            if rows:
                connection.execute(sa.insert(ROLLOUTS_OF).prefix_with("OR REPLACE"), rows)

    def rollouts(self) -> list[RolloutRow]:
        """The last one first."""
        return [
            RolloutRow(**row._mapping) for row in self._rows(sa.select(ROLLOUTS).order_by(ROLLOUTS.c.id.desc()))
        ]  # fmt: skip

    def rollout_places(self, number: int) -> list[Place]:
        """Of the last roll-out."""
        rows = self._rows(sa.select(ROLLOUTS_OF).where(ROLLOUTS_OF.c.rollout == number))
        return [Place(**{name: value for name, value in row._mapping.items() if name != "rollout"}) for row in rows]

    def aborted(self) -> list[str]:
        """Digests, the last first."""
        return list(dict.fromkeys(row.digest for row in self._rows(_ABORTED)))[:ABORTED_MAX]

    def beacon_time(self) -> int:
        """The latest that was signed; 0 before the first."""
        rows = self._rows(sa.select(BEACONS.c.time))
        return int(rows[0].time) if rows else 0

    def note_beacon_time(self, seconds: int) -> None:
        """Not flushed: what a power cut takes of it the clock has passed by then."""
        with self._write(durable=False) as connection:
            connection.execute(sa.insert(BEACONS).prefix_with("OR REPLACE").values(id=1, time=seconds))
