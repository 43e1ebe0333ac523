"""The door of a device: POST /pair, and the pairing behind it, which is there only while a window is open or somebody
waits for an answer.

A device that is owned and has no window open does without it, which spares a small heap 40 KiB; whoever knocks then
gets the refusal that the machine itself would give (agent/core/pairing/verifier.py). No rules live here.
"""

from agent import __version__, port
from agent.errors import LimitError
from agent.service.http import Request, Response

if False:
    from agent.device import Device
    from agent.service.pairing import PairingService

PATH = "/pair"
CLOSED = "no pairing window is open: run 'corelet pair-window' on the device"
NO_ROOM = 'no room to pair in this heap now; start it again, with "relay": "off" in owner/settings.json if it relays'
# What pairing alone needs; nobody else may import one of these at its top.
MODULES = ("agent.service.pairing", "agent.core.pairing", "agent.wire.pairing", "agent.wire.x509")


class Door:
    def __init__(self, device: "Device") -> None:
        """UsageError("state") for damaged counters."""
        self._device = device
        device.state.read_counters()
        self._service: PairingService | None = None

    @property
    def is_busy(self) -> bool:
        """A window is open, or a pairing is not over yet."""
        return self._service is not None

    def open_window(self) -> None:
        """With a fresh code. LimitError("busy") while a pairing completes, ("heap")."""
        try:
            if self._service is None:
                if not port.heap.has_room(port.heap.PAIRING_BYTES):  # to find out half-way would cost the relay its own
                    raise LimitError("heap", NO_ROOM)
                self._service = self._load()
                self._device.supervisor.spawn("pairing", self._run)
            self._service.open_window()
        except MemoryError:
            raise LimitError("heap", NO_ROOM)

    async def _run(self) -> None:
        if self._service is not None:
            await self._service.run()
        self._service = None
        port.heap.forget(MODULES)

    def _load(self) -> "PairingService":
        from agent.core.pairing import verifier
        from agent.service.pairing import PairingService
        from agent.wire.pairing_frames import Info

        device = self._device
        digest = device.crypto.sha256(device.codec.encode(device.ceilings))
        info = Info(device.identity.public, digest, device.board["id"], __version__, device.settings["name"])
        scalar = device.identity.scalar
        own = verifier.Own(device.shown_id(), info, lambda message: device.crypto.ecdsa_sign(scalar, message))
        machine = verifier.Verifier(device.crypto, device.codec, own, device.state.read_counters())
        return PairingService(machine, device.state, device.journal, device.noticed)

    async def handle(self, request: Request) -> Response:
        if self._service is not None:
            return await self._service.handle(request)
        self._device.journal.warning("pairing", f"an attempt from {request.source[0]} was refused: closed")
        # A hello (step 1) refused (step 0), as in agent/wire/pairing_frames.py.
        frame = self._device.codec.encode([0, b"", 1, "closed", CLOSED, 0])
        return Response(200, [("Content-Type", "application/cbor"), ("Cache-Control", "no-store")], frame)

    def window(self) -> tuple[bool, int, int, str]:
        """(is_open, seconds_left, discriminator, code); 0 and "" when it is closed."""
        return (False, 0, 0, "") if self._service is None else self._service.window()

    def commit(self, core_id: str) -> bool:
        """The link to a new core is bound. False when no pairing waits for it."""
        return self._service is not None and self._service.commit(core_id)

    def rename(self, announced_id: str) -> None:
        """What discovery calls this device from now on."""
        if self._service is not None:
            self._service.rename(announced_id)
