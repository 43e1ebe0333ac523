"""One MQTT connection on CPython (contract.Link): paho-mqtt, driven by the control loop, without a thread of its own.

paho's `loop_start` thread wakes every second for ever. Here its socket hangs on the loop (`add_reader`, `add_writer`)
and `loop_misc` runs a few times per keepalive. The connection is made by us (asyncio: cancellable, never blocking the
loop, TLS name checked) and handed to paho, which would block.

MQTT 5 first; a broker that speaks only 3.1.1 says so in its CONNACK and is asked again. A Link, and its paho client,
is used once: after any failure it is closed for good, and the driver opens another.

Bounds: `packet_bytes_max` of the options, QUEUE_MAX received messages (then the socket is not read, so the broker
has to wait), ACKS_MAX publishes that wait for their PUBACK, UNSENT_MAX packets that the broker does not read. QoS 2
ends the connection: we subscribe at QoS 1, and paho would keep every such message until a PUBREL that may never come.
"""

import asyncio
import ssl
from typing import Any

from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.errors import LimitError, PortError
from agent.port.cpython import tls
from agent.port.cpython.lean import paho

QUEUE_MAX = 16
ACKS_MAX = 16
UNSENT_MAX = 64
CONNECT_S_MAX = 20
ACK_S_MAX = 20
READ_BYTES = 4096
MISC_PER_KEEPALIVE = 4
_NO_SUCH_VERSION = ("Unsupported protocol version",)
_NOT_AUTHORISED = (0x80 | 2, 0x80 | 5, 0x80 | 6, 0x80 | 7, 0x8A, 0x8C)


def open(options: Any) -> "Link":  # noqa: A001 (the contract's name)
    return Link(options)


class _Client(paho.Client):
    """paho on a socket that is connected already, with an upper bound for what it reads."""

    made_socket: ssl.SSLSocket
    packet_bytes_max: int
    tls_error: ssl.SSLError | None = None
    broken = ""  # what the broker did that no broker may

    def _create_socket(self) -> Any:
        return self.made_socket

    def _sock_recv(self, bufsize: int) -> bytes:
        # paho asks for the rest of a packet, which may claim 256 MiB.
        if bufsize > self.packet_bytes_max:
            raise ConnectionError(f"a packet of {bufsize} bytes came")
        try:
            return super()._sock_recv(min(bufsize, READ_BYTES))
        except ssl.SSLError as error:
            # TLS 1.3 tells a client only now that its certificate was refused.
            self.tls_error = error
            raise

    def _packet_handle(self) -> MQTTErrorCode:
        command = self._in_packet["command"]
        if command >> 4 == 3 and command & 4:
            self.broken = "it sent a message of QoS 2, which nobody subscribed to"
        elif len(self._out_packet) >= UNSENT_MAX:
            self.broken = f"it does not read, and {UNSENT_MAX} packets wait for it"
        return paho.MQTT_ERR_PROTOCOL if self.broken else super()._packet_handle()


class Link:
    """contract.Link. `version`: 5 or 4 (3.1.1), known after connect()."""

    def __init__(self, options: Any) -> None:
        self.version = 5
        self._options = options
        self._what = f"the broker at {options.host} port {options.port}"
        self._client: _Client | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._misc: asyncio.TimerHandle | None = None
        self._connack: asyncio.Future[tuple[int, str]] | None = None
        self._acks: dict[int, asyncio.Future[int]] = {}
        self._queue: list[tuple[str, bytes]] = []
        self._arrived = asyncio.Event()
        self._fault: PortError | None = None
        self._socket: Any = None
        self._is_paused = False

    async def connect(self) -> None:
        self._loop = asyncio.get_running_loop()
        for protocol in (MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311):
            self.version = int(protocol)
            try:
                async with asyncio.timeout(CONNECT_S_MAX):  # wait_for of 3.11 can swallow a cancellation
                    code, text = await self._handshake(protocol)
            except TimeoutError as error:
                self._shut(None)
                raise PortError("timeout", f"{self._what} did not answer within {CONNECT_S_MAX} s") from error
            except (PortError, asyncio.CancelledError):
                self._shut(None)
                raise
            if text not in _NO_SUCH_VERSION:
                break
            self._shut(None)
            self._fault = None  # that the refused one ended is no fault of the next
        if code:
            self._shut(None)
            if code in _NOT_AUTHORISED:
                raise PortError("not_authorised", f"{self._what} does not admit this device ({text}); pair it again")
            raise PortError("refused", f"{self._what} refused the connection ({text})")

    async def publish(self, topic: str, payload: bytes, qos: int, retain: bool) -> None:
        client = self._usable()
        if len(self._acks) >= ACKS_MAX:
            raise LimitError("busy", f"{ACKS_MAX} messages already wait for the broker")
        info = client.publish(topic, payload, qos, retain)
        if info.rc != paho.MQTT_ERR_SUCCESS:
            raise self._fault or PortError("closed", f"{self._what} closed the connection")
        if qos and await self._acknowledged(info.mid) >= 0x80:
            raise PortError("not_authorised", f"{self._what} refused a message on {topic}")

    async def subscribe(self, topic_filter: str) -> None:
        rc, mid = self._usable().subscribe(topic_filter, 1)
        if rc != paho.MQTT_ERR_SUCCESS or mid is None:
            raise self._fault or PortError("closed", f"{self._what} closed the connection")
        if await self._acknowledged(mid) >= 0x80:
            raise PortError("not_authorised", f"{self._what} refused the subscription to {topic_filter}")

    async def receive(self) -> tuple[str, bytes]:
        while not self._queue:
            if self._fault is not None:
                raise self._fault
            self._arrived.clear()
            await self._arrived.wait()
        message = self._queue.pop(0)
        if self._is_paused and len(self._queue) < QUEUE_MAX:
            self._is_paused = False
            self._add_reader()
        return message

    async def close(self) -> None:
        """DISCONNECT, so that no will is sent."""
        if self._client is not None and self._fault is None:
            self._client.disconnect()
            if self._client is not None:
                self._client.loop_write()
        self._shut(PortError("closed", "this connection was closed by us"))

    async def _handshake(self, protocol: MQTTProtocolVersion) -> tuple[int, str]:
        """(code, text) of the CONNACK; code 0 is success."""
        options = self._options
        made = await tls.connect(options, self._what)
        client = self._client = _Client(
            CallbackAPIVersion.VERSION2,
            client_id=options.client_id,
            protocol=protocol,
            clean_session=None if protocol == MQTTProtocolVersion.MQTTv5 else True,
            reconnect_on_failure=False,
        )
        client.made_socket = made
        client.packet_bytes_max = options.packet_bytes_max
        client.max_queued_messages_set(ACKS_MAX)
        if options.will_topic:
            client.will_set(options.will_topic, options.will_payload, 1, True)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_socket_open = self._on_socket_open
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_register_write
        client.on_socket_unregister_write = self._on_unregister_write
        self._connack = asyncio.get_running_loop().create_future()
        properties = None
        if protocol == MQTTProtocolVersion.MQTTv5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.MaximumPacketSize = options.packet_bytes_max
            properties.ReceiveMaximum = QUEUE_MAX
        client.connect(options.host, options.port, options.keepalive_s, properties=properties)
        self._run_misc()
        return await self._connack

    def _usable(self) -> _Client:
        if self._client is None or self._fault is not None:
            raise self._fault or PortError("closed", f"{self._what} is not connected")
        return self._client

    async def _acknowledged(self, mid: int) -> int:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._acks[mid] = future
        try:
            async with asyncio.timeout(ACK_S_MAX):
                return await future
        except TimeoutError as error:
            fault = PortError("timeout", f"{self._what} did not acknowledge within {ACK_S_MAX} s")
            self._shut(fault)
            raise fault from error
        finally:
            self._acks.pop(mid, None)

    def _shut(self, fault: PortError | None) -> None:
        """Everything that waits here fails, if there is a fault to tell; harmless to call twice."""
        if fault is not None and self._fault is None:
            self._fault = fault
        if self._misc is not None:
            self._misc.cancel()
            self._misc = None
        client, self._client = self._client, None
        if client is not None:
            client.on_disconnect = None
            client._reset_sockets()
        for future in self._acks.values():
            if fault is not None and not future.done():
                future.set_exception(fault)
        self._arrived.set()

    def _run_misc(self) -> None:
        """paho's own clock: it sends PINGREQ, and gives up on a broker that does not answer it."""
        if self._client is None or self._loop is None:
            return
        delay_s = max(1, self._options.keepalive_s / MISC_PER_KEEPALIVE)
        self._misc = self._loop.call_later(delay_s, self._run_misc)
        self._client.loop_misc()

    def _on_connect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if self._connack is not None and not self._connack.done():
            self._connack.set_result((reason.value if reason.is_failure else 0, str(reason)))

    def _on_disconnect(self, client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        fault = PortError("closed", f"{self._what} closed the connection ({reason})")
        if client.broken:
            fault = PortError("closed", f"{self._what} broke the protocol: {client.broken}")
        if client.tls_error is not None:
            fault = tls.fault(client.tls_error, self._what)
        if self._connack is not None and not self._connack.done():
            self._connack.set_exception(fault)
        if self._loop is not None:
            self._loop.call_soon(self._ended, client, fault)  # paho is in the middle of its own cleaning up

    def _ended(self, client: _Client, fault: PortError) -> None:
        if self._client is client:  # not the one before, that was refused for its version
            self._shut(fault)

    def _on_message(self, client: Any, userdata: Any, message: paho.MQTTMessage) -> None:
        self._queue.append((message.topic, bytes(message.payload)))
        self._arrived.set()

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason: Any, properties: Any) -> None:
        self._on_ack(mid, reason.value)

    def _on_subscribe(self, client: Any, userdata: Any, mid: int, reasons: Any, properties: Any) -> None:
        self._on_ack(mid, reasons[0].value)

    def _on_ack(self, mid: int, code: int) -> None:
        future = self._acks.get(mid)
        if future is not None and not future.done():
            future.set_result(code)

    def _on_socket_open(self, client: Any, userdata: Any, sock: Any) -> None:
        self._socket = sock
        self._add_reader()

    def _on_socket_close(self, client: Any, userdata: Any, sock: Any) -> None:
        self._socket = None
        if self._loop is not None:
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)

    def _on_register_write(self, client: Any, userdata: Any, sock: Any) -> None:
        if self._loop is not None:
            self._loop.add_writer(sock, self._write)

    def _on_unregister_write(self, client: Any, userdata: Any, sock: Any) -> None:
        if self._loop is not None:
            self._loop.remove_writer(sock)

    def _add_reader(self) -> None:
        if self._socket is not None and self._loop is not None:
            self._loop.add_reader(self._socket, self._read)
            if self._socket.pending():
                self._loop.call_soon(self._read)

    def _write(self) -> None:
        if self._client is not None:
            self._client.loop_write()

    def _read(self) -> None:
        """TLS may hold more packets than the socket tells of: read until it holds none."""
        while self._client is not None and self._socket is not None and not self._is_paused:
            rc = self._client.loop_read()
            if len(self._queue) >= QUEUE_MAX and self._socket is not None and self._loop is not None:
                self._is_paused = True
                self._loop.remove_reader(self._socket)
            if rc != paho.MQTT_ERR_SUCCESS or self._socket is None or not self._socket.pending():
                return
