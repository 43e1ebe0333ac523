"""The machine that keeps a device reachable, against a router of a few lines."""

import struct

from agent.core.relay import reach as module
from agent.core.relay.reach import Lost, Mapped, Reach
from agent.core.relay.router import PORT_LOW
from agent.errors import PeerError, UsageError
from agent.wire import portmap
from tests.expect import raises

OWN, GATEWAY, HOME = b"\xc0\xa8\x07\x02", "192.168.7.1", b"\x0b\x16\x21\x01"
NONCE = b"n" * 12
WANTS = [(17, 3478), (6, 3479)]
ASKED = (17, GATEWAY, 5351)
FOUND = b"HTTP/1.1 200 OK\r\nLOCATION: http://192.168.7.1:80/d\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n\r\n"
DESCRIPTION = OK + b"urn:schemas-upnp-org:service:WANIPConnection:1</serviceType><controlURL>/c</controlURL></service>"


class Router:
    """Answers what it serves; `faults`: SOAP action -> codes, one for each call."""

    def __init__(self, serves):
        self.serves, self.address, self.epoch_s, self.lifetime_s = serves, HOME, 100, 7200
        self.mapped = {}
        self.faults = {}
        self.calls = []
        self.bodies = []
        self.client = b"192.168.7.2"
        self.result = self.at_ms = self.refusal = 0

    def answer(self, data, destination):
        if destination[0] == 6:
            return self.call(data)
        if destination[2] == 1900:
            return FOUND if "UPnP" in self.serves else None
        if data[0] == 2 and "PCP" in self.serves:
            port = struct.unpack(">H", data[40:42])[0]
            self.keep((data[36], port), struct.unpack(">I", data[4:8])[0])
            head = struct.pack(">BBBBII", 2, 0x81, 0, self.result, self.lifetime_s, self.epoch_s) + bytes(12)
            return head + data[24:44] + bytes(10) + b"\xff\xff" + self.address
        if data[0] == 0 and "NAT-PMP" in self.serves:
            head = struct.pack(">BBHI", 0, data[1] | 0x80, self.result, self.epoch_s)
            if data[1] == 0:
                return head + self.address
            if self.refusal:
                return struct.pack(">BBHI", 0, data[1] | 0x80, self.refusal, self.epoch_s) + data[4:]
            port, _, lifetime_s = struct.unpack(">HHI", data[4:])
            self.keep((17 if data[1] == 1 else 6, port), lifetime_s)
            return head + struct.pack(">HHI", port, port, self.lifetime_s)
        return None

    def keep(self, want, lifetime_s):
        if lifetime_s:
            self.mapped[want] = True
        else:
            self.mapped.pop(want, None)

    def call(self, data):
        if data.startswith(b"GET"):
            return DESCRIPTION
        action = data.split(b"#")[1].split(b'"')[0].decode()
        self.calls.append(action)
        self.bodies.append(data)
        codes = self.faults.get(action)
        code = codes.pop(0) if codes else 0
        if code:
            return f"HTTP/1.1 500 No\r\n\r\n<errorCode>{code}</errorCode>".encode()
        if action == "GetExternalIPAddress":
            text = ".".join([str(each) for each in self.address])
            return OK + f"<NewExternalIPAddress>{text}</NewExternalIPAddress>".encode()
        return OK + b"<NewInternalClient>" + self.client + b"</NewInternalClient>"


def made(wants=None):
    reach = Reach(lambda length: bytes(range(1, length + 1)), NONCE, wants or WANTS, 7200)
    reach.set_network(OWN, GATEWAY, 0)
    return reach


def carry(reach, router, now):
    """Until nothing is asked any more; the events."""
    reach.wake(now)
    for _ in range(2000):
        for data, destination in reach.drain_outgoing():
            answer = router.answer(data, destination)
            source = (17, GATEWAY, 1900) if destination[1][:4] == "239." else destination
            if answer is not None and reach.is_asking:
                reach.receive(answer, source, now)
        if reach.is_asking and not reach.outgoing:
            now = reach.wake_at
            reach.wake(now)
        if not reach.is_asking and not reach.outgoing:
            return reach.drain_events()
    raise AssertionError("it asks for ever")


def test_each_method_is_tried_in_its_order():
    for serves, name in (
        (("PCP", "NAT-PMP", "UPnP"), "PCP"),
        (("NAT-PMP", "UPnP"), "NAT-PMP"),
        (("UPnP",), "UPnP"),
    ):
        reach, router = made(), Router(serves)
        assert reach.state == "trying" and reach.external(17, 3478) is None
        events = carry(reach, router, 0)
        assert events == [Mapped(17, 3478, (HOME, 3478), 7200), Mapped(6, 3479, (HOME, 3479), 7200)], events
        assert reach.state == "mapped"
        assert reach.sentence == "the router maps ports of 11.22.33.1 to this device by " + name
        assert reach.external(6, 3479) == (HOME, 3479) and reach.external(6, 3478) is None


def test_nobody_answers():
    reach = made()
    assert carry(reach, Router(()), 0) == []
    assert reach.state == "blocked" and "switch on UPnP or NAT-PMP" in reach.sentence
    pause = reach.wake_at
    assert pause > 1000
    assert carry(reach, Router(("NAT-PMP",)), pause) != [] and reach.state == "mapped"


def test_without_a_router():
    reach = made()
    reach.set_network(OWN, "", 0)
    assert reach.wake_at is None and reach.state == "blocked" and reach.sentence == "there is no router"


def test_renewal_at_half_of_the_lifetime_and_expiry():
    reach, router = made(), Router(("PCP",))
    router.lifetime_s = 100
    carry(reach, router, 0)
    assert reach.wake_at == 50_000
    router.epoch_s += 50
    assert carry(reach, router, 50_000) == [] and reach.wake_at == 100_000
    router.serves = ()
    now = 100_000
    while reach.state == "mapped" and now < 400_000:
        events = carry(reach, router, now)
        now = max(now, reach.wake_at)
    assert sorted(events) == [Lost(6, 3479), Lost(17, 3478)], events
    assert 150_000 <= now <= 170_000 and reach.state == "blocked"


def later(reach, router):
    """The next round; the router's clock goes on as ours."""
    router.epoch_s += (reach.wake_at + 500) // 1000 - (router.at_ms + 500) // 1000
    router.at_ms = reach.wake_at
    return carry(reach, router, reach.wake_at)


def test_a_router_that_restarts():
    for name in ("PCP", "NAT-PMP"):
        reach, router = made(), Router((name,))
        carry(reach, router, 0)
        router.mapped = {}
        later(reach, router)
        assert len(router.mapped) == (1 if name == "PCP" else 0), "nothing was due but PCP's look"
        router.epoch_s = -50
        assert later(reach, router) == []
        assert sorted(router.mapped) == sorted(WANTS)
    reach, router = made(), Router(("UPnP",))
    carry(reach, router, 0)
    router.calls = []
    later(reach, router)
    assert router.calls == ["GetExternalIPAddress", "GetSpecificPortMappingEntry"]
    router.faults = {"GetSpecificPortMappingEntry": [714]}
    later(reach, router)
    assert router.calls[-2:] == ["AddPortMapping", "AddPortMapping"]
    router.client = b"192.168.7.3"
    later(reach, router)
    assert router.calls[-3:] == ["GetSpecificPortMappingEntry", "AddPortMapping", "AddPortMapping"]


def test_another_external_address():
    for name in ("PCP", "NAT-PMP", "UPnP"):
        reach, router = made(), Router((name,))
        carry(reach, router, 0)
        router.address = b"\x0b\x16\x21\x02"
        events = later(reach, router)
        assert sorted([event.port for event in events]) == [3478, 3479]
        assert reach.state == "mapped" and reach.external(17, 3478) == (router.address, 3478)


def test_an_address_that_is_not_public():
    for name in ("PCP", "NAT-PMP", "UPnP"):
        for address in (b"\x64\x40\0\1", b"\x0a\0\0\1", bytes(4)):
            reach, router = made(), Router((name,))
            router.address = address
            assert carry(reach, router, 0) == []
            assert reach.state == "blocked" and "no public address of its own" in reach.sentence
            assert router.mapped == {} and reach.wake_at > 0
            router.address = HOME
            carry(reach, router, reach.wake_at)
            assert reach.state == "mapped"
    reach, router = made(), Router(("NAT-PMP",))
    router.result, router.address = portmap.NO_ADDRESS, bytes(4)
    carry(reach, router, 0)
    assert "(0.0.0.0)" in reach.sentence


def test_refusals():
    reach, router = made(), Router(("PCP", "NAT-PMP"))
    router.result = 2
    carry(reach, router, 0)
    assert reach.sentence == "the router refuses to map ports (NAT-PMP: result 2)"
    reach, router = made(), Router(("UPnP",))
    router.faults = {"AddPortMapping": [718, 725, 0, 606]}
    carry(reach, router, 0)
    assert reach.state == "mapped" and reach.external(6, 3479) is None, "one was refused, the other stays"
    assert reach.external(17, 3478)[1] == PORT_LOW + 0x0102
    leases = [body.split(b"LeaseDuration>")[1] for body in router.bodies if b"LeaseDuration" in body]
    assert leases == [b"7200</New", b"7200</New", b"0</New", b"0</New"], leases


def test_the_address_of_a_router_that_maps_nothing():
    """It is no peer for anybody (policy.py): known, and followed, whatever the router refuses."""
    for name in ("PCP", "NAT-PMP", "UPnP"):
        reach, router = made(), Router(("NAT-PMP", name))
        router.refusal, router.faults = 2, {"AddPortMapping": [606] * 9}
        if name == "UPnP":
            router.serves = ("UPnP",)
        carry(reach, router, 0)
        assert (reach.state, reach.router_ip) == ("blocked" if name != "PCP" else "mapped", HOME)
        router.address = b"\x0b\x16\x21\x02"
        carry(reach, router, reach.wake_at)
        assert reach.router_ip == router.address
        router.serves = ()
        carry(reach, router, reach.wake_at)
        assert reach.router_ip == router.address, "it is silent, but it may be there"
        reach.set_network(OWN, "192.168.7.9", 0)
        assert reach.router_ip == b"", "another router"


def test_removal():
    for name in ("PCP", "NAT-PMP", "UPnP"):
        reach, router = made(), Router((name,))
        carry(reach, router, 0)
        reach.stop()
        for data, destination in reach.drain_outgoing():
            router.answer(data, destination)
        if name == "UPnP":
            assert router.calls[-2:] == ["DeletePortMapping", "DeletePortMapping"]
        assert name == "UPnP" or router.mapped == {}
        assert reach.wake_at is None and reach.drain_events() == [Lost(6, 3479), Lost(17, 3478)]


def test_what_nobody_asked_for_changes_nothing():
    reach = made()
    reach.wake(0)
    data, destination = reach.drain_outgoing()[0]
    good = Router(("PCP",)).answer(data, destination)
    before = reach.wake_at
    for source in ((17, "192.168.7.9", 5351), (17, GATEWAY, 5352), (6, GATEWAY, 5351)):
        assert raises(PeerError, reach.receive, good, source, 0).code == "reach"
    for bad in (good[:24] + b"m" * 12 + good[36:], good[:37] + good[36:-1], b"", good[:4] + bytes(4) + good[8:]):
        raises(PeerError, reach.receive, bad, ASKED, 0)
    assert reach.wake_at == before and reach.outgoing == [] and reach.events == [] and reach.is_asking
    reach.receive(good, ASKED, 0)
    assert reach.events == [Mapped(17, 3478, (HOME, 3478), 7200)]
    reach.stop()
    raises(PeerError, reach.receive, good, ASKED, 0)


def test_a_router_whose_address_flaps_is_asked_once_a_round():
    reach, router = made(), Router(("PCP",))
    carry(reach, router, 0)
    count = [100]
    plain = router.answer

    def flapping(data, destination):
        count[0] += 1
        router.address = bytes([11, 22, 33, count[0] & 255])
        return plain(data, destination)

    router.answer = flapping
    router.epoch_s += 60
    carry(reach, router, 60_000)
    assert 101 < count[0] <= 101 + len(WANTS)


def test_bounds():
    assert raises(UsageError, made, [(17, port) for port in range(module.WANTS_MAX + 1)]).code == "reach"
    reach, router = made([(17, 5000 + each) for each in range(module.WANTS_MAX)]), Router(("PCP",))
    carry(reach, router, 0)
    assert len(router.mapped) == module.WANTS_MAX


def pinholes(external):
    """(machine for an address of IPv6 after a round with a router that says `external`, where it asked)."""
    own, gateway, asked = b"\x26" + bytes(14) + b"\2", "fe80::1%eth0", set()
    reach = Reach(lambda length: bytes(range(1, length + 1)), NONCE, WANTS, 7200)
    reach.set_network(own, gateway, 0)
    reach.wake(0)
    while reach.is_asking:
        for data, destination in reach.drain_outgoing():
            asked.add(destination)
            assert data[0] == 2 and data[8:24] == own and len(data) == 60
            head = struct.pack(">BBBBII", 2, 0x81, 0, 0, 7200, 100) + bytes(12)
            try:
                reach.receive(head + data[24:44] + external, (17, "fe80::1", 5351), 0)
            except PeerError as error:
                assert error.code == "reach"
        if reach.is_asking and not reach.outgoing:
            reach.wake(reach.wake_at)
    assert asked == {(17, gateway, 5351)}, "neither NAT-PMP nor UPnP"
    return reach


def test_pinholes_for_ipv6_by_pcp_alone():
    """The router's answers come without the zone of its address; an IPv4 address is no answer, and the other way."""
    own = b"\x26" + bytes(14) + b"\2"
    reach = pinholes(own)
    assert reach.state == "mapped" and reach.external(17, 3478) == (own, 3478)
    reach.stop()
    assert [(data[4:8], where[1]) for data, where in reach.drain_outgoing()] == [(bytes(4), "fe80::1%eth0")] * 2
    reach = pinholes(bytes(10) + b"\xff\xff" + HOME)
    assert reach.state == "blocked" and reach.sentence == module.NO_ANSWER
    reach = made()
    reach.wake(0)
    data, destination = reach.drain_outgoing()[0]
    answer = Router(("PCP",)).answer(data, destination)[:44] + own
    assert raises(PeerError, reach.receive, answer, destination, 0).code == "reach" and reach.router_ip == b""
