"""Our MQTT codec against two that others wrote: the same bytes as paho sends, the same packets as amqtt and paho write.

paho's client is given a socket that is a list, so what it sends is seen and what it is told is chosen."""

import asyncio
import socket
from typing import Any

import pytest
from amqtt.mqtt.connack import ConnackPacket
from amqtt.mqtt.puback import PubackPacket
from amqtt.mqtt.publish import PublishPacket
from amqtt.mqtt.suback import SubackPacket
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from agent.errors import PeerError
from agent.port.micropython import mqtt
from agent.port.options import LinkOptions
from tests.sim.chance import Xorshift32

VERSIONS = ((mqtt.V311, MQTTProtocolVersion.MQTTv311), (mqtt.V5, MQTTProtocolVersion.MQTTv5))
both = pytest.mark.parametrize(("version", "protocol"), VERSIONS)
BYTES_MAX = 4608


class Client(paho.Client):
    """`other`: the broker's end of its socket."""

    def _create_socket(self) -> socket.socket:
        mine, self.other = socket.socketpair()
        self.other.setblocking(False)
        return mine


def client(protocol: MQTTProtocolVersion, will: bool = False) -> Client:
    clean = None if protocol == MQTTProtocolVersion.MQTTv5 else True
    made = Client(CallbackAPIVersion.VERSION2, "0011223344556677", clean, protocol=protocol)
    if will:
        made.will_set("c1/0011223344556677/up/death", b"gone", 1, True)
    properties = None
    if protocol == MQTTProtocolVersion.MQTTv5:
        properties = Properties(PacketTypes.CONNECT)
        properties.MaximumPacketSize = BYTES_MAX
        properties.ReceiveMaximum = 16
    made.connect("x", 1, 60, properties=properties)
    return made


def connected(version: int, protocol: MQTTProtocolVersion) -> Client:
    made = client(protocol)
    made.other.recv(4096)
    made.other.send(b"\x20\2\0\0" if version == mqtt.V311 else b"\x20\3\0\0\0")
    assert made.loop_read() == paho.MQTT_ERR_SUCCESS and made.is_connected()
    return made


@both
@pytest.mark.parametrize("will", [False, True])
def test_connect_is_paho_s(version: int, protocol: MQTTProtocolVersion, will: bool) -> None:
    topic = "c1/0011223344556677/up/death" if will else ""
    options = LinkOptions("x", 1, "n", b"", b"", b"", "0011223344556677", 60, topic, b"gone", BYTES_MAX)
    assert client(protocol, will).other.recv(4096) == mqtt.encode_connect(options, version)


@both
def test_publish_subscribe_and_goodbye_are_paho_s(version: int, protocol: MQTTProtocolVersion) -> None:
    made = connected(version, protocol)
    random = Xorshift32(3)
    for _ in range(100):
        topic = "c1/" + "é"[: random.below(2)] + "ab"[: 1 + random.below(2)] + "/up/tele"
        payload = random.bytes(random.below(400))
        qos, retain = random.below(2), random.chance(500)
        mid = made.publish(topic, payload, qos, retain).mid
        ours = mqtt.encode_publish(mqtt.Publish(topic, payload, qos, retain, mid if qos else 0), version)
        assert made.other.recv(4096) == ours
        if qos:
            made.other.send(b"\x40\2" + mid.to_bytes(2, "big"))
            made.loop_read()
    _, mid = made.subscribe("c1/0011223344556677/dn/cmd", 1)
    assert made.other.recv(4096) == mqtt.encode_subscribe(mid, "c1/0011223344556677/dn/cmd", version)
    made.other.send(b"\x32\x07\0\1a\0\x09" + (b"\0x" if version == mqtt.V5 else b"xy"))
    made.loop_read()
    assert made.other.recv(4096) == mqtt.encode_puback(9)
    made._send_pingreq()
    assert made.other.recv(4096) == mqtt.PINGREQ
    made.disconnect()
    assert made.other.recv(4096) == mqtt.GOODBYE


def decoded(data: bytes, version: int = mqtt.V311) -> list:
    decoder = mqtt.Decoder(BYTES_MAX)
    decoder.version = version
    return decoder.feed(data)


def test_what_amqtt_writes_is_read() -> None:
    random = Xorshift32(4)
    for number in range(200):
        packet_id, qos, retain = 1 + random.below(65535), random.below(2), random.chance(500)
        payload = random.bytes(random.below(300))
        written = PublishPacket.build("c1/a/dn/cmd", payload, packet_id if qos else None, False, qos, retain).to_bytes()
        assert decoded(bytes(written)) == [mqtt.Publish("c1/a/dn/cmd", payload, qos, retain, packet_id if qos else 0)]
        assert decoded(bytes(PubackPacket.build(packet_id).to_bytes())) == [mqtt.Puback(packet_id, 0)]
        codes = [random.below(2) for _ in range(1 + number % 3)]
        assert decoded(bytes(SubackPacket.build(packet_id, codes).to_bytes())) == [mqtt.Suback(packet_id, bytes(codes))]
        code = number % 6
        assert decoded(bytes(ConnackPacket.build(0, code).to_bytes())) == [mqtt.Connack(code, 0, {})]


@both
def test_what_we_take_paho_takes_and_gives_the_same(version: int, protocol: MQTTProtocolVersion) -> None:
    """Random and mutated PUBLISH packets: whatever our decoder accepts, paho delivers with equal fields. The reverse
    does not hold and need not: paho is lenient (QoS 2, wildcards in names, longer lengths)."""
    random = Xorshift32(version)
    taken = 0
    for _ in range(1500):
        payload = random.bytes(random.below(12))
        good = mqtt.Publish("c1/a/é"[: 3 + random.below(4)], payload, random.below(2), random.chance(500), 7)
        data = bytearray(mqtt.encode_publish(good, version))
        if random.chance(700):
            data[random.below(len(data))] ^= 1 << random.below(8)
        try:
            packets = decoded(bytes(data), version)
        except PeerError:
            continue
        if len(packets) != 1 or not isinstance(packets[0], mqtt.Publish):
            continue
        made = connected(version, protocol)
        heard: list[paho.MQTTMessage] = []
        made.on_message = lambda _client, _data, message, heard=heard: heard.append(message)
        made.other.send(bytes(data))
        made.loop_read()
        made.other.close()
        packet = packets[0]
        assert [(each.topic, each.payload, each.qos, each.retain) for each in heard] == [
            (packet.topic, packet.payload, packet.qos, packet.retain)
        ]
        taken += 1
    assert taken > 400


def test_paho_still_has_what_we_override() -> None:
    """agent/port/cpython/link.py hands paho a connected socket and caps its reads; both are paho's own methods."""
    for name in ("_create_socket", "_sock_recv", "_reset_sockets", "_packet_handle"):
        assert callable(getattr(paho.Client, name))


def test_paho_is_not_made_to_take_a_giant() -> None:
    from agent.port.cpython import link

    async def main() -> None:
        made = link._Client(CallbackAPIVersion.VERSION2, "x", True, protocol=MQTTProtocolVersion.MQTTv311)
        mine, other = socket.socketpair()
        made.made_socket, made.packet_bytes_max = mine, BYTES_MAX
        made.connect("x", 1, 60)
        other.send(b"\x20\2\0\0\x30\xff\xff\xff\x7f" + bytes(100))
        assert made.loop_read() == paho.MQTT_ERR_SUCCESS
        assert made.loop_read() == paho.MQTT_ERR_CONN_LOST
        assert len(made._in_packet["packet"]) == 0

    asyncio.run(main())


@both
def test_paho_keeps_nothing_of_qos_2(version: int, protocol: MQTTProtocolVersion) -> None:
    """It would hold each until its PUBREL: a hostile broker never sends one."""
    made, other = linked(version, protocol)
    none = b"\0" if version == mqtt.V5 else b""
    other.send(mqtt._packet(0x34, b"\0\1a\0\1" + none + b"x"))
    assert made.loop_read() == paho.MQTT_ERR_PROTOCOL
    assert "QoS 2" in made.broken and not made._in_messages and made.socket() is None


@both
def test_a_broker_that_does_not_read_is_left(version: int, protocol: MQTTProtocolVersion) -> None:
    from agent.port.cpython import link

    made, other = linked(version, protocol)
    made._out_packet.extend({} for _ in range(link.UNSENT_MAX))  # type: ignore[misc]
    other.send(mqtt._packet(0x30, b"\0\1a" + (b"\0" if version == mqtt.V5 else b"") + b"x"))
    assert made.loop_read() == paho.MQTT_ERR_PROTOCOL and "does not read" in made.broken


def linked(version: int, protocol: MQTTProtocolVersion) -> Any:
    """Our client after CONNACK, and the broker's end of its socket."""
    from agent.port.cpython import link

    clean = None if version == mqtt.V5 else True
    made = link._Client(CallbackAPIVersion.VERSION2, "x", clean, protocol=protocol)
    mine, other = socket.socketpair()
    mine.setblocking(False)
    made.made_socket, made.packet_bytes_max = mine, BYTES_MAX  # type: ignore[assignment]
    made.connect("x", 1, 60)
    other.send(b"\x20\2\0\0" if version == mqtt.V311 else b"\x20\3\0\0\0")
    assert made.loop_read() == paho.MQTT_ERR_SUCCESS
    return made, other
