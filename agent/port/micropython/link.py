"""One MQTT connection on MicroPython (contract.Link): mqtt.py over tls.py, one task that reads, one that pings.

MQTT 5 first; a broker that speaks only 3.1.1 says so in its CONNACK and is asked again. A Link is used once: after
any failure it is closed for good, and the driver opens another.

Bounds: `packet_bytes_max` of the options, QUEUE_MAX received messages (then the socket is not read, so the broker
has to wait), ACKS_MAX publishes that wait for their PUBACK.
"""

import asyncio

from agent.errors import LimitError, PeerError, PortError
from agent.port.micropython import clock, mqtt, net, tls

if False:
    from typing import Any

QUEUE_MAX = 16
ACKS_MAX = 16
READ_BYTES = 1024
CONNECT_MS_MAX = 20_000
ACK_MS_MAX = 20_000
# CONNACK codes (3.1.1 section 3.2.2.3, 5.0 section 3.2.2.2)
_NO_SUCH_VERSION = (1, 0x84)
_NOT_AUTHORISED = (2, 4, 5, 0x85, 0x86, 0x87, 0x8A, 0x8C)


def open(options: "Any") -> "Link":
    return Link(options)


class _Wait:
    """One answer that is waited for."""

    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.answer: Any = None


class Link:
    """contract.Link. `version`: 5 or 4 (3.1.1), known after connect()."""

    def __init__(self, options: "Any") -> None:
        self.version = mqtt.V5
        self._options = options
        self._keepalive_s = options.keepalive_s
        self._conn: tls.TlsConn | None = None
        self._decoder = mqtt.Decoder(options.packet_bytes_max)
        self._tasks: list[Any] = []
        self._waits: dict[int, _Wait] = {}
        self._queue: list[tuple[str, bytes]] = []
        self._queue_moved = asyncio.Event()
        self._write_lock = asyncio.Lock()
        self._fault: PortError | None = None
        self._packet_id = 0
        self._heard_ms = 0
        self._packet_bytes_max = options.packet_bytes_max

    async def connect(self) -> None:
        for version in (mqtt.V5, mqtt.V311):
            self.version = version
            connack: Any = None
            try:
                connack = await net.wait_for(self._handshake(), CONNECT_MS_MAX)
            finally:
                if connack is None:
                    self._shut()
            if connack.code not in _NO_SUCH_VERSION:
                break
            self._shut()
        if connack.code:
            self._shut()
            raise _refusal(connack.code, self._what())
        self._keepalive_s = connack.properties.get(mqtt.KEEPALIVE, self._keepalive_s)
        self._packet_bytes_max = connack.properties.get(mqtt.PACKET_BYTES, mqtt.LENGTH_MAX)
        self._heard_ms = clock.now_ms()
        self._tasks = [net.spawn(self._read_packets()), net.spawn(self._ping())]

    async def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> None:
        packet_id = self._next_id() if qos else 0
        packet = mqtt.encode_publish(mqtt.Publish(topic, payload, qos, retain, packet_id), self.version)
        if len(packet) > self._packet_bytes_max:
            raise LimitError(
                "too_big", f"the broker takes packets of {self._packet_bytes_max} bytes, not {len(packet)}"
            )
        if not qos:
            await self._write(packet)
            return
        code = (await self._ask(packet_id, packet)).code
        if code >= 0x80:
            raise PortError("not_authorised", f"{self._what()} refused a message on {topic} (code {code})")

    async def subscribe(self, topic_filter: str) -> None:
        packet_id = self._next_id()
        suback = await self._ask(packet_id, mqtt.encode_subscribe(packet_id, topic_filter, self.version))
        if suback.codes[0] >= 0x80:
            raise PortError("not_authorised", f"{self._what()} refused the subscription to {topic_filter}")

    async def receive(self) -> tuple[str, bytes]:
        while not self._queue:
            if self._fault is not None:
                raise self._fault
            self._queue_moved.clear()
            await self._queue_moved.wait()
        self._queue_moved.set()  # the reader may be waiting for room
        return self._queue.pop(0)

    async def close(self) -> None:
        """DISCONNECT, so that no will is sent."""
        if self._conn is not None and self._fault is None:
            try:
                await net.wait_for(self._write(mqtt.GOODBYE), 1000)
            except PortError:
                self._shut()  # it is gone already, and the will has spoken
        self._shut()

    def _what(self) -> str:
        return f"the broker at {self._options.host} port {self._options.port}"

    def _shut(self, fault: PortError | None = None) -> None:
        """Everything that waits here fails; harmless to call twice."""
        if self._fault is None and self._tasks:
            self._fault = fault or PortError("closed", self._what() + " closed the connection")
        current = asyncio.current_task() if self._tasks else None
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            if task is not current:
                task.cancel()
        if self._conn is not None:
            self._conn.close()
            self._conn = None
        for wait in list(self._waits.values()):
            wait.event.set()
        self._queue_moved.set()

    async def _handshake(self) -> "Any":
        self._decoder = mqtt.Decoder(self._options.packet_bytes_max)
        self._decoder.version = self.version
        self._conn = await tls.connect(self._options)
        await self._conn.write(mqtt.encode_connect(self._options, self.version))
        while True:
            packets = await self._read()
            if packets:
                # Nothing may come before CONNACK, and nothing of ours is subscribed yet.
                if len(packets) != 1 or not isinstance(packets[0], mqtt.Connack):
                    raise PortError("closed", self._what() + " did not begin with CONNACK; is it an MQTT broker?")
                return packets[0]

    async def _read(self) -> "list[Any]":
        if self._conn is None:
            raise PortError("closed", self._what() + " closed the connection")
        data = await self._conn.read(READ_BYTES)
        if not data:
            raise PortError("closed", self._what() + " closed the connection")
        try:
            return self._decoder.feed(data)
        except PeerError as error:
            raise PortError("closed", self._what() + " broke the protocol: " + error.text)

    async def _write(self, packet: bytes) -> None:
        await self._write_lock.acquire()  # two tasks must not interleave their pieces
        try:
            if self._conn is None:
                raise self._fault or PortError("closed", self._what() + " closed the connection")
            await self._conn.write(packet)
        finally:
            self._write_lock.release()

    async def _ask(self, packet_id: int, packet: bytes) -> "Any":
        if len(self._waits) >= ACKS_MAX:
            raise LimitError("busy", f"{ACKS_MAX} messages already wait for the broker")
        wait = self._waits[packet_id] = _Wait()
        try:
            await self._write(packet)
            await net.wait_for(wait.event.wait(), ACK_MS_MAX)
        except PortError as error:
            self._shut(error)
            raise
        finally:
            del self._waits[packet_id]
        if wait.answer is None:
            raise self._fault or PortError("closed", self._what() + " closed the connection")
        return wait.answer

    def _next_id(self) -> int:
        while True:
            self._packet_id = self._packet_id % 65535 + 1
            if self._packet_id not in self._waits:
                return self._packet_id

    async def _read_packets(self) -> None:
        try:
            while True:
                for packet in await self._read():
                    self._heard_ms = clock.now_ms()
                    await self._act(packet)
        except PortError as error:
            self._shut(error)

    async def _act(self, packet: "Any") -> None:
        if isinstance(packet, mqtt.Publish):
            while len(self._queue) >= QUEUE_MAX:
                self._queue_moved.clear()
                await self._queue_moved.wait()
            self._queue.append((packet.topic, packet.payload))
            self._queue_moved.set()
            if packet.qos:
                await self._write(mqtt.encode_puback(packet.packet_id))
        elif isinstance(packet, (mqtt.Puback, mqtt.Suback)):
            wait = self._waits.get(packet.packet_id)
            if wait is None:
                raise PortError("closed", self._what() + " acknowledged what was never sent")
            wait.answer = packet
            wait.event.set()
        elif isinstance(packet, mqtt.Disconnect):
            raise PortError("closed", f"{self._what()} ended the connection (code {packet.code})")
        elif isinstance(packet, mqtt.Connack):
            raise PortError("closed", self._what() + " sent a second CONNACK")

    async def _ping(self) -> None:
        """One PINGREQ per keepalive; two keepalives without a word mean that the broker is gone."""
        try:
            while self._keepalive_s:
                await asyncio.sleep(self._keepalive_s)
                if clock.now_ms() - self._heard_ms > 2000 * self._keepalive_s:
                    raise PortError("timeout", self._what() + " has been silent for two keepalives")
                await self._write(mqtt.PINGREQ)
        except PortError as error:
            self._shut(error)


def _refusal(code: int, what: str) -> PortError:
    if code in _NOT_AUTHORISED:
        return PortError("not_authorised", f"{what} does not admit this device (code {code}); pair it again")
    return PortError("refused", f"{what} refused the connection (code {code})")
