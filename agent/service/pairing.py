"""Carries the pairing machine: POST /pair, the window with its fresh code, the timers.

What it is not: the protocol (agent/core/pairing/verifier.py) or the state folder: `state` is an object with
write_counters(dict), save_pending(bundle, link_secret), commit_pending(), drop_pending().

The order of work is the machine's contract: what an event asks to keep is durable before the answer
leaves; when it cannot be kept, a refusal leaves instead and the attempt is over.

Browsers are refused (RFC 6454 Origin, Fetch Metadata, a Host that is a public name): a page on the
Internet must not reach the pairing through its reader's browser (CSRF, DNS rebinding).
"""

import asyncio
from collections import namedtuple

from agent.core.pairing import spake2plus, verifier
from agent.errors import CoreletError, PeerError
from agent.port import clock
from agent.service.http import Response
from agent.wire import pairing, pairing_frames

if False:
    from typing import Any, Callable

    from agent.service.http import Request

MEDIA_TYPE = "application/cbor"
ITERATIONS = 1_000  # the device makes this code itself and it lives for minutes; a label's has 100,000

Opened = namedtuple("Opened", ("discriminator",))  # told to `notify`, beside the machine's own events

_CLOSED = {
    "expired": "the pairing window ended",
    "paired": "the pairing window closed: paired",
    "attempts": "the pairing window closed: too many wrong codes",
    "owner": "the pairing window was closed",
}


def refuse_browsers(headers: "dict[str, str]") -> None:
    """PeerError("origin") or ("host"). `headers`: names in lower case."""
    if "origin" in headers or "sec-fetch-site" in headers:
        raise PeerError("origin", "this address is not for web pages: use the full core's own page or command")
    if not is_local_host(headers.get("host", "")):
        raise PeerError("host", "expected a Host that is an IP address or a .local name: use the device's address")


def is_local_host(host: str) -> bool:
    """An address, "localhost" or a .local name, with or without a port: what DNS of the Internet cannot point here."""
    if host[:1] == "[":
        name, end, _ = host[1:].partition("]")
        return end == "]" and ":" in name and all(letter in "0123456789abcdefABCDEF:." for letter in name)
    name = host.partition(":")[0].lower()
    parts = name.split(".")
    if len(parts) == 4 and all(0 < len(part) <= 3 and all(digit in "0123456789" for digit in part) for part in parts):
        return True
    return name == "localhost" or (len(parts) == 2 and parts[0] != "" and parts[1] == "local")


class PairingService:
    """`notify`: called with each event once it was acted on, and with Opened (discovery, the link, the screen)."""

    def __init__(
        self, machine: verifier.Verifier, state: "Any", journal: "Any", notify: "Callable[[Any], None] | None" = None
    ) -> None:
        self._machine = machine
        self._state = state
        self._journal = journal
        self._notify = notify
        self._code = ""
        self._discriminator = 0
        self._changed = asyncio.Event()

    async def handle(self, request: "Request") -> Response:
        """One frame in, one frame out. PeerError for what is no frame."""
        if request.method != "POST":
            raise PeerError("method", "expected POST with a pairing frame")
        refuse_browsers(request.headers)
        if request.headers.get("content-type", "") != MEDIA_TYPE:
            raise PeerError("content_type", f"expected Content-Type {MEDIA_TYPE}")
        data = await request.body(pairing_frames.FRAME_BYTES_MAX)
        now = clock.now_ms()
        self._wake(now)
        self._machine.receive(data, request.source, now)
        try:
            self._act()
        except CoreletError as error:
            self._journal.error("pairing", error.text)
            self._machine.refuse(error, request.source, now)
            self._act()
        self._changed.set()
        answer = self._machine.drain_outgoing()[0][0]
        return Response(200, [("Content-Type", MEDIA_TYPE), ("Cache-Control", "no-store")], answer)

    def open_window(self) -> str:
        """A fresh code for the next 15 minutes, as people read it. LimitError("busy") while a pairing completes."""
        crypto = self._machine.crypto
        random = int.from_bytes(crypto.entropy(7), "big")
        discriminator, secret = random & 1023, random >> 10 & (1 << 45) - 1
        salt = crypto.entropy(16)
        w0, w1 = spake2plus.derive(crypto, pairing.password(discriminator, secret), salt, ITERATIONS)
        record = pairing_frames.Record(discriminator, salt, ITERATIONS, w0, crypto.p256_public(w1), False)
        self._machine.open_window(record, False, clock.now_ms())
        self._code, self._discriminator = pairing.encode_code(discriminator, secret), discriminator
        self._changed.set()
        self._journal.info("pairing", "a pairing window is open for 15 minutes")  # the code itself is never logged
        if self._notify is not None:
            self._notify(Opened(discriminator))
        return self._code

    def rename(self, announced_id: str) -> None:
        """What discovery calls this device from now on."""
        self._machine.announced_id = announced_id

    def window(self) -> "tuple[bool, int, int, str]":
        """(is_open, seconds_left, discriminator, code); 0 and "" when it is closed."""
        self._wake(clock.now_ms())
        if not self._machine.is_open:
            return False, 0, 0, ""
        return True, self._machine.seconds_left(clock.now_ms()), self._discriminator, self._code

    def commit(self, core: str) -> bool:
        """The link to `core` has had its `bound`. Durable when this returns True; False when nothing waits for it."""
        self._wake(clock.now_ms())
        if self._machine.pending_core != core:
            return False
        self._state.commit_pending()
        self._machine.commit(core, clock.now_ms())
        self._act()
        self._changed.set()
        return True

    async def run(self) -> None:
        """Keeps the deadlines: steps, window, fail-safe. Until the window is closed and nobody waits for an answer."""
        while True:
            self._changed.clear()
            now = clock.now_ms()
            self._wake(now)
            wake_at = self._machine.wake_at
            if wake_at is None:
                return
            try:
                await asyncio.wait_for(self._changed.wait(), max(0, wake_at - now) / 1000)
            except asyncio.TimeoutError:  # noqa: UP041 (MicroPython has no built-in one)
                continue  # a deadline: the next round wakes the machine

    def _wake(self, now: int) -> None:
        self._machine.wake(now)
        self._act()

    def _act(self) -> None:
        for event in self._machine.drain_events():
            self._keep(event)
            if self._notify is not None:
                self._notify(event)

    def _keep(self, event: "Any") -> None:
        """What the event asks for, and a line in the journal: only our own words, ids that are hex, and addresses,
        nothing a peer can write a line with."""
        say = self._journal.info
        if isinstance(event, verifier.Persist):
            self._state.write_counters(event.counters)
        elif isinstance(event, verifier.Proven):
            say("pairing", f"core {event.core} knows the setup code")
        elif isinstance(event, verifier.Pending):
            self._state.save_pending(event.bundle, event.link_secret)
            say("pairing", f"core {event.bundle['core']} sent a certificate; connecting to it")
        elif isinstance(event, verifier.Committed):
            say("pairing", f"paired with core {event.core}")
        elif isinstance(event, verifier.RolledBack):
            self._state.drop_pending()
            self._journal.warning("pairing", f"core {event.core} was not connected within a minute: not paired")
        elif isinstance(event, verifier.WindowClosed):
            self._code, self._discriminator = "", 0
            say("pairing", _CLOSED[event.reason])
        elif isinstance(event, verifier.Refused):
            self._journal.warning("pairing", f"an attempt from {event.source[0]} was refused: {event.code}")
