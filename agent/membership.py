"""The cores this device belongs to: one link each, what they share with us, joining and leaving.

A core that sent its certificate is *pending*: its link is tried, and only the core's `bound` over that link
makes it durable (pairing's fail-safe takes it back otherwise). Bound: state.CORES_MAX cores.
"""

from collections import namedtuple

from agent import port
from agent.errors import CoreletError, UsageError
from agent.service import link

if False:
    from typing import Any

    from agent.device import Device
    from agent.farewell import Farewell

Left = namedtuple("Left", ("core",))  # told to the screen


class Membership:
    def __init__(self, device: "Device") -> None:
        """Reads the cores that pairing left behind. UsageError("state") for a damaged record."""
        self._device = device
        self._records: dict[str, dict[str, Any]] = {}
        self._links: dict[str, link.LinkService] = {}
        self._dials: dict[str, list[Any]] = {}  # tasks
        self._farewell: Farewell | None = None
        self._session = 0  # the highest session number of a link that ended in this boot
        for core_id in device.state.core_ids():
            record = device.state.core(core_id)
            if record is not None:
                self._records[core_id] = record

    def start(self) -> None:
        """Link to every core."""
        for core_id in sorted(self._records):
            self._connect(self._records[core_id])

    def secret(self, core_id: str) -> bytes | None:
        """None for a core that this device does not belong to, or is about to leave."""
        return self._records[core_id]["link_secret"] if core_id in self._links else None

    def secrets(self) -> list[tuple[str, bytes]]:
        """(core, link secret) of each core that is served."""
        return [(core_id, self._records[core_id]["link_secret"]) for core_id in sorted(self._links)]

    def core_time(self, core_id: str) -> int | None:
        service = self._links.get(core_id)
        return None if service is None else service.core_time(port.clock.now_ms())

    def status(self) -> "list[dict[str, Any]]":
        return [
            {
                "core": core_id,
                "name": self._records[core_id]["name"],
                "connected": self._links[core_id].is_up,
                "why": self._links[core_id].trouble,
                "leaving": self._device.state.is_leaving(core_id),
            }
            for core_id in sorted(self._links)
        ]

    def noticed(self, event: object) -> None:
        """An event of the pairing machine, which is loaded by now."""
        from agent.core.pairing import verifier

        if isinstance(event, verifier.Pending):
            record = self._device.state.pending()
            if record is not None:
                self._connect(record)
        elif isinstance(event, verifier.RolledBack):
            self._disconnect(event.core)
            record = self._device.state.core(event.core)
            if record is not None:  # it was a core of ours before: what was agreed then is in force again
                self._connect(record)

    def refresh(self) -> None:
        """Something that births say has changed."""
        for core_id in self._links:
            self._links[core_id].refresh()

    def is_up(self, core_id: str) -> bool:
        return core_id in self._links and self._links[core_id].is_up

    def farewell(self) -> "Farewell":
        """Few devices ever need it."""
        if self._farewell is None:
            from agent.farewell import Farewell

            self._farewell = Farewell(self._device)
        return self._farewell

    async def leave(self, core_id: str) -> "dict[str, Any]":
        """Tell the core, free what it kept here, forget it; also one that cannot be told ("told")."""
        device = self._device
        service = self._links.pop(core_id, None)  # from here on its tokens are worth nothing
        self.dial(core_id, {})
        device.relays.changed()
        told = False
        if service is not None:
            # First, while there still is a certificate to say it with.
            told = await service.leave()
            self._session = max(self._session, service.session)
        try:
            freed = await device.shards.forget_core(core_id)
            device.state.remove_core(core_id)
        except CoreletError:
            if core_id in self._records:
                self._connect(self._records[core_id])
            raise
        self._records.pop(core_id, None)
        device.journal.info("device", "left core " + core_id + ("" if told else ", which could not be told"))
        device.owners_changed()
        device.tell(Left(core_id))
        return {"core": core_id, "device": device.identity.device_id, "freed": freed, "told": told}

    def _connect(self, record: "dict[str, Any]") -> None:
        core_id: str = record["core"]
        self._disconnect(core_id)
        device = self._device
        identity = link.Identity(device.identity.device_id, device.key_der(), device.boot)
        service = link.LinkService(record, identity, _Hooks(device, self, core_id), device.journal)
        service.begin_after(self._session)  # the core must not take a second life for an echo of the first
        self._records[core_id] = record
        self._links[core_id] = service
        device.supervisor.spawn("link " + core_id, service.run)
        device.relays.changed()

    def dial(self, core_id: str, body: "dict[str, Any]") -> "dict[str, Any]":
        """This core cannot reach the data listener: serve it on connections to one of the "hosts", "port"; port 0 ends
        that. PeerError("dial")."""
        for task in self._dials.pop(core_id, []):
            task.cancel()
        if body.get("port"):
            from agent.service import dials  # most devices never need it

            key_der, shards = self._device.key_der(), self._device.shards
            self._dials[core_id] = dials.start(self._records[core_id], key_der, body, shards)
        return {}

    def _disconnect(self, core_id: str) -> None:
        service = self._links.pop(core_id, None)
        self.dial(core_id, {})
        if service is not None:
            self._session = max(self._session, service.session)
            port.net.spawn(service.stop())
            self._device.relays.changed()
        self._records.pop(core_id, None)


class _Hooks:
    """What one core's link asks of the device."""

    def __init__(self, device: "Device", membership: Membership, core_id: str) -> None:
        self._device = device
        self._membership = membership
        self._core_id = core_id

    def birth(self) -> "dict[str, Any]":
        body = self._device.birth()
        body["pending"] = self._is_pending()
        body["leaving"] = self._device.state.is_leaving(self._core_id)
        return body

    def _is_pending(self) -> bool:
        record = self._device.state.pending()
        return record is not None and record["core"] == self._core_id

    def telemetry(self) -> "dict[str, Any]":
        body = self._device.telemetry()
        relay = self._device.relays.telemetry(self._core_id)
        if relay:
            body["relay"] = relay
        confessed = self._device.shards.confessions.names(self._core_id)
        if confessed:
            body["confessed"] = confessed
        return body

    def bound(self) -> None:
        """Durable when this returns. Harmless for a core that is bound already."""
        if self._core_id in self._device.state.core_ids() and not self._is_pending():
            return
        if not self._device.door.commit(self._core_id):
            raise UsageError("pairing", "no pairing waits for this core; pair the device again")

    async def command(self, op: str, body: "dict[str, Any]") -> "dict[str, Any]":
        """Ops: status, relay, dial, update, leaving, leave. A core can ask, never raise a ceiling."""
        if op == "status":
            return self.telemetry()
        if op == "relay":
            return self._device.relays.prove(body.get("reachable"))
        if op == "dial":
            return self._membership.dial(self._core_id, body)
        if op == "update":
            return self._device.update(self._core_id, body)
        if op == "leaving":
            return self._membership.farewell().heard(self._core_id, body)
        if op == "leave":
            port.net.spawn(self._leave_soon())
            return {}
        known = "status, relay, dial, update, leaving, leave"
        raise UsageError("command", f"this device knows no command '{op}'; but {known}")

    async def _leave_soon(self) -> None:
        """After the answer has left."""
        import asyncio

        await asyncio.sleep(1)
        self._membership.farewell().left = await self._membership.leave(self._core_id)
