"""One running device: what it is, and how its services hang together. No protocol lives here.

`Device.prepare` refuses everything that can be refused before a port is opened; `run` lives until it is
cancelled (or until a reset asks for a new life). Errors: CoreletError, each with the sentence a person needs.
"""

import asyncio

from agent import __version__, door, port
from agent.errors import UsageError
from agent.membership import Membership
from agent.service import control, shards, supervisor
from agent.state import State

if False:
    from typing import Any, Callable

    from agent.updates import Updates

TOLD = ("used", "shards", "quarantined", "trash", "cache", "flash_left", "moved")  # of the store, by telemetry
LOOPBACK = ("127.0.0.1", "::1")


class Device:
    """`overrides`: checked settings named on the command line; they last for this run only, the name is kept."""

    def __init__(self, folder: str, overrides: "dict[str, Any]") -> None:
        self.folder = folder
        self.codec = port.codec()
        self.crypto = port.crypto()
        self.state = State(port.files, self.codec, folder)
        self.settings = dict(overrides)
        self.missing: list[tuple[str, str]] = []
        self.levels: dict[str, str] = {}  # ceiling -> who holds it: kernel, runtime, self, none
        self.most: dict[str, int] = {}  # the ceilings of the board on this machine, before the owner's
        self.on_event: Callable[[object], None] | None = None
        self.updates: Updates | None = None
        self.trouble = ""  # why it ended by itself
        self._started_ms = port.clock.now_ms()
        self._stop = asyncio.Event()
        self._is_new_life = False

    def prepare(self) -> None:
        """Open the state, choose the board, find the ceilings. Raises UsageError, PortError."""
        from agent import start

        self.board, self.ceilings, self.boot, self.identity, self.journal = start.prepare(self)

    async def start(self) -> None:
        """Open the listeners and start every service. Raises PortError("port_busy") and the like."""
        from agent import start

        self.supervisor = supervisor.Supervisor(self.journal)
        self.relays = start.relays_of(self)
        self.membership = Membership(self)
        self.shards = start.make_shards(self, shards.Cores(self.membership.secret, self.membership.core_time))
        self.door = door.Door(self)
        control_ports, data_ports = start.listen(self, "control_port"), start.listen(self, "data_port")
        self._control_port, self._data_port = control_ports[0].port, data_ports[0].port
        local = port.net.listen_local(self.state.path(control.SOCKET))
        self.discovery = start.make_discovery(self, self._control_port)
        self.discovery.on_moved = self._moved
        await self.shards.open()
        serve = self.shards.handle
        start.serve(self, control_ports, [(door.PATH, self.door.handle)], "control")
        start.serve(self, data_ports, [("/shards/", serve), (shards.AUDIT, serve)], "data")
        self.supervisor.spawn("control", control.ControlService(self, local).serve)
        self.supervisor.spawn("discovery", self.discovery.run)
        self.supervisor.spawn("scrub", self.shards.scrub)
        if port.getenv("CORELET_UPDATES"):  # stage-0 has started us
            from agent.updates import Updates

            self.updates = Updates(self)
            self.supervisor.spawn("updates", self.updates.run)
        self.membership.start()
        if not self.state.core_ids():
            self.door.open_window()
        self.journal.info("device", f"started {__version__} on {port.terminal.runtime()[0]}, boot {self.boot}")

    def addresses(self) -> list[str]:
        """Where peers reach this device: what the owner named, else every address that is not loopback."""
        if self.settings["listen"]:
            return list(self.settings["listen"])
        found = [address for _, address, _ in port.net.interfaces()]
        outside = [address for address in found if address not in LOOPBACK and not address.startswith("fe80")]
        return outside or ["127.0.0.1"]

    def noticed(self, event: object) -> None:
        """The pairing changed: discovery says so, and a core that sent its certificate is tried."""
        self.membership.noticed(event)
        self.owners_changed()
        self.tell(event)

    def tell(self, event: object) -> None:
        if self.on_event is not None:  # whoever looks at the screen
            self.on_event(event)

    def owners_changed(self) -> None:
        """Discovery and the next pairing show the id that is right now."""
        self.door.rename(self.shown_id())
        port.net.spawn(self.discovery.refresh())

    def _moved(self) -> None:
        self.relays.moved()
        self.membership.refresh()  # the cores ask for shards where the birth says

    def shown_id(self) -> str:
        """Random until paired, then opaque: nothing that can be followed from one life to the next."""
        if self.state.core_ids():
            return self.identity.device_id[:8]  # type: ignore[no-any-return]
        return self.crypto.sha256(self.identity.device_id.encode() + self.boot.to_bytes(8, "big"))[:4].hex()

    def describe(self) -> tuple[list[tuple[str, str]], list[str]]:
        """(TXT pairs, subtypes) of this moment (design section 4)."""
        is_open, _, discriminator, _ = self.door.window()
        status = "1" if is_open else "2" if self.state.core_ids() else "0"
        txt = [("txtvers", "1"), ("id", self.shown_id()), ("ps", status), ("md", self.board["id"]), ("fw", __version__)]
        txt += [("pv", "1"), ("ca", "cache"), ("nm", self.settings["name"])]
        if not is_open:
            return txt, []
        return txt + [("d", str(discriminator))], ["_pair", "_d" + str(discriminator)]

    def key_der(self) -> bytes:
        from agent.wire import sec1  # as start.py, forgotten after it

        return sec1.encode_sec1(self.identity.scalar, self.identity.public)

    def birth(self) -> "dict[str, Any]":
        """The link's birth body (agent/core/link.py adds boot and session)."""
        usage = self.shards.usage()
        body = {
            "fw": __version__,
            "board": self.board["id"],
            "name": self.settings["name"],
            "runtime": port.terminal.runtime()[0],
            "addresses": self.addresses()[:8],
            "control": self._control_port,
            "data": self._data_port,
            "slots": list(self.shards.slot_bytes),
            "quota": usage["quota"],
            "used": usage["used"],
            "ceilings": self.ceilings,
            "levels": {name: self.levels[name] for name in self.levels if self.levels[name] != "none"},
            "relay": self.relays.offers(),
            "relay_tls": self.relays.tls(),
        }
        if self.updates is not None:
            body["update"] = self.updates.told()
        return body

    def telemetry(self) -> "dict[str, Any]":
        answer = port.health().sample(self.folder)
        usage = self.shards.usage()
        answer.update({name: usage[name] for name in TOLD})
        answer["read_only"] = int(usage["read_only"])
        return answer

    def status(self) -> "dict[str, Any]":
        """What `corelet status` shows."""
        is_open, seconds, _, code = self.door.window()
        window = {"open": is_open, "seconds_left": seconds, "code": code}
        if is_open:
            from agent.wire.pairing import encode_qr

            text = encode_qr(code, self.addresses()[0], self._control_port)
            window.update({"qr": text, "picture": port.terminal.qr_lines(text)})
        return {
            "version": __version__,
            "runtime": " ".join(port.terminal.runtime()),
            "device": self.identity.device_id,
            "name": self.settings["name"],
            "board": self.board["id"],
            "board_summary": self.board["summary"],
            "recognised_by": self.board["recognised_by"],
            "folder": self.folder,
            "boot": self.boot,
            "up_s": (port.clock.now_ms() - self._started_ms) // 1000,
            "addresses": self.addresses(),
            "control_port": self._control_port,
            "data_port": self._data_port,
            "ceilings": self.ceilings,
            "most": self.most,
            "levels": self.levels,
            "missing": [list(pair) for pair in self.missing],
            "window": window,
            "cores": self.membership.status(),
            "shards": self.shards.usage(),
            "relay": self.relays.status(),
            "health": port.health().sample(self.folder),
            "update": self.updates and dict(self.updates.told(), core=self.updates.named()),
        }

    def log_lines(self) -> list[str]:
        return self.journal.lines()

    async def open_window(self) -> "dict[str, Any]":
        self.door.open_window()
        return self.status()["window"]  # type: ignore[no-any-return]

    def limit(self, key: str, value: int) -> "dict[str, Any]":
        """The owner's ceiling `key` from now on, never above the board's. What a running device cannot follow, a new
        start does: the setting is kept already."""
        if key not in self.most or value < 0:
            raise UsageError("control", "the running device has no such ceiling; is it of another version?")
        if self.shards.limit(key, min(value, self.most[key])):
            self.ceilings[key] = min(value, self.most[key])
            self.membership.refresh()  # the cores hear it
        return {"in_force": self.ceilings[key]}

    async def leave(self, core_id: str, how: str) -> "dict[str, Any]":
        return await self.membership.farewell().depart(core_id, how)

    async def reset(self) -> "dict[str, Any]":
        """Forget identity, cores and shards, then begin a new life in the same process."""
        self.state.plan_reset()  # what was promised here happens, whatever comes in between
        self._is_new_life = True
        self._stop.set()
        return {"restarted": True}

    async def finish(self) -> "dict[str, Any]":
        """End `run` in order."""
        self._stop.set()
        return {"stopped": True}

    def update(self, core_id: str, body: "dict[str, Any]") -> "dict[str, Any]":
        """A core's order. UsageError("updates_off") and those of Updates.order."""
        if self.updates is None:
            raise UsageError("updates_off", "stage-0 (ota/stage0.sh) did not start this device, so nothing updates it")
        return self.updates.order(core_id, body)

    async def run(self) -> bool:
        """Until cancelled or finished; True when a reset asks for a new life."""
        try:
            await self._stop.wait()
            await asyncio.sleep(0.2)  # the answer to the request leaves first
        finally:
            await self.stop()
        return self._is_new_life

    async def stop(self) -> None:
        """Goodbyes first (discovery, links), then everything else."""
        await self.discovery.close()
        await self.supervisor.stop()
        await self.shards.close()
        self.journal.info("device", "stopped")
        self.journal.close()
        if self._is_new_life:
            self.state.reset()
        self.state.close()
