"""MQTT packets byte by byte, and everything that no broker may send to us."""

from agent.errors import PeerError, UsageError
from agent.port.micropython import mqtt
from agent.port.options import LinkOptions
from tests.expect import raises

OPTIONS = LinkOptions("h", 1, "n", b"", b"", b"", "ab", 60, "c1/x", b"gone", 4608)
V4, V5 = mqtt.V311, mqtt.V5


def packets(data: bytes, version: int = V4, bytes_max: int = 512) -> list:
    decoder = mqtt.Decoder(bytes_max)
    decoder.version = version
    return decoder.feed(data)


def test_connect() -> None:
    assert mqtt.encode_connect(OPTIONS, V4) == b"\x10\x1a\0\4MQTT\x04\x2e\0\x3c\0\2ab\0\4c1/x\0\4gone"
    assert mqtt.encode_connect(OPTIONS, V5) == (
        b"\x10\x24\0\4MQTT\x05\x2e\0\x3c\x08\x21\0\x10\x27\0\0\x12\0\0\2ab\0\0\4c1/x\0\4gone"
    )
    quiet = LinkOptions("h", 1, "n", b"", b"", b"", "ab", 60, "", b"", 4608)
    assert mqtt.encode_connect(quiet, V4) == b"\x10\x0e\0\4MQTT\x04\x02\0\x3c\0\2ab"


def test_publish_goes_both_ways() -> None:
    for version in (V4, V5):
        for qos, packet_id in ((0, 0), (1, 7), (1, 65535)):
            for payload in (b"", b"x", b"y" * 200):
                for retain in (False, True):
                    message = mqtt.Publish("c1/a/up/é", payload, qos, retain, packet_id)
                    assert packets(mqtt.encode_publish(message, version), version) == [message]


def test_the_other_packets_we_send() -> None:
    assert mqtt.encode_subscribe(5, "a/b", V4) == b"\x82\x08\0\5\0\3a/b\1"
    assert mqtt.encode_subscribe(5, "a/b", V5) == b"\x82\x09\0\5\0\0\3a/b\1"
    assert mqtt.encode_puback(258) == b"\x40\2\1\2"
    assert (mqtt.PINGREQ, mqtt.GOODBYE) == (b"\xc0\0", b"\xe0\0")


def test_topics_that_cannot_be_sent() -> None:
    for topic in ("", "a/+", "#", "a\0b", "x" * 129):
        assert raises(UsageError, mqtt.encode_publish, mqtt.Publish(topic, b"", 0, False, 0), V4).code == "mqtt"


def test_what_a_broker_sends() -> None:
    for version, data, packet in (
        (V4, b"\x20\2\0\0", mqtt.Connack(0, 0, {})),
        (V4, b"\x20\2\0\5", mqtt.Connack(5, 0, {})),
        (V5, b"\x20\2\0\1", mqtt.Connack(1, 0, {})),  # a 3.1.1 broker that knows no 5
        (V5, b"\x20\3\0\0\0", mqtt.Connack(0, 0, {})),
        (V5, b"\x20\x0b\0\0\x08\x13\0\x1e\x27\0\0\x10\0", mqtt.Connack(0, 0, {19: 30, 39: 4096})),
        (V5, b"\x20\x0d\0\x87\x0a\x26\0\1a\0\1b\x1f\0\0", mqtt.Connack(0x87, 0, {31: b""})),
        (V4, b"\x40\2\0\1", mqtt.Puback(1, 0)),
        (V5, b"\x40\2\0\1", mqtt.Puback(1, 0)),
        (V5, b"\x40\3\0\1\x10", mqtt.Puback(1, 16)),
        (V5, b"\x40\4\0\1\x87\0", mqtt.Puback(1, 0x87)),
        (V4, b"\x90\3\0\1\1", mqtt.Suback(1, b"\1")),
        (V4, b"\x90\4\0\1\x80\0", mqtt.Suback(1, b"\x80\0")),
        (V5, b"\x90\4\0\1\0\x87", mqtt.Suback(1, b"\x87")),
        (V4, b"\xd0\0", mqtt.Pingresp(0)),
        (V5, b"\xe0\0", mqtt.Disconnect(0)),
        (V5, b"\xe0\1\x8e", mqtt.Disconnect(0x8E)),
        (V5, b"\x30\x07\0\1a\2\1\1x", mqtt.Publish("a", b"x", 0, False, 0)),  # payload format indicator
    ):
        assert packets(data, version) == [packet], data


def test_what_no_broker_may_send() -> None:
    for data in (
        b"\x21\2\0\0",  # reserved flags
        b"\x20\2\2\0",  # CONNACK flags
        b"\x20\2\1\5",  # a session present in a refusal
        b"\x20\1\0",
        b"\x20\3\0\0\0",
        b"\x40\2\0\0",  # packet identifier 0
        b"\x40\3\0\1\0",
        b"\x90\2\0\1",  # no code
        b"\x32\5\0\1a\0\0",  # QoS 1 without an identifier
        b"\x34\5\0\1a\0\1",  # QoS 2
        b"\x36\5\0\1a\0\1",  # QoS 3
        b"\x38\3\0\1a",  # repeated at QoS 0
        b"\x30\2\0\0",  # no topic
        b"\x30\3\0\2a",  # topic longer than the packet
        b"\x30\4\0\2a\0",
        b"\x30\4\0\2a#",
        b"\x30\3\0\1+",
        b"\x30\4\0\2\xc3\x28",  # no UTF-8
        b"\x30\x83\1\0\x81" + b"a" * 129,  # topic too long
        b"\xd0\1\0",
        b"\xe0\0",  # DISCONNECT from a 3.1.1 broker
        b"\x10\0",
        b"\x50\2\0\1",
        b"\xf0\0",
        b"\0\0",
        b"\xd0\x80\0",  # a length longer than needed
        b"\x30\xff\xff\xff\xff\x7f",  # more than four bytes of length
        b"\x30\xff\xff\xff\x7f",  # 256 MiB
        b"\x30\x81\x04",  # one more than the bound
        b"\xff" * 64,
    ):
        assert raises(PeerError, packets, data, V4).code == "mqtt", data


def test_what_no_broker_may_send_in_5() -> None:
    for data in (
        b"\x34\6\0\1a\0\1\0",  # QoS 2
        b"\x20\4\0\0\0\0",
        b"\x30\7\0\1a\3\x23\0\1",  # topic alias
        b"\x20\5\0\0\1\x24\1",  # a property longer than the properties
        b"\x20\6\0\0\2\x24\1\0",  # a byte after them
        b"\x20\7\0\0\4\x24\1\x24\1",  # one twice
        b"\x20\5\0\0\2\x7f\1",  # unknown
        b"\x20\4\0\0\1\x13",  # cut
        b"\x20\4\0\0\x80\0",  # a length longer than needed
        b"\x20\x06\0\0\3\x26\0\5",  # a pair longer than the packet
        b"\xf0\2\0\0",  # AUTH
    ):
        assert raises(PeerError, packets, data, V5).code == "mqtt", data


def test_property_counts_are_bounded() -> None:
    pair = b"\x26\0\0\0\0"
    for count, is_good in ((mqtt.PROPERTIES_MAX, True), (mqtt.PROPERTIES_MAX + 1, False)):
        properties = pair * count
        length = len(properties)
        body = b"\0\0" + bytes((length & 127 | 128, length >> 7)) + properties
        data = b"\x20" + bytes((len(body) & 127 | 128, len(body) >> 7)) + body
        if is_good:
            assert packets(data, V5) == [mqtt.Connack(0, 0, {})]
        else:
            assert raises(PeerError, packets, data, V5).code == "mqtt"


def test_a_stream_may_be_cut_anywhere() -> None:
    data = b"\x20\2\0\0" + mqtt.encode_publish(mqtt.Publish("a/b", b"z" * 150, 1, False, 3), V4) + b"\xd0\0\x40\2\0\1"
    whole = packets(data)
    assert len(whole) == 4
    for step in (1, 2, 3, 7, 50):
        decoder = mqtt.Decoder(512)
        found = []
        for at in range(0, len(data), step):
            found += decoder.feed(data[at : at + step])
        assert found == whole
    assert packets(data[:-1]) == whole[:3]
