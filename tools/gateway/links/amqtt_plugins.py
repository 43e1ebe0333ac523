"""What makes amqtt keep devices apart as mosquitto does: two plugins, and a guard on each side of a connection.

amqtt 0.12 has plugins for "may this session in?" and "may it use this topic?"; they are here. Four things its plugins
do not see, so the guards do them (all found in its source, all tested by delivery):

- CONNECT is acted upon before anybody is asked: a foreign client id would end its owner's session. The incoming guard
  puts the certificate's name in its place, and makes every session clean (amqtt keeps the others for ever).
- Retained messages are sent to a new session for everybody's filters. The outgoing guard drops what its reader may not
  read, at the last step before the socket.
- A silent client is never given up. The incoming guard ends a connection after 1.5 keepalives (3.1.1 section 3.1.2.10).
- Nothing is bounded. The guards bound packets, packets per second, and bytes that a slow reader leaves unread.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from amqtt.adapters import BufferReader, StreamReaderAdapter, StreamWriterAdapter  # type: ignore[import-untyped, unused-ignore]
from amqtt.contexts import Action  # type: ignore[import-untyped, unused-ignore]
from amqtt.errors import AMQTTError, MQTTError  # type: ignore[import-untyped, unused-ignore]
from amqtt.mqtt.connect import ConnectPacket  # type: ignore[import-untyped, unused-ignore]
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin  # type: ignore[import-untyped, unused-ignore]
from amqtt.session import Session  # type: ignore[import-untyped, unused-ignore]

from agent.errors import PeerError
from agent.port.micropython.mqtt import length_at
from tools.gateway.links.broker import PACKET_BYTES_MAX, Rules

CONNECT, PUBLISH, PUBACK, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 4, 8, 10, 12, 14
_LATER = (PUBLISH, PUBACK, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT)
PACKETS_PER_S = 100
PACKETS_BURST = 200
UNREAD_BYTES_MAX = 262_144
KEEPALIVE_S_MAX = 600
CONNECT_S_MAX = 10
WRONG_VERSION = b"\x20\x02\x00\x01"  # CONNACK of 3.1.1 section 3.2.2.3: ask again with 3.1.1


class IdentityPlugin(BaseAuthPlugin):  # type: ignore[misc, unused-ignore]
    """A session is in when it is the one its certificate names, and the core knows it."""

    @dataclass
    class Config:
        """`rules`: broker.Rules."""

        rules: Any

    async def authenticate(self, *, session: Session) -> bool | None:
        identity = common_name(session.ssl_object)
        return bool(identity) and session.client_id == identity and self.config.rules.is_known(identity)


class TopicPlugin(BaseTopicPlugin):  # type: ignore[misc, unused-ignore]
    """A session's topics are those of its identity."""

    @dataclass
    class Config:
        """`rules`: broker.Rules."""

        rules: Any

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool | None:
        rules: Rules = self.config.rules
        if session is None or session.client_id is None or topic is None:
            return False
        if action == Action.PUBLISH:
            return rules.may_write(session.client_id, topic)
        if action == Action.SUBSCRIBE:
            return rules.may_subscribe(session.client_id, topic)
        return rules.may_read(session.client_id, topic)


def common_name(ssl_object: Any) -> str:
    """Of the peer's certificate, which TLS has verified; "" when there is none."""
    certificate = ssl_object.getpeercert() if ssl_object is not None else None
    for names in (certificate or {}).get("subject", ()):
        for key, value in names:
            if key == "commonName":
                return str(value)
    return ""


class IncomingGuard(StreamReaderAdapter):  # type: ignore[misc, unused-ignore]
    """Hands amqtt whole, checked packets. `reader`: asyncio's, over TLS."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, identity: str, rules: Rules) -> None:
        super().__init__(reader)
        self._writer = writer
        self._identity = identity
        self._rules = rules
        self._raw = b""
        self._ready = b""
        self._is_connected = False
        self._is_ended = False
        self._silence_s = float(CONNECT_S_MAX)
        self._tokens = float(PACKETS_BURST)
        self._refilled = asyncio.get_running_loop().time()

    def feed_eof(self) -> None:
        self._is_ended = True

    async def read(self, n: int = -1) -> bytes:
        """Whatever is cancelled in here, no byte is lost: amqtt cancels its reads when a keepalive passes."""
        while len(self._ready) < n and not self._is_ended:
            try:
                packet = self._next()
                if packet:
                    await self._pay()
                    checked = await self._check(packet)
                    self._raw = self._raw[len(packet) :]
                    self._ready += checked
                    continue
                async with asyncio.timeout(self._silence_s):
                    data = await self._reader.read(4096)
                if not data:
                    raise PeerError("closed", "the peer closed the connection")
                self._raw += data
            except (PeerError, AMQTTError, MQTTError, OSError, TimeoutError):
                self._is_ended = True
        if len(self._ready) < n:
            return b""
        data, self._ready = self._ready[:n], self._ready[n:]
        return data

    def _next(self) -> bytes:
        """The next packet when all of it is here."""
        if not self._is_connected and self._raw and self._raw[0] != CONNECT << 4:
            raise PeerError("mqtt", "a session must begin with CONNECT")
        if len(self._raw) < 2:
            return b""
        length, used = length_at(self._raw, 1)
        if 1 + used + length > PACKET_BYTES_MAX:
            raise PeerError("mqtt", f"a packet of {length} bytes came")
        end = 1 + used + length
        return self._raw[:end] if used and len(self._raw) >= end else b""

    async def _pay(self) -> None:
        now = asyncio.get_running_loop().time()
        self._tokens = min(PACKETS_BURST, self._tokens + (now - self._refilled) * PACKETS_PER_S)
        self._refilled = now
        self._tokens -= 1
        if self._tokens < 0:
            await asyncio.sleep(-self._tokens / PACKETS_PER_S)

    async def _check(self, packet: bytes) -> bytes:
        kind, flags = packet[0] >> 4, packet[0] & 15
        if not self._is_connected:
            return await self._connect(packet)
        if kind not in _LATER or (kind == PUBLISH and flags >> 1 & 3 > 1):
            raise PeerError("mqtt", f"a packet of type {kind} came, which is not used here")
        return packet

    async def _connect(self, packet: bytes) -> bytes:
        """The same wishes under the certificate's name."""
        _, used = length_at(packet, 1)
        if packet[1 + used : 8 + used] != b"\0\4MQTT\4":
            self._writer.write(WRONG_VERSION)
            await self._writer.drain()
            raise PeerError("mqtt", "this broker speaks MQTT 3.1.1")
        connect = await ConnectPacket.from_stream(BufferReader(packet))
        header, payload = connect.variable_header, connect.payload
        if header is None or payload is None:
            raise PeerError("mqtt", "an empty CONNECT came")
        if header.will_flag and not (
            payload.will_topic and header.will_qos < 2 and self._rules.may_write(self._identity, payload.will_topic)
        ):
            raise PeerError("mqtt", "a will on another's topic came")
        payload.client_id = self._identity
        payload.client_id_is_random = False
        header.username_flag = header.password_flag = False
        header.clean_session_flag = True
        header.keep_alive = min(header.keep_alive or KEEPALIVE_S_MAX, KEEPALIVE_S_MAX)
        self._silence_s = 1.5 * header.keep_alive
        self._is_connected = True
        return bytes(ConnectPacket(variable_header=header, payload=payload).to_bytes())


class OutgoingGuard(StreamWriterAdapter):  # type: ignore[misc, unused-ignore]
    """Drops what this identity may not read; gives up on a peer that does not read at all."""

    def __init__(self, writer: asyncio.StreamWriter, identity: str, rules: Rules) -> None:
        super().__init__(writer)
        self._identity = identity
        self._rules = rules

    def write(self, data: bytes) -> None:
        """amqtt writes whole packets (MQTTPacket.to_stream)."""
        if data[0] >> 4 == PUBLISH and not self._rules.may_read(self._identity, _topic_of(data)):
            return
        if self._writer.transport.get_write_buffer_size() > UNREAD_BYTES_MAX:
            self._writer.transport.abort()
            return
        super().write(data)

    def abort(self) -> None:
        """At once, whatever is still unsent."""
        self._writer.transport.abort()


def _topic_of(packet: bytes) -> str:
    _, used = length_at(packet, 1)
    length = int.from_bytes(packet[1 + used : 3 + used], "big")
    return packet[3 + used : 3 + used + length].decode("utf-8", "replace")
