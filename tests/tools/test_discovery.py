"""The core's browser under a flood and under malice, and the gate in front of zeroconf. No traffic but its own queries:
what others say is handed to zeroconf's protocol as if it had come from loopback."""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable

import pytest

from agent.port.cpython.announce import HEARD_MAX, Announcer
from agent.port.cpython.gate import Neighbourhood, ask_group
from agent.port.micropython import dns
from agent.port.micropython.records import Names, Records, goodbye
from agent.port.options import Service
from tools.gateway.pairing import discovery
from tools.gateway.pairing.discovery import Browser, clean, core_service

KIND = dns.pack_name(["_corelet", "_tcp", "local"])
LOCAL = ("127.0.0.1", 5353)
FLOOD = 600


def says(instance: str, number: int = 7411, txt: list[tuple[str, str]] | None = None, address: bytes = b"") -> Records:
    service = Service("_corelet._tcp", instance, f"box-{number}", number, [], txt or [("txtvers", "1"), ("d", "9")], [])
    return Records(service, Names(instance, service.host), [address or b"\x7f\x00\x00\x01"])


def hear(browser: Browser, data: bytes) -> None:
    assert browser._announcer is not None and browser._announcer.zeroconf is not None
    reader = browser._announcer.zeroconf.zeroconf.engine.readers[0]
    reader.transport.get_protocol().datagram_received(data, LOCAL)


def browsing(body: Callable[[Browser], Awaitable[None]], core: Service | None = None) -> None:
    async def main() -> None:
        browser = Browser(["127.0.0.1"], core)
        await browser.start()
        try:
            await body(browser)
        finally:
            await browser.close()

    asyncio.run(main())


def ours(browser: Browser, mark: str) -> list[discovery.Found]:
    """Without the devices of other tests on this loopback."""
    return [each for each in browser.found() if mark in each.instance]


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("Attic Pi", "Attic Pi"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07x", "x"),
        ("\x9b2Jx", "x"),
        ("a\r\nb\x00\x7f", "ab"),
        ("<script>alert(1)</script>", "alert(1)"),
        ('"><img src=x onerror=y', "img src=x onerror=y"),
        ("Tom's & Ann's", "Tom\u2019s  Ann\u2019s"),
        ("abc\u202egnp.exe\u200b", "abcgnp.exe"),
        ("é" * 200, "é" * 64),
    ],
)
def test_names_are_harmless(raw: str, shown: str) -> None:
    assert clean(raw) == shown


def test_any_name_is_harmless() -> None:
    chance = random.Random(27)
    for _ in range(20_000 if os.environ.get("CORELET_FULL") == "1" else 2_000):
        text = "".join([chr(chance.choice((27, 91, 60, 62, 38, chance.randrange(0xD7FF)))) for _ in range(80)])
        shown = clean(text)
        assert len(shown) <= 64 and shown.isprintable() and not set(shown) & set("<>&\"'`\x1b\\")
        assert clean(shown) == shown


def test_a_device_is_found_and_lost() -> None:
    async def body(browser: Browser) -> None:
        records = says("Found One", 7411, [("txtvers", "1"), ("d", "517"), ("nm", "<b>Attic\x1b[1m")])
        hear(browser, records.response({0}))
        await asyncio.sleep(0.1)
        (found,) = ours(browser, "Found One")
        assert (found.host, found.addresses, found.port) == ("box-7411.local", ["127.0.0.1"], 7411)
        assert found.txt == {"txtvers": "1", "d": "517", "nm": "Attic"}
        assert found in browser.by_discriminator(517)
        hear(browser, goodbye(records.all[:3]))
        await asyncio.sleep(1.5)
        assert not ours(browser, "Found One")

    browsing(body)


def test_a_flood_is_bounded_and_a_real_device_still_gets_in() -> None:
    async def body(browser: Browser) -> None:
        for number in range(FLOOD):
            hear(browser, says(f"Fake {number}", 1000 + number).response({0}))
            if number % 50 == 0:
                await asyncio.sleep(0)
        for number in range(FLOOD + 500):  # pointers to nothing, which have to be asked for
            name = dns.pack_name([f"Ghost {number}", "_corelet", "_tcp", "local"])
            pointer = dns.Record(KIND, dns.PTR, dns.IN, False, 20, name)
            hear(browser, dns.encode(dns.Message(0, dns.RESPONSE, [], [pointer], [], [])))
        await asyncio.sleep(0.5)
        assert len(browser._found) == discovery.FOUND_MAX and len(browser._resolving) <= discovery.FOUND_MAX
        hear(browser, says("Real Device").response({0}))
        await asyncio.sleep(0.3)
        assert len(ours(browser, "Real Device")) == 1 and len(browser.found()) <= discovery.FOUND_MAX

    browsing(body)


def test_addresses_that_are_none_are_not_offered() -> None:
    async def body(browser: Browser) -> None:
        for number, address in enumerate((b"\x00" * 4, b"\xe0\x00\x00\xfb", b"\xff" * 4, b"\xff\x02" + b"\x01" * 14)):
            hear(browser, says(f"Nowhere {number}", 1 + number, address=address).response({0}))
        await asyncio.sleep(0.2)
        assert not ours(browser, "Nowhere")

    browsing(body)


def test_garbage_does_not_stop_it() -> None:
    async def body(browser: Browser) -> None:
        chance = random.Random(53)
        good = says("Garbage").response({0})
        for _ in range(3000):
            data = bytearray(good)
            for _ in range(chance.randrange(1, 6)):
                data[chance.randrange(2, len(data))] = chance.randrange(256)
            hear(browser, bytes(data))
        hear(browser, says("After Garbage").response({0}))
        await asyncio.sleep(0.2)
        assert ours(browser, "After Garbage")

    browsing(body)


def test_the_core_is_announced() -> None:
    service = core_service("00112233aabbccdd", f"Core {os.getpid()}", 8883)
    assert service.host == "corelet-core-00112233" and ("id", "00112233aabbccdd") in service.txt

    async def body(browser: Browser) -> None:
        assert browser._announcer is not None and browser._announcer.zeroconf is not None
        types = browser._announcer.zeroconf.zeroconf.registry.async_get_types()
        assert types == ["_corelet-core._tcp.local."]

    browsing(body, service)


def test_subtypes_are_no_types() -> None:
    async def main() -> None:
        service = Service("_corelet._tcp", f"Sub {os.getpid()}", "sub", 1, ["127.0.0.1"], [("txtvers", "1")], ["_pair"])
        announcer = Announcer(service)
        await announcer.start()
        try:
            assert announcer.zeroconf is not None
            registry = announcer.zeroconf.zeroconf.registry
            assert registry.async_get_types() == ["_corelet._tcp.local."]
            assert len(registry.async_get_infos_type("_pair._sub._corelet._tcp.local.")) == 1
            await announcer.update([("txtvers", "1")], ["_d5"])
            assert not registry.async_get_infos_type("_pair._sub._corelet._tcp.local.")
            assert len(registry.async_get_infos_type("_d5._sub._corelet._tcp.local.")) == 1
        finally:
            await announcer.close()

    asyncio.run(main())


def gate(hears_all: bool = False) -> Neighbourhood:
    place = Neighbourhood(hears_all)
    place.settle([("eth0", "192.168.1.7", 24), ("eth0", "fd00::7", 64)], ["Attic", "box", "_corelet"])
    return place


def test_the_gate_knows_neighbours() -> None:
    data = b"\x00" * 12
    for host in ("192.168.1.9", "::ffff:192.168.1.9", "fd00::1", "fe80::1%eth0", "169.254.3.4", "192.168.1.7"):
        assert gate().admit(data, host) == data
    for host in ("192.168.2.9", "8.8.8.8", "::ffff:8.8.8.8", "2001:db8::1"):
        assert gate().admit(data, host) == b""
    assert gate().admit(b"\x00" * 11, "192.168.1.9") == b""


def test_the_gate_drops_what_does_not_concern_us() -> None:
    concerning, other = says("ATTIC").response({1}), b"\x00\x00\x84\x00" + b"\x00" * 8 + b"\x05cella\x00"
    assert gate().admit(concerning, "192.168.1.9") == concerning
    assert gate().admit(other, "192.168.1.9") == b"" and gate(True).admit(other, "192.168.1.9") == other


def test_a_device_keeps_next_to_nothing_of_what_is_said_about_it() -> None:
    """Each with a name of its own, a long text and a long life, and our word in it."""

    async def main() -> None:
        service = Service("_corelet._tcp", f"Quiet {os.getpid()}", "quiet", 1, ["127.0.0.1"], [("txtvers", "1")], [])
        announcer = Announcer(service)
        await announcer.start()
        try:
            assert announcer.zeroconf is not None
            inner = announcer.zeroconf.zeroconf
            protocol = inner.engine.readers[0].transport.get_protocol()
            for number in range(FLOOD):
                owner = dns.pack_name([f"invented-{number}", "_corelet", "_tcp", "local"])
                text = dns.Record(owner, dns.TXT, dns.IN, False, 4500, bytes([255]) + bytes(255))
                protocol.datagram_received(dns.encode(dns.Message(0, dns.RESPONSE, [], [text], [], [])), LOCAL)
                assert sum(map(len, inner.cache.cache.values())) <= HEARD_MAX
            assert len(inner.cache._expire_heap) <= 4 * HEARD_MAX
        finally:
            await announcer.close()

    asyncio.run(main())


def test_queries_of_this_machine_ask_the_group() -> None:
    question = dns.Question(KIND, dns.PTR, dns.IN, True)
    message = dns.Message(0, 0, [question, question], [], [], [])
    data = dns.encode(message)
    assert gate().admit(data, "192.168.1.9") == data
    asked = dns.decode(gate().admit(data, "192.168.1.7"))
    assert [each.unicast for each in asked.questions] == [False, False]
    for length in range(12, len(data)):
        assert ask_group(data[:length]) == data[:length]
    chance = random.Random(3)
    for _ in range(2000):
        noise = chance.randbytes(chance.randrange(12, 60))
        assert len(ask_group(noise)) == len(noise)


def test_the_goodbye_of_a_subtype_is_not_the_devices() -> None:
    async def body(browser: Browser) -> None:
        records = says("Subtle One", 7415, [("txtvers", "1"), ("d", "9"), ("ps", "1")])
        hear(browser, records.response({0}))
        await asyncio.sleep(0.1)
        assert len(ours(browser, "Subtle One")) == 1
        subtype = dns.pack_name(["_pair", "_sub", "_corelet", "_tcp", "local"])
        pointer = dns.Record(
            subtype, dns.PTR, dns.IN, False, 0, dns.pack_name(["Subtle One", "_corelet", "_tcp", "local"])
        )
        for _ in range(2):
            hear(browser, dns.encode(dns.Message(0, dns.RESPONSE, [], [pointer], [], [])))
            await asyncio.sleep(1.2)
        assert len(ours(browser, "Subtle One")) == 1

    browsing(body)


def test_a_newcomer_is_not_shut_out_by_inventions_on_one_host() -> None:
    async def body(browser: Browser) -> None:
        hear(browser, says("Honest", 7416, None, b"\x7f\x00\x00\x09").response({0}))
        for number in range(discovery.FOUND_MAX * 2):
            hear(browser, says(f"Invented {number}", 1000 + number).response({0}))
        await asyncio.sleep(0.3)
        assert len(ours(browser, "Honest")) == 1 and len(browser._found) <= discovery.FOUND_MAX

    browsing(body)


def test_a_device_that_changed_its_name_is_there_once_and_two_of_a_name_are_two() -> None:
    async def body(browser: Browser) -> None:
        for name, number, own in (("Twin", 7417, "aa"), ("Twin-2", 7417, "aa"), ("Twin-3", 7418, "bb")):
            txt = [("txtvers", "1"), ("d", "9"), ("id", own), ("nm", "Twin")]
            hear(browser, says(name, number, txt).response({0}))
        await asyncio.sleep(0.2)
        assert sorted(each.port for each in ours(browser, "Twin")) == [7417, 7418]

    browsing(body)


def test_who_borrows_anothers_id_takes_nothing_from_it() -> None:
    """An id, a version or a name in TXT is what anybody may say: both are there, each at the address it came from."""

    async def body(browser: Browser) -> None:
        true = [("txtvers", "1"), ("id", "aa"), ("d", "9"), ("fw", "0.1"), ("ps", "1")]
        lie = [("txtvers", "1"), ("id", "aa"), ("d", "9"), ("fw", "99.0"), ("ps", "2")]
        hear(browser, says("Borrowed", 7419, true).response({0}))
        hear(browser, says("Borrowed Too", 7420, lie).response({0}))
        await asyncio.sleep(0.2)
        found = {each.port: each.txt["fw"] for each in ours(browser, "Borrowed")}
        assert found == {7419: "0.1", 7420: "99.0"}
        assert {each.port for each in browser.by_discriminator(9)} >= {7419, 7420}

    browsing(body)
