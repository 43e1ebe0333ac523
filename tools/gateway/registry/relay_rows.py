"""The registry's rows about relays: the keys of applications, and what each device has relayed since it is with us.

A key itself is nowhere: only its SHA-256. Bounds: KEYS_MAX keys; one row for each device, NUMBER_MAX in it.
"""

import sqlalchemy as sa

from agent.core.birth import NUMBER_MAX
from agent.errors import LimitError, UsageError
from tools.gateway.registry.audit_rows import AuditRows
from tools.gateway.registry.tables import RELAY_KEYS, RELAYED, RelayKey

KEYS_MAX = 100


class RelayRows(AuditRows):
    """A part of registry.Registry."""

    def add_relay_key(self, key: RelayKey) -> None:
        """LimitError("keys"), UsageError("name_taken")."""
        names = [each.name for each in self.relay_keys()]
        if key.name in names:
            raise UsageError("name_taken", f"there is a key called {key.name!r} already: choose another name")
        if len(names) >= KEYS_MAX:
            raise LimitError(
                "keys", f"there are {KEYS_MAX} keys already: remove one with corelet-core relay key remove"
            )
        with self._write() as connection:
            connection.execute(sa.insert(RELAY_KEYS).values(key._asdict()))

    def relay_keys(self) -> list[RelayKey]:
        """By name."""
        return [RelayKey(**row._mapping) for row in self._rows(sa.select(RELAY_KEYS).order_by(RELAY_KEYS.c.name))]

    def remove_relay_key(self, name: str) -> None:
        """UsageError("no_such_key")."""
        with self._write() as connection:
            if not connection.execute(sa.delete(RELAY_KEYS).where(RELAY_KEYS.c.name == name)).rowcount:
                raise UsageError("no_such_key", f"there is no key called {name!r}: corelet-core relay key list")

    def note_relayed(self, device: str, packets: int, size: int) -> None:
        """What its relay has counted since it started; less than last time means that it started anew."""
        row = RELAYED.c
        with self._write(durable=False) as connection:
            last = connection.execute(sa.select(RELAYED).where(row.device == device)).one_or_none()
            if last is None:
                values = {"device": device, "packets": packets, "bytes": size}
                connection.execute(sa.insert(RELAYED).values(values | {"last_packets": packets, "last_bytes": size}))
            elif (packets, size) != (last.last_packets, last.last_bytes):
                is_anew = packets < last.last_packets or size < last.last_bytes
                more = (packets, size) if is_anew else (packets - last.last_packets, size - last.last_bytes)
                # A device that lies may tell as much as it likes, again and again.
                totals = [min(total, NUMBER_MAX) for total in (last.packets + more[0], last.bytes + more[1])]
                values = {"packets": totals[0], "bytes": totals[1]}
                values |= {"last_packets": packets, "last_bytes": size}
                connection.execute(sa.update(RELAYED).where(row.device == device).values(values))

    def relayed(self) -> dict[str, tuple[int, int]]:
        """Device -> (packets, bytes) of all its starts."""
        return {row.device: (row.packets, row.bytes) for row in self._rows(sa.select(RELAYED))}
