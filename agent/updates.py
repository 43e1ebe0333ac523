"""Updates of the whole device, the agent's part. Stage-0, which started us, does what touches slots (ota/stage0.sh):
to it go an order and a number that grows while our loop turns, from it comes a result (ota/follow.py has their form).
Only the core that the owner named may order. On trial we say when the release is good, or end with an error.
"""

import asyncio
import json

from agent import port
from agent.errors import CoreletError, LimitError, PeerError, TrustError
from agent.wire.shape import NUMBER, misfit

if False:
    from typing import Any

    from agent.device import Device

STEP_MS = 5_000
CONFIRM_S = 120  # healthy for so long; CORELET_HEALTHY_S says otherwise
GOODBYE_MS_MAX = 60_000  # from a staged release to our end
FILE_BYTES_MAX = 1024
_URL = ("text", 8, 512)
REQUESTS = {"install": {"source": _URL}, "rollback": {"source": _URL, "digest": ("id", 64, 64)}}


class Updates:
    def __init__(self, device: "Device") -> None:
        self._device = device
        self._folder = str(port.getenv("CORELET_UPDATES")) + "/"
        self._state, sequence, self._digest = (port.getenv("CORELET_RELEASE") or "idle 0 ").split(" ")
        self._sequence = int(sequence)
        self._data = self._read("result")
        self._confirm_s = int(port.getenv("CORELET_HEALTHY_S") or CONFIRM_S)
        self._failed = self._deadline = 0
        self._waits: list[Any] = []
        if port.getenv("CORELET_TRIAL"):
            from agent.core import trial

            self._waits = trial.both(port.clock.now_ms(), self._confirm_s * 1000)

    def told(self) -> "dict[str, Any]":
        """What births and `corelet status` say."""
        found: dict[str, Any] = {"slot": port.getenv("CORELET_SLOT") or "", "state": self._state}
        found.update({"sequence": self._sequence, "digest": self._digest, "result": _object(self._data)})
        return found

    def named(self) -> str:
        """The core that may order; "" for none."""
        try:
            data = port.files.read(self._folder + "settings", FILE_BYTES_MAX)
            return self._device.codec.decode(data)["core"]  # type: ignore[no-any-return]
        except (CoreletError, KeyError):
            return ""

    def order(self, core_id: str, body: "dict[str, Any]") -> "dict[str, Any]":
        """TrustError("not_the_updater"), PeerError("update"), LimitError("busy")."""
        named = self.named()
        if core_id != named or not named:
            text = f"the owner of this device lets core {named or 'none'} update it, and not {core_id}"
            raise TrustError("not_the_updater", text + "; there: corelet trust")
        kind = str(body.get("order"))
        if kind not in REQUESTS or misfit(body, REQUESTS[kind]) is not None or not body["source"].startswith("http://"):
            raise PeerError("update", "expected install with a source (http://), or rollback with source and digest")
        if self._waits or self._deadline or port.files.exists(self._folder + "order"):
            raise LimitError("busy", "an order is under way here, or a release on trial; try again when it has ended")
        self._place(kind, {key: body[key] for key in REQUESTS[kind]})
        return {"accepted": True}

    def _place(self, kind: str, order: "dict[str, Any]") -> None:
        last = _object(self._read("result"))
        order.update({"do": kind, "number": 1 if last is None else last["number"] + 1})
        port.files.write_atomic(self._folder + "order", json.dumps(order).encode() + b"\n")

    def _read(self, name: str) -> bytes:
        path = self._folder + name
        return port.files.read(path, FILE_BYTES_MAX) if port.files.exists(path) else b""

    async def run(self) -> None:
        """For as long as the device runs."""
        while True:
            now = port.clock.now_ms()
            port.files.write_atomic(str(port.getenv("CORELET_PROGRESS")), str(now).encode() + b"\n")
            if self._deadline and (now >= self._deadline or self._device.shards.is_quiet()):
                await self._device.finish()
            self._check(now)
            if self._waits:
                self._report(now)
            await asyncio.sleep(min(STEP_MS // 1000, self._confirm_s))

    def _check(self, now: int) -> None:
        """Is there a new result?"""
        data = self._read("result")
        found = None if data == self._data else _object(data)
        if found is None:
            return
        self._data, self._state = data, found["state"]
        self._device.membership.refresh()
        self._device.journal.info("updates", f"{found['do']}: {found['result']}, {found['text']}")
        if found["result"] == "staged":
            self._deadline = now + GOODBYE_MS_MAX
        elif self._waits and found["result"] == "confirmed":
            self._waits = []
        elif self._waits and found["do"] == "confirm":
            self._waits.pop()  # without the core it was not enough; or at all
            if not self._waits:
                self._end(now, found["text"])

    def _end(self, now: int, trouble: str) -> None:
        self._waits, self._deadline = [], now + GOODBYE_MS_MAX
        self._device.trouble = "this release is not good: " + trouble

    def _report(self, now: int) -> None:
        device = self._device
        # A heap of fixed size needs no look: what does not fit into it is a service that fails.
        used = 0 if port.heap.kib() else port.health().sample(device.folder).get("process_kib", 0)
        is_within = device.supervisor.failed == self._failed and used <= device.ceilings["memory_kib"]
        self._failed = device.supervisor.failed
        words = [wait.note(now, device.membership.is_up(self.named()), is_within) for wait in self._waits]
        if "green" in words and not port.files.exists(self._folder + "order"):
            self._place("confirm", {"healthy_s": self._confirm_s, "core_reached": words[0] == "green"})
        elif words[0] == "late":
            self._end(now, "it was not healthy for long enough in half an hour")


def _object(data: bytes) -> "dict[str, Any] | None":
    """A result; None for what is none."""
    try:
        found = json.loads(data.decode())
        return None if misfit(found, {"number": NUMBER}) is not None else found
    except (ValueError, TypeError):  # no JSON, or no object
        return None
