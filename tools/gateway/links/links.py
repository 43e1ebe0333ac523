"""The core's connection to its broker: presence, commands with answers, time. The driver of core/presence.py.

    links = Links(broker, ca, allowed); await links.start()
    links.presence(device_id); await links.command(device_id, "status", {}, 10); await links.wait_up(device_id, 60)

A client object of aiomqtt is used for one connection and never again. While the broker is away every device counts as
down; when it is back, retained births tell who is there. What the broker keeps of devices that do not belong to this
core (any more) is cleared.

Who publishes without end is read no further than its allowance, and then not heard at all for HUSH_S.

Bounds: those of core/presence.py; PUBLISH_S_MAX, SPEECH_*, REPLIES_*, BEYOND_*, LOG_*, STRANGERS_MAX, INBOX_MAX.
"""

import asyncio
import contextlib
import functools
import logging
import os
import time
from collections.abc import Callable
from typing import Any, cast

import aiomqtt

from agent import port
from agent.core import presence as machines
from agent.core.backoff import Backoff
from agent.core.known import Presence
from agent.errors import CoreletError, LimitError, PeerError, PortError
from agent.port.cpython import tls
from agent.wire import envelope
from tools.gateway.ca import CA, CORE_NAME
from tools.gateway.links.broker import Broker

LOG = logging.getLogger("corelet.links")
PAUSE_MS_MAX = 30_000
STABLE_S = 300
KEEPALIVE_S = 60
CONNECT_S_MAX = 15
PUBLISH_S_MAX = 10
ODD_LOGGED_MAX = 3  # of one device, then silence until the next start
SPEECH_BURST = 10  # births and telemetry of one device that are read at once, then SPEECH_S for each
SPEECH_S = 1.0
REPLIES_BURST = machines.COMMANDS_MAX  # answers of one device and its farewells, then REPLIES_S for each
REPLIES_S = 0.05
BEYOND_BURST = 200  # messages beyond that, then BEYOND_S for each; who sends more is not heard for HUSH_S
BEYOND_S = 1.0
HUSH_S = 300.0
LOG_BURST = 10  # lines about one device, then LOG_S for each
LOG_S = 30.0
STRANGERS_MAX = 1024
INBOX_MAX = 2 * machines.DEVICES_MAX + 96  # a birth and a death of each come at the start
UP_FILTER = f"{envelope.TOPIC_ROOT}/+/up/+"
_PROTOCOLS = {5: aiomqtt.ProtocolVersion.V5, 4: aiomqtt.ProtocolVersion.V311}


class Allowance:
    """A token bucket: `burst` at once, then one in `pause_s`. `dropped` counts what came beyond, since the start."""

    def __init__(self, burst: int, pause_s: float) -> None:
        self.dropped = 0
        self._burst, self._pause_s = burst, pause_s
        self._left, self._at = float(burst), time.monotonic()

    def take(self) -> bool:
        now = time.monotonic()
        self._left = min(self._burst, self._left + (now - self._at) / self._pause_s)
        self._at = now
        if self._left < 1:
            self.dropped += 1
            return False
        self._left -= 1
        return True


class _Voice:
    """How much of what one device says is read, and how much more it takes until it is not heard at all."""

    def __init__(self) -> None:
        self.speech = Allowance(SPEECH_BURST, SPEECH_S)
        self.replies = Allowance(REPLIES_BURST, REPLIES_S)
        self.beyond = Allowance(BEYOND_BURST, BEYOND_S)

    def is_read(self, kind: str) -> bool:
        return (self.speech if kind in ("birth", "tele") else self.replies).take()

    @property
    def dropped(self) -> int:
        return self.speech.dropped + self.replies.dropped


class _Inbox(asyncio.Queue[aiomqtt.Message]):
    """Between the socket and us. What is not read does not enter: it would take the room of what others say."""

    def __init__(self, is_read: Callable[[str, bool], bool], maxsize: int) -> None:
        super().__init__(maxsize)
        self._is_read = is_read

    def put_nowait(self, item: aiomqtt.Message) -> None:
        if self._is_read(item.topic.value, item.retain):
            super().put_nowait(item)


class Links:
    """`trouble`: why the core itself is not connected, "" when it is."""

    def __init__(self, broker: Broker, ca: CA, allowed: Callable[[str], bool]) -> None:
        self.trouble = "not connected yet"
        self._broker = broker
        self._ca = ca
        self._allowed = allowed
        self._machine = machines.CoreLink(port.codec(), os.urandom, allowed)
        self._client: aiomqtt.Client | None = None
        self._task: asyncio.Task[None] | None = None
        self._protocol = broker.protocols[0]
        self._answers: dict[bytes, asyncio.Future[dict[str, Any]]] = {}
        self._stir = asyncio.Event()
        self._moved = asyncio.Condition()
        self._strangers: set[str] = set()
        self._voices: dict[str, _Voice] = {}  # only of devices that are allowed, so as many as there are of those
        self._lines: dict[str, Allowance] = {}
        self._hushed: dict[str, asyncio.Task[None]] = {}
        self.on_left: Callable[[str], None] = lambda _device: None  # it says that it belongs to this core no longer

    async def start(self) -> None:
        """Returns when connected, or after CONNECT_S_MAX; then it goes on trying by itself."""
        self._task = asyncio.create_task(self._run(), name="links")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_S_MAX), self._moved:
                await self._moved.wait_for(lambda: not self.trouble)

    async def close(self) -> None:
        for task in self._hushed.values():
            task.cancel()
        await asyncio.gather(*self._hushed.values(), return_exceptions=True)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def presence(self, device: str) -> Presence | None:
        """None for one that was never heard of since the start."""
        known = self._machine.devices.get(device)
        return known if self._allowed(device) else None

    def all(self) -> list[Presence]:
        return [self._machine.devices[each] for each in sorted(self._machine.devices)]

    async def command(self, device: str, op: str, body: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """The device's answer. LimitError("offline"), PortError("timeout"); a refusal of the device is a PeerError
        with the device's own code and sentence."""
        self._tick()
        correlation = self._machine.command(device, op, body, int(timeout_s * 1000), port.clock.now_ms())
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[correlation] = future
        self._stir.set()
        try:
            return await future
        finally:
            self._answers.pop(correlation, None)

    def sessions(self) -> dict[str, tuple[int, int]]:
        """(boot, session) of the last birth of each device."""
        return {device: known.born for device, known in self._machine.devices.items()}

    async def wait_up(self, device: str, timeout_s: float, old: tuple[int, int] | None = None) -> Presence:
        """In another session than `old`. PortError("timeout") when it does not connect."""

        def is_up() -> bool:
            known = self._machine.devices.get(device)
            return known is not None and known.is_up and known.born != old

        try:
            async with asyncio.timeout(timeout_s), self._moved:
                await self._moved.wait_for(is_up)
        except TimeoutError as error:
            text = f"device {device} did not connect to this core's broker within {timeout_s:.0f} s"
            raise PortError("timeout", text) from error
        found = self.presence(device)
        if found is None:
            raise LimitError("offline", f"device {device} does not belong to this core")
        return found

    def _tick(self) -> None:
        self._machine.set_unix(int(time.time()), port.clock.now_ms())

    async def _run(self) -> None:
        backoff = Backoff(os.urandom, PAUSE_MS_MAX)
        while True:
            began = time.monotonic()
            try:
                await self._session()
            except (aiomqtt.MqttError, CoreletError, OSError, TimeoutError) as error:
                self.trouble = f"the core's own connection to its broker failed: {error}"
                if "Unsupported protocol version" in str(error) and 4 in self._broker.protocols:
                    self._protocol = 4
                LOG.warning("%s", self.trouble)
            self._machine.disconnected(port.clock.now_ms())
            await self._act()
            if time.monotonic() - began > STABLE_S:
                backoff.reset()
            await asyncio.sleep(backoff.pause_ms() / 1000)

    async def _session(self) -> None:
        """One connection, until it ends with an exception."""
        host, number = self._broker.local()
        cert, key = self._ca.issue_core_client()
        async with aiomqtt.Client(
            host, number, identifier=CORE_NAME, protocol=_PROTOCOLS[self._protocol], keepalive=KEEPALIVE_S,
            tls_context=tls.client_context(self._ca.server_name, self._ca.ca_der, cert, key), timeout=PUBLISH_S_MAX,
            clean_session=True if self._protocol == 4 else None,
            max_inflight_messages=16, max_queued_outgoing_messages=1024, max_queued_incoming_messages=INBOX_MAX,
            queue_type=cast("type[asyncio.Queue[aiomqtt.Message]]", functools.partial(_Inbox, self._is_read)),
        ) as client:  # fmt: skip
            await client.subscribe(UP_FILTER, qos=0)
            self._client = client
            self._tick()
            self._machine.connected(port.clock.now_ms())
            self.trouble = ""
            LOG.info("connected to the broker at %s port %d", host, number)
            await self._tell()
            sender = asyncio.create_task(self._send_and_wake(client))
            receiver = asyncio.create_task(self._receive(client))
            try:
                done, _ = await asyncio.wait({sender, receiver}, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                self._client = None
                for task in (sender, receiver):
                    task.cancel()
                await asyncio.gather(sender, receiver, return_exceptions=True)

    async def _receive(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            topic = message.topic.value
            payload = message.payload if isinstance(message.payload, bytes) else b""
            if not payload:
                continue  # our own clearing of a retained message
            self._take(topic, payload, message.retain)
            await self._act()

    def _is_read(self, topic: str, is_retained: bool) -> bool:
        """Who floods hears nothing, and is asked for its birth after the gap."""
        device, kind = _place(topic)
        if is_retained or not self._allowed(device):
            return True
        if device in self._hushed:
            return False
        voice = self._voices.setdefault(device, _Voice())
        if voice.is_read(kind):
            return True
        if voice.dropped == 1:
            LOG.warning("device %s says more than the core reads; the rest is dropped and counted", device)
        if not voice.beyond.take():
            self._hushed[device] = asyncio.create_task(self._hush(device), name="hush")
        return False

    def _take(self, topic: str, payload: bytes, is_retained: bool) -> None:
        device, kind = _place(topic)
        self._tick()
        try:
            self._machine.receive(payload, (topic, is_retained), port.clock.now_ms())
        except PeerError as error:
            if not self._allowed(device):
                if is_retained and len(self._strangers) < STRANGERS_MAX:  # the others come again on reconnection
                    self._strangers.add(topic)
                    self._stir.set()
                LOG.debug("a message on %.80r was refused: %s", topic, error.text)
                return
            known = self._machine.devices.get(device)
            if known is None or known.odd <= ODD_LOGGED_MAX:
                self._log(device, logging.WARNING, f"a message of kind {kind[:16]!r} was refused: {error.text}")

    async def _hush(self, device: str) -> None:
        """Who floods fills the queue that the broker keeps for the core, and others' words are lost there: the broker
        takes nothing from it for a while. It counts as down."""
        LOG.warning("device %s floods the broker: nothing is heard of it for %.0f s", device, HUSH_S)
        try:
            self._machine.forget(device, port.clock.now_ms())
            self._stir.set()
            await self._broker.forbid(device)
            await asyncio.sleep(HUSH_S)
            if self._allowed(device):
                await self._broker.allow(device)
        except CoreletError as error:
            LOG.warning("the broker could not be told about device %s: %s", device, error.text)
        finally:
            self._voices.pop(device, None)
            del self._hushed[device]

    def _log(self, device: str, level: int, text: str) -> None:
        """One device cannot rotate everybody's log away."""
        lines = self._lines.setdefault(device, Allowance(LOG_BURST, LOG_S))
        if lines.take():
            folded = f" ({lines.dropped} lines of this device were left out before)" if lines.dropped else ""
            lines.dropped = 0
            LOG.log(level, "device %s: %s%s", device, text, folded)

    async def _send_and_wake(self, client: aiomqtt.Client) -> None:
        while True:
            self._forget_strangers()
            for payload, publish in self._machine.drain_outgoing():
                await client.publish(publish.topic, payload, qos=publish.qos, retain=publish.retain)
            strangers, self._strangers = self._strangers, set()
            for topic in sorted(strangers):
                await client.publish(topic, b"", qos=1, retain=True)
            await self._act()
            if self._machine.outgoing or self._strangers:
                continue
            when = self._machine.wake_at
            delay_s = 60.0 if when is None else min(60.0, max(0, when - port.clock.now_ms()) / 1000)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await self._stir.wait()
            self._stir.clear()
            self._tick()
            self._machine.wake(port.clock.now_ms())

    def _forget_strangers(self) -> None:
        for device in sorted(self._machine.devices):
            if not self._allowed(device) and len(self._strangers) < STRANGERS_MAX:
                self._machine.forget(device, port.clock.now_ms())
                self._voices.pop(device, None)
                self._lines.pop(device, None)
                self._strangers |= {envelope.topic(device, "up", kind) for kind in envelope.UP_KINDS}

    async def _act(self) -> None:
        """What the machine has to say."""
        events = self._machine.drain_events()
        for event in events:
            if isinstance(event, machines.Answer):
                self._answer(event)
            elif isinstance(event, machines.Odd):
                self._log(event.device, logging.WARNING, event.text)
            elif isinstance(event, machines.Left):
                self.on_left(event.device)
            elif isinstance(event, machines.Up | machines.Down):
                word = "connected" if isinstance(event, machines.Up) else "disconnected"
                self._log(event.device, logging.INFO, f"{word} (boot {event.boot}, session {event.session})")
        if self._machine.outgoing:
            self._stir.set()
        if events:
            await self._tell()

    async def _tell(self) -> None:
        async with self._moved:
            self._moved.notify_all()

    def _answer(self, event: machines.Answer) -> None:
        future = self._answers.get(event.correlation)
        if future is None or future.done():
            return
        if event.is_ok:
            future.set_result(event.body)
            return
        code, text = _printable(event.body.get("code", "refused"), 32), _printable(event.body.get("text", ""), 300)
        if code == "timeout":
            future.set_exception(PortError(code, text))
        elif code in ("core_offline", "restarted", "forgotten"):
            future.set_exception(PortError("closed", text))
        else:
            future.set_exception(PeerError(code, text))


def _place(topic: str) -> tuple[str, str]:
    """(device, kind)."""
    device, _, kind = topic.removeprefix(envelope.TOPIC_ROOT + "/").partition("/up/")
    return device, kind


def _printable(value: Any, chars_max: int) -> str:
    """A device's words end up on a terminal."""
    return "".join(char if char.isprintable() else "?" for char in str(value)[:chars_max])
