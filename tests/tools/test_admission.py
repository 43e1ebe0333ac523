"""Pairing tries each device that may be meant, in a good order, and leaves nothing behind when it fails."""

import asyncio
from types import SimpleNamespace

import pytest

from agent.errors import CoreletError, PortError, TrustError, UsageError
from tools.gateway import admission, pairing
from tools.gateway.admission import Admission, Parts, Wanted, parse_address
from tools.gateway.fleet import Fleet
from tools.gateway.registry import Registry

CODE = "98YT-PG82-QG8B"


class World:
    """Everything around admission, made up; `calls` tells what was done in which order."""

    def __init__(self, folder, found=(), is_connecting=True):
        self.calls = []
        self.registry = Registry(folder)
        self.fleet = Fleet(self.registry, lambda device: None)
        self.is_connecting = is_connecting
        browser = SimpleNamespace(by_discriminator=lambda number: list(found))
        ca = SimpleNamespace(revoke=lambda serial: self.calls.append(("revoke", serial)))
        broker = SimpleNamespace(allow=self.told("allow"), forbid=self.told("forbid"), endpoints=list)
        links = SimpleNamespace(sessions=dict, wait_up=self.wait_up, command=self.told("command"))
        self.admission = Admission(Parts(ca, broker, links, lambda: browser, self.registry, self.fleet, "home"))
        self.steps = []

    def told(self, name):
        async def call(*arguments):
            self.calls.append((name, *arguments[:2]))

        return call

    async def wait_up(self, device, timeout_s, old=None):
        if not self.is_connecting:
            raise PortError("timeout", "it did not connect")

    def pair(self, wanted):
        return asyncio.run(self.admission.pair(wanted, lambda step, detail: self.steps.append(step)))


def announced(name, port, status="1"):
    return SimpleNamespace(instance=name, addresses=["127.0.0.1"], port=port, txt={"ps": status, "nm": name})


@pytest.fixture
def devices(monkeypatch):
    """Port -> whether the device there knows the code."""
    known = {}

    async def pair(address, code, ca, offer, progress):
        if not known[address[1]]:
            raise TrustError("code", "another code")
        await offer.admit(f"{address[1]:016x}", 5)
        progress("proven", "")
        progress("issued", "")
        progress("accepted", "")
        return SimpleNamespace(
            device_id=f"{address[1]:016x}", public=b"", serial=5, link_secret=b"s", board="b", name="d", fw="1"
        )

    monkeypatch.setattr(pairing, "pair", pair)
    monkeypatch.setattr(admission, "FIND_S", 0.3)
    return known


def test_steps_in_order(tmp_path, devices):
    devices[1001] = True
    world = World(tmp_path, [announced("attic", 1001)])
    device = world.pair(Wanted(CODE, "", "", "loft"))
    assert world.steps == ["found", "code proven", "identity issued", "time set", "connected"]
    assert (device.name, device.state) == ("loft", "paired") and world.registry.devices() == [device]
    assert [call[0] for call in world.calls] == ["allow", "command"] and world.calls[1][2] == "bound"


def test_the_next_device_with_the_same_discriminator_is_tried(tmp_path, devices):
    devices.update({1001: False, 1002: False, 1003: True})
    found = [announced("owned", 1001, "2"), announced("other", 1002), announced("mine", 1003)]
    world = World(tmp_path, found)
    assert world.pair(Wanted(CODE, "", "", "")).id == f"{1003:016x}"
    assert world.steps.count("found") == 2  # the owned one would have come last
    devices[1003] = False
    with pytest.raises(TrustError):
        world.pair(Wanted(CODE, "", "", ""))


def test_nothing_found_says_what_to_try(tmp_path, devices):
    with pytest.raises(PortError, match="--address HOST:PORT"):
        World(tmp_path).pair(Wanted(CODE, "", "", ""))


def test_address_and_qr_need_no_discovery(tmp_path, devices):
    devices[1001] = True
    assert World(tmp_path).pair(Wanted(CODE, "", "127.0.0.1:1001", "")).address == "127.0.0.1"
    assert World(tmp_path).pair(Wanted("", f"CORELET:{CODE}?h=127.0.0.1&p=1001", "", "")).id == f"{1001:016x}"


def test_failed_link_leaves_nothing_behind(tmp_path, devices):
    devices[1001] = True
    world = World(tmp_path, [announced("attic", 1001)], is_connecting=False)
    with pytest.raises(CoreletError):
        world.pair(Wanted(CODE, "", "", ""))
    assert world.registry.devices() == [] and not world.fleet.is_known(f"{1001:016x}")
    assert ("forbid", f"{1001:016x}", 5) in world.calls and ("revoke", 5) in world.calls
    assert "connected" not in world.steps


def test_failed_second_pairing_keeps_the_first(tmp_path, devices):
    devices[1001] = True
    world = World(tmp_path, [announced("attic", 1001)])
    first = world.pair(Wanted(CODE, "", "", ""))
    world.is_connecting = False
    with pytest.raises(CoreletError):
        world.pair(Wanted(CODE, "", "", "again"))
    assert world.registry.devices() == [first] and "forbid" not in [call[0] for call in world.calls]


def test_forget_order_and_silence(tmp_path, devices):
    devices[1001] = True
    world = World(tmp_path, [announced("attic", 1001)])
    device = world.pair(Wanted(CODE, "", "", ""))
    world.calls.clear()
    assert asyncio.run(world.admission.forget(device)) == 0
    assert world.calls == [("command", device.id, "leave"), ("forbid", device.id, 5)]
    assert world.registry.devices() == [] and not world.fleet.is_known(device.id)


def test_addresses():
    assert parse_address("10.0.0.1") == ("10.0.0.1", 7411)
    assert parse_address("attic.local:80") == ("attic.local", 80)
    assert parse_address("[fd00::1]:80") == ("fd00::1", 80) and parse_address("fd00::1") == ("fd00::1", 7411)
    for text in ("", ":80", "a:0", "a:70000", "a:b", "[fd00::1]:x"):
        with pytest.raises(UsageError):
            parse_address(text)
