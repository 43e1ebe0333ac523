"""Pairing tries each device that may be meant, in a good order, and leaves nothing behind when it fails."""

import asyncio
import itertools
from types import SimpleNamespace

import pytest

from agent.errors import CoreletError, PeerError, PortError, TrustError, UsageError
from tools.gateway.addresses import parse_address
from tools.gateway.fleet import Fleet
from tools.gateway.pairing import admission, holding
from tools.gateway.pairing.admission import Admission, Parts, Wanted
from tools.gateway.registry.registry import Registry
from tools.gateway.registry.tables import Pairing

CODE = "98YT-PG82-QG8B"


class World:
    """Everything around admission, made up; `calls` tells what was done in which order."""

    def __init__(self, folder, found=(), is_connecting=True):
        self.calls = []
        self.registry = Registry(folder)
        self.fleet = Fleet(self.registry, lambda device: None)
        self.is_connecting = is_connecting
        browser = SimpleNamespace(by_discriminator=lambda number: list(found))
        ca = SimpleNamespace(revoke=lambda serial: None, is_revoked=lambda serial: False)
        broker = SimpleNamespace(
            allow=self.told("allow"), forbid=self.told("forbid"), revoke=self.told("revoke"), endpoints=list
        )
        links = SimpleNamespace(
            sessions=lambda: dict(self.sessions), wait_up=self.wait_up, command=self.command, presence=self.presence
        )
        client = SimpleNamespace(has=self.has)
        self.sessions, self.births, self.fault, self.held = {}, [], None, b""
        self.named, self.asked = [], []
        self.admission = Admission(Parts(ca, broker, links, lambda: browser, self.registry, self.fleet, "home", client))
        self.steps = []
        self.broker = broker

    def told(self, name):
        async def call(*arguments):
            self.calls.append((name, *arguments[:2]))

        return call

    async def wait_up(self, device, timeout_s, old=None):
        if not self.is_connecting:
            raise PortError("timeout", "it did not connect")
        self.sessions[device] = (1, len(self.births))
        if not self.births:
            return SimpleNamespace(birth={"pending": True})
        birth = self.births.pop(0)
        if birth is None:
            raise PortError("timeout", "it did not connect")
        return SimpleNamespace(birth=birth)

    async def command(self, device, op, body, timeout_s):
        self.calls.append(("command", device, op))
        if op == "bound" and self.fault is not None:
            raise self.fault

    def presence(self, device):
        return SimpleNamespace(is_up=True, birth={"data": 9, "boot": 1, "addresses": self.named})

    async def has(self, target, name, size):
        self.asked.append(target.addresses)
        if target.link_secret != self.held:
            raise TrustError("token", "another secret")
        return False

    def finish(self):
        asyncio.run(self.admission.finish())

    def pair(self, wanted):
        return asyncio.run(self.admission.pair(wanted, lambda step, detail: self.steps.append(step)))


def announced(name, port, status="1"):
    return SimpleNamespace(instance=name, addresses=["127.0.0.1"], port=port, txt={"ps": status, "nm": name})


@pytest.fixture
def devices(monkeypatch):
    """Port -> whether the device there knows the code."""
    known = {}
    serials = itertools.count(5)

    async def pair(address, code, ca, offer, progress):
        if not known[address[1]]:
            raise TrustError("code", "another code")
        serial = next(serials)
        await offer.admit(f"{address[1]:016x}", serial)
        progress("proven", "")
        progress("issued", "")
        progress("accepted", "")
        return SimpleNamespace(
            device_id=f"{address[1]:016x}",
            public=b"",
            serial=serial,
            link_secret=b"s%d" % serial,
            board="b",
            name="d",
            fw="1",
        )

    async def first(candidate):
        return candidate.addresses[0]

    monkeypatch.setattr(admission, "prove", pair)
    monkeypatch.setattr(admission, "reachable", first)
    monkeypatch.setattr(admission, "FIND_S", 0.3)
    return known


def test_steps_in_order(tmp_path, devices):
    devices[1001] = True
    world = World(tmp_path, [announced("attic", 1001)])
    device = world.pair(Wanted(CODE, "", "", "loft"))
    assert world.steps == ["found", "code proven", "identity issued", "time set", "connected"]
    assert (device.name, device.state) == ("loft", "paired") and world.registry.devices() == [device]
    assert [call[0] for call in world.calls] == ["allow", "command"] and world.calls[1][2] == "bound"


def test_what_discovery_said_of_it_is_not_believed(tmp_path, devices):
    """Its record comes from the proof; of the announcement only the address was used."""
    devices[1001] = True
    lying = announced("attic", 1001)
    lying.txt.update({"id": "f" * 16, "fw": "99.0", "md": "raspberry-pi-4", "nm": "Somebody Else", "ca": "admin"})
    world = World(tmp_path, [lying])
    device = world.pair(Wanted(CODE, "", "", ""))
    assert (device.id, device.name, device.board, device.fw) == (f"{1001:016x}", "d", "b", "1")
    assert device.address == "127.0.0.1" and world.registry.devices() == [device]


def test_the_next_device_with_the_same_discriminator_is_tried(tmp_path, devices):
    devices.update({1001: False, 1002: False, 1003: True})
    found = [announced("owned", 1001, "2"), announced("other", 1002), announced("mine", 1003)]
    world = World(tmp_path, found)
    assert world.pair(Wanted(CODE, "", "", "")).id == f"{1003:016x}"
    assert world.steps.count("found") <= 2  # the owned one would have come last
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
    assert ("forbid", f"{1001:016x}", 5) in world.calls and world.registry.pairings() == []
    assert "connected" not in world.steps


def test_failed_second_pairing_keeps_the_first(tmp_path, devices):
    devices[1001] = True
    world = World(tmp_path, [announced("attic", 1001)])
    first = world.pair(Wanted(CODE, "", "", ""))
    world.is_connecting = False
    with pytest.raises(CoreletError):
        world.pair(Wanted(CODE, "", "", "again"))
    assert world.registry.devices() == [first] and "forbid" not in [call[0] for call in world.calls]
    assert world.calls[-1] == ("revoke", 6) and world.registry.pairings() == []


def test_the_old_row_holds_until_the_device_is_bound(tmp_path, devices):
    devices[1001] = True
    world = World(tmp_path, [announced("attic", 1001)])
    first = world.pair(Wanted(CODE, "", "", ""))
    world.fault = PortError("timeout", "no answer")
    with pytest.raises(PortError, match="finishes the pairing by itself"):
        world.pair(Wanted(CODE, "", "", ""))
    assert world.registry.devices() == [first] and [row.serial for row in world.registry.pairings()] == [6]
    assert ("revoke", 6) not in world.calls and len(world.admission.unfinished()) == 1
    world.fault = None
    again = Registry(tmp_path)  # as after a power cut
    assert again.is_pairing(first.id) and again.devices() == [first]
    world.held = b"s6"
    world.finish()
    assert [device.serial for device in world.registry.devices()] == [6] and world.registry.pairings() == []
    assert world.calls[-1] == ("revoke", 5)


def test_a_device_that_took_the_new_pairing_back_keeps_the_old_one(tmp_path, devices):
    devices[1001] = True
    world = World(tmp_path, [announced("attic", 1001)])
    first = world.pair(Wanted(CODE, "", "", ""))
    world.fault, world.held = PortError("timeout", "no answer"), b"s5"
    with pytest.raises(PortError):
        world.pair(Wanted(CODE, "", "", ""))
    world.fault = None  # it would say yes to `bound`: it is bound, by the old one
    world.finish()
    assert world.registry.devices() == [first] and world.registry.pairings() == []
    assert world.calls[-1] == ("revoke", 6)


def test_which_secret_it_holds_is_not_asked_of_the_cores_own_machine(tmp_path, devices):
    """Its birth names the address and the port: the token would go to what listens on loopback there."""
    devices[1001] = True
    place = announced("attic", 1001)
    place.addresses = ["192.168.1.20"]
    world = World(tmp_path, [place])
    world.pair(Wanted(CODE, "", "", ""))
    world.fault, world.held = PortError("timeout", "no answer"), b"s6"
    with pytest.raises(PortError):
        world.pair(Wanted(CODE, "", "", ""))
    world.fault, world.named = None, ["127.0.0.1", "::1", "169.254.169.254", "10.0.0.5"]
    world.finish()
    assert world.registry.pairings() == [] and world.asked == [("192.168.1.20", "10.0.0.5")]


def test_an_unfinished_pairing_that_stalls_keeps_no_other_one_waiting(tmp_path, devices, monkeypatch):
    monkeypatch.setattr(holding, "HELD_S", 0.2)
    devices.update(dict.fromkeys(range(1001, 1010), True))
    world = World(tmp_path)
    for port in range(1001, 1009):
        world.fault = None
        world.pair(Wanted(CODE, "", f"127.0.0.1:{port}", ""))
        world.fault = PortError("timeout", "no answer")
        with pytest.raises(PortError):
            world.pair(Wanted(CODE, "", f"127.0.0.1:{port}", ""))
    world.fault = None
    world.admission._parts.client.has = lambda *_: asyncio.sleep(60)

    async def main():
        finishing = asyncio.create_task(world.admission.finish())
        await asyncio.sleep(0.05)
        async with asyncio.timeout(0.8):
            await world.admission.pair(Wanted(CODE, "", "127.0.0.1:1009", ""), lambda *_: None)
        await finishing
        assert len(world.registry.pairings()) == 8
        world.admission._parts.client.has = lambda *_: asyncio.sleep(0)  # the first of them
        world.admission._tries.clear()
        await world.admission.finish()
        assert not world.registry.pairings(), "the others have their turn"

    asyncio.run(main())


def test_a_first_pairing_is_finished_later_or_refused(tmp_path, devices, monkeypatch):
    monkeypatch.setattr(admission, "AGAIN_S", 0.0)
    devices.update({1001: True, 1002: True})
    world = World(tmp_path)
    world.fault = PortError("timeout", "no answer")
    for port in (1001, 1002):
        with pytest.raises(PortError):
            world.pair(Wanted(CODE, "", f"127.0.0.1:{port}", ""))
    world.finish()
    assert len(world.registry.pairings()) == 2 and world.registry.devices() == []
    world.fault = PeerError("pairing", "no pairing waits for this core")
    world.registry.drop_pairing(6)
    world.finish()
    assert world.registry.pairings() == [] and world.calls[-1] == ("forbid", f"{1001:016x}", 5)


def test_an_unfinished_pairing_ends_after_a_day(tmp_path, devices, monkeypatch):
    devices[1001] = True
    world = World(tmp_path, [announced("attic", 1001)])
    world.fault = PortError("timeout", "no answer")
    with pytest.raises(PortError):
        world.pair(Wanted(CODE, "", "", ""))
    monkeypatch.setattr(admission, "KEPT_S", -1)
    world.finish()
    assert world.registry.pairings() == [] and ("forbid", f"{1001:016x}", 5) in world.calls


def test_a_birth_without_a_pending_pairing_does_not_count(tmp_path, devices):
    devices[1001] = True
    world = World(tmp_path, [announced("attic", 1001)])
    world.births = [{"pending": False}, {}, None]
    with pytest.raises(PortError):
        world.pair(Wanted(CODE, "", "", ""))
    assert world.registry.devices() == [] and "command" not in [call[0] for call in world.calls]


def test_names_are_told_apart(tmp_path, devices):
    devices.update({1001: True, 1002: True})
    world = World(tmp_path)
    assert world.pair(Wanted(CODE, "", "127.0.0.1:1001", "")).name == "d"
    assert world.pair(Wanted(CODE, "", "127.0.0.1:1002", "")).name == "d-2"
    assert world.pair(Wanted(CODE, "", "127.0.0.1:1002", "")).name == "d-2"  # its own is not taken
    for name in ("d", f"{1001:016x}"):
        with pytest.raises(UsageError):
            world.pair(Wanted(CODE, "", "127.0.0.1:1002", name))
    assert len(world.registry.devices()) == 2 and world.registry.pairings() == []


def test_what_a_stop_interrupted_is_repaired(tmp_path, devices):
    devices[1001] = True
    world = World(tmp_path, [announced("attic", 1001)])
    device = world.pair(Wanted(CODE, "", "", ""))
    world.registry.add_pairing(Pairing(9, device.id, "", "", "", b"", b"", "", "issued", 0))
    world.registry.add_pairing(Pairing(8, "ab" * 8, "", "", "", b"", b"", "", "issued", 0))
    world.registry.set_device(device.id, state="forgotten")
    assert world.registry.devices() == []
    asyncio.run(world.admission.repair())
    assert world.registry.forgotten() == [] and world.registry.pairings() == []
    assert ("forbid", device.id, 5) in world.calls and ("forbid", "ab" * 8, 8) in world.calls


def test_forget_that_is_cut_off_leaves_what_there_is_to_revoke(tmp_path, devices):
    devices[1001] = True
    world = World(tmp_path, [announced("attic", 1001)])
    device = world.pair(Wanted(CODE, "", "", ""))

    async def killed(*_):
        raise KeyboardInterrupt

    forbid, world.broker.forbid = world.broker.forbid, killed
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(world.admission.forget(device))
    assert world.registry.forgotten() == [device._replace(state="forgotten")]
    world.broker.forbid = forbid
    asyncio.run(world.admission.repair())
    assert world.registry.forgotten() == [] and world.calls[-1] == ("forbid", device.id, 5)


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


def test_inventions_do_not_shut_out_the_right_device(tmp_path, devices, monkeypatch):
    """Some do not answer, some stall, some speak nonsense; most are on one host."""
    monkeypatch.setattr(admission, "TURN_S", 0.2)
    right = announced("zz right", 1001)
    fakes = [announced(f"fake {number}", 2000 + number) for number in range(30)]
    for each in fakes:
        each.addresses = ["10.0.0.66"]
    devices[1001] = True
    known = admission.prove

    async def prove(address, code, ca, offer, progress):
        if address[1] % 3 == 0 and address[1] != 1001:
            raise PortError("unreachable", "nobody")
        if address[1] % 3 == 1 and address[1] != 1001:
            await asyncio.sleep(60)
        if address[1] != 1001:
            raise PeerError("http", "nonsense")
        return await known(address, code, ca, offer, progress)

    monkeypatch.setattr(admission, "prove", prove)
    world = World(tmp_path, [*fakes, right])
    assert world.pair(Wanted(CODE, "", "", "")).id == f"{1001:016x}"


def test_what_fails_after_the_proof_is_not_tried_elsewhere(tmp_path, devices):
    devices.update({1001: True, 1002: True})
    world = World(tmp_path, [announced("mine", 1001), announced("other", 1002)], is_connecting=False)
    with pytest.raises(CoreletError):
        world.pair(Wanted(CODE, "", "", ""))
    assert world.steps.count("found") == 1
