"""What a core hands out: releases that are verified before they are kept, beacons, a source over HTTP, orders."""

import asyncio
import socket
import time
from types import SimpleNamespace

import pytest

from agent.errors import CoreletError, LimitError, PeerError, PortError, UsageError
from ota import cbor, cose, trust
from ota.source import Http
from tests.releases import PUBLICS, Source, program
from tests.tools.test_rollout_rules import NEW, update
from tests.unit.ota.making import KEYS, document
from tools.gateway.ca import CA
from tools.gateway.registry.registry import Registry
from tools.gateway.registry.tables import Device
from tools.gateway.state import UPDATE_PORT, State
from tools.gateway.updates import beacons as beacons_module
from tools.gateway.updates import source
from tools.gateway.updates import updates as updates_module
from tools.gateway.updates.beacons import Beacons
from tools.gateway.updates.releases import Offer, Releases
from tools.gateway.updates.source import span_of
from tools.gateway.updates.updates import Parts, Updates

DEVICE = "0123456789abcdef"
FILES = program("seven")


@pytest.fixture
def made(tmp_path):
    return Source(tmp_path / "made")


def offer(made, digest, sequence=7, roots=(1,), approvals=()):
    folder = made.folder
    return Offer(
        (folder / "releases" / digest).read_bytes(), (folder / "packs" / str(sequence)).read_bytes(),
        [document({1: bytes.fromhex(digest), 2: True, 3: None, 4: 0}, trust.KIND_APPROVAL, one) for one in approvals],
        [(folder / "roots" / str(one)).read_bytes() for one in roots],
    )  # fmt: skip


def code_of(call, *words):
    with pytest.raises(CoreletError) as found:
        call(*words)
    return found.value.code


# Releases


def test_a_release_is_kept_whole_or_not_at_all(made, tmp_path):
    kept = Releases(tmp_path / "kept")
    seven, eight = made.release(7, FILES), made.release(8, FILES | {"agent/more.py": b"#"})
    good = offer(made, seven)
    assert code_of(kept.add, good._replace(roots=[])) == "root"
    assert code_of(kept.add, good._replace(pack=offer(made, eight, 8).pack)) == "digest"
    assert code_of(kept.add, good._replace(pack=b"")) == "pack"
    assert code_of(kept.add, offer(made, made.release(9, FILES, signers=KEYS[:1]), 9)) == "threshold"
    assert code_of(kept.add, offer(made, made.release(9, FILES, signers=KEYS[2:]), 9)) == "signature"
    assert code_of(kept.add, offer(made, made.release(9, FILES, uri="other/9"), 9)) == "pack"
    assert not kept.kept and not list((tmp_path / "kept" / "packs").iterdir()) and kept.root is None
    assert kept.add(good).sequence == 7
    assert kept.add(good._replace(roots=[], pack=b"")).digest == seven, "again, with nothing new"
    other = made.release(10, FILES | {"agent/x.py": b""}, uri="packs/7")
    assert code_of(kept.add, offer(made, other, 10)) == "name_taken"
    again = Releases(tmp_path / "kept")
    assert list(again.kept) == [seven] and again.root == kept.root and again.judge(again.find("7")) == ""
    assert again.find(seven[:6]).digest == seven and code_of(again.find, "abcd") == "no_such_release"
    again.remove(seven)
    assert not list((tmp_path / "kept" / "packs").iterdir()) and not Releases(tmp_path / "kept").kept


def test_what_an_add_that_was_cut_left_is_swept(made, tmp_path):
    kept = Releases(tmp_path / "kept")
    digest = made.release(7, FILES)
    kept.add(offer(made, digest))
    (tmp_path / "kept" / "releases" / digest).unlink()
    assert Releases(tmp_path / "kept").pack_path("packs/7") is None
    assert not list((tmp_path / "kept" / "packs").iterdir())


def test_a_damaged_file_is_named(made, tmp_path):
    digest = made.release(7, FILES)
    Releases(tmp_path / "kept").add(offer(made, digest))
    for name in (f"releases/{digest}", "roots/1"):
        path = tmp_path / "kept" / name
        data = path.read_bytes()
        path.write_bytes(data[:100])
        with pytest.raises(PortError) as damaged:
            Releases(tmp_path / "kept")
        assert str(path) in damaged.value.text and ("or remove it" in damaged.value.text) == (name != "roots/1")
        path.write_bytes(data)
    assert list(Releases(tmp_path / "kept").kept) == [digest]


def test_roots_follow_one_another(made, tmp_path):
    kept = Releases(tmp_path / "kept")
    digest = made.release(7, FILES)
    made.root(2)
    made.root(3, signers=KEYS[:1])
    assert kept.add(offer(made, digest, roots=(1, 2))).digest == digest and kept.root.version == 2
    assert code_of(kept.add, offer(made, digest, roots=(3,))) == "threshold"
    made.root(4)
    assert code_of(kept.add, offer(made, digest, roots=(4,))) == "root_version"
    made.root(1, signers=KEYS[1:3])
    assert code_of(kept.add, offer(made, digest, roots=(1,))) == "root", "another root of that number"
    assert kept.small("roots", "2") and not kept.small("roots", "3") and not kept.small("roots", "../packs/7")


def test_approvals_are_collected(made, tmp_path):
    roles = {trust.ROOT: [2, 0, 1, 2], trust.RELEASE: [2, 0, 1, 2], trust.APPROVAL: [2, 2, 3]}
    root = document({1: 1, 2: PUBLICS[:4], 3: roles, 4: 60, 5: False}, trust.KIND_ROOT, KEYS[:2])
    (made.folder / "roots" / "1").write_bytes(root)
    kept = Releases(tmp_path / "kept")
    digest = made.release(7, FILES)
    found = kept.add(offer(made, digest))
    assert "approval" in kept.judge(found)
    kept.add(offer(made, digest, approvals=[KEYS[3:]]))
    assert kept.approvals(digest) == 1 and "2 keys" in kept.judge(found)
    assert code_of(kept.add, offer(made, digest, approvals=[KEYS[:1]])) == "signature"
    kept.add(offer(made, digest, approvals=[KEYS[2:3]]))
    assert kept.approvals(digest) == 2 and kept.judge(found) == ""
    assert trust.read_approval(kept.root, kept.small("approvals", digest)).digest.hex() == digest


# Beacons


def test_beacons_are_what_devices_take(tmp_path):
    ca, registry = CA(tmp_path / "ca"), Registry(tmp_path)
    clock = [1_000_000.0]
    beacons = Beacons(ca, registry, lambda: clock[0])
    first = beacons.document(DEVICE, 8, [NEW], ["cd" * 32])
    read = trust.read_beacon(ca.public, first, DEVICE, 0)
    assert read == trust.Beacon(1_000_000, 8, [bytes.fromhex(NEW)], [bytes.fromhex("cd" * 32)], DEVICE)
    assert code_of(trust.read_beacon, ca.public, first, "another", 0) == "beacon_device"
    payload, proof = cbor.decode(first, (), 1)
    assert cose.signers((ca.public,), [proof], payload, trust.KIND_BEACON) == [0]
    assert code_of(cose.signers, (ca.public,), [proof], payload, trust.KIND_APPROVAL) == "signature"
    times = [read.time]
    for now in (1_000_000.5, 1_000_000.9, 500.0, 1_000_000.0):  # asked twice a second, and by a clock that was set back
        clock[0] = now
        times.append(trust.held_beacon(beacons.document(DEVICE, 8, [], [])).time)
    beacons.keep(set())
    times.append(trust.held_beacon(beacons.document(DEVICE, 8, [], [])).time)
    clock[0] = 7.0
    again = Beacons(ca, registry, lambda: clock[0])
    times.append(trust.held_beacon(again.document(DEVICE, 8, [], [])).time)
    assert times == sorted(set(times)), times
    registry.close()


def test_who_asks_without_end_does_not_move_time_ahead(tmp_path, monkeypatch):
    monkeypatch.setattr(beacons_module, "APART_S", 3600.0)
    registry = Registry(tmp_path)
    beacons = Beacons(CA(tmp_path / "ca"), registry, lambda: 1_000_000.0)
    times = [trust.held_beacon(beacons.document(DEVICE, 8, [], [])).time for _ in range(3 * beacons_module.BURST)]
    assert times == sorted(times) and times[-1] - 1_000_000 < beacons_module.BURST, times[-1]
    assert registry.beacon_time() == times[-1]
    assert trust.held_beacon(beacons.document("another", 8, [], [])).time == 1_000_000, "one does not slow another"
    registry.close()


# The source and the orders


class Core:
    """Updates around made-up links; `answers`: what devices say to an order."""

    def __init__(self, folder, devices=(DEVICE,)):
        self.state = State(folder)
        self.registry = Registry(folder)
        for device in devices:
            if device not in {one.id for one in self.registry.devices()}:
                row = (device, device[:4], "generic-linux", "0", b"", 1, b"", "paired", "127.0.0.1", int(time.time()))
                self.registry.add_device(Device(*row))
        self.says = {device: update() for device in devices}
        self.boots = dict.fromkeys(devices, 1)
        self.orders = []
        self.answers = {}
        ca = CA(folder / "ca")
        parts = Parts(self.state, self.registry, ca, self.presence, self.command, lambda: True, lambda: ["127.0.0.1"])
        self.updates = Updates(parts)

    def presence(self, device):
        birth = {"update": self.says[device], "boot": self.boots[device], "addresses": ["127.0.0.1"]}
        return SimpleNamespace(is_up=True, birth=birth)

    async def command(self, device, op, body, timeout_s):
        self.orders.append((device, op, body))
        answer = self.answers.get(device, {"accepted": True})
        if isinstance(answer, CoreletError):
            raise answer
        return answer

    async def turn(self, seconds=0.0):
        self.updates._at -= seconds
        self.updates.turn()
        await asyncio.sleep(0.01)

    async def close(self):
        await self.updates.close()
        self.registry.close()
        self.state.close()


def run(scenario):
    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_ranges():
    for header, found in (
        ("", None), ("bytes=0-9", range(10)), ("bytes=90-", range(90, 100)), ("bytes=90-200", range(90, 100)),
        ("bytes=100-", range(100, 100)), ("bytes=5-4", None), ("bytes=0-1,5-6", None), ("bytes=-5", None),
        ("items=0-1", None), ("bytes=" + "9" * 10 + "-", None),
    ):  # fmt: skip
        assert span_of(header, 100) == found, header
    beyond = source._small(b"x" * 100, "bytes=100-")
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */100")


def test_a_device_reads_all_of_it(made, tmp_path):
    async def scenario():
        core = Core(tmp_path / "core")
        digest = made.release(7, FILES | {"agent/big.py": b"#" * 100_000})
        await core.updates.add(offer(made, digest, roots=(1,)))
        core.updates.listen("127.0.0.1", 0)
        core.updates.turn()
        serving = asyncio.create_task(core.updates.serve())
        place = Http(core.updates.url(DEVICE))
        packed = (made.folder / "packs" / "7").read_bytes()
        small = lambda name: asyncio.to_thread(place.small, name, 65536)  # noqa: E731
        assert await small(f"releases/{digest}") == (made.folder / "releases" / digest).read_bytes()
        assert trust.held_beacon(await small("beacon")).device == DEVICE
        for name in (
            "roots/2",
            f"approvals/{digest}",
            "releases/lock",
            "packs/8",
            "deltas/x",
            "other/7",
            "packs/7.new",
        ):
            assert await small(name) is None, name
        read = lambda start, length: b"".join(place.read("packs/7", start, length))  # noqa: E731
        for start, length in ((0, 24), (50_000, 32_768), (len(packed) - 5, 5)):
            assert await asyncio.to_thread(read, start, length) == packed[start : start + length]
        with pytest.raises(PeerError):
            await asyncio.to_thread(read, len(packed), 5)
        with pytest.raises(PeerError):
            await asyncio.to_thread(read, len(packed) - 4, 5)
        stranger = Http(core.updates.url(DEVICE).replace(DEVICE, "f" * 16))
        assert await asyncio.to_thread(stranger.small, "beacon", 65536) is None
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await core.close()

    run(scenario)


def test_the_port_is_remembered_and_another_taken_when_it_is_used(tmp_path, monkeypatch):
    async def life(number):
        core = Core(tmp_path / "core", ())
        try:
            core.updates.listen("127.0.0.1", number)
            return core.updates.port
        finally:
            await core.close()

    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setattr(updates_module, "DEFAULT_PORT", free.getsockname()[1])
        first = asyncio.run(life(None))
        assert first not in (0, updates_module.DEFAULT_PORT)
    assert asyncio.run(life(None)) == asyncio.run(life(0)) == first
    assert (tmp_path / "core" / UPDATE_PORT).read_text() == str(first)
    with socket.create_server(("127.0.0.1", first)), pytest.raises(CoreletError) as busy:
        asyncio.run(life(first))
    assert "--update-port" in busy.value.text and busy.value.code == "port_busy"


def test_an_address_that_is_not_here_is_no_matter_of_ports(tmp_path):
    core = Core(tmp_path / "core", ())
    with pytest.raises(CoreletError) as wrong:
        core.updates.listen("192.0.2.1", None)  # RFC 5737: of nobody
    assert wrong.value.code == "unreachable" and "192.0.2.1" in wrong.value.text and "--" not in wrong.value.text
    asyncio.run(core.close())


def test_the_url_is_reached_from_where_the_device_is(tmp_path):
    async def scenario():
        core = Core(tmp_path / "core")
        core.updates.port = 8885
        assert core.updates.url(DEVICE) == f"http://127.0.0.1:8885/u/{DEVICE}"
        core.presence = lambda device: None
        core.updates._parts = core.updates._parts._replace(
            presence=core.presence, addresses=lambda: ["::1", "10.0.0.1"]
        )
        assert core.updates.url(DEVICE).startswith("http://10.0.0.1:8885/"), "IPv4 is what devices read"
        core.updates.listen("127.0.0.1", 0)
        assert core.updates.url(DEVICE).startswith("http://127.0.0.1:"), "where it listens"
        await core.close()

    run(scenario)


OTHERS = [f"{number:016x}" for number in range(3)]
WORDS = {"canary": "30%", "waves": "100%", "soak": "0s", "deadline": "30m", "sample": 1}


async def begun(made, folder):
    """(the core, the digest of the release that it rolls out)."""
    core = Core(folder, OTHERS)
    digest = made.release(8, FILES)
    with pytest.raises(UsageError):
        core.updates.start("8", {})
    await core.updates.add(offer(made, digest, 8))
    core.updates.listen("127.0.0.1", 0)
    core.updates.start("8", WORDS)
    await core.turn(1)
    return core, digest


def test_what_devices_would_refuse_is_not_rolled_out(made, tmp_path):
    async def scenario():
        core = Core(tmp_path / "core")
        await core.updates.add(offer(made, made.release(8, FILES), 8))
        made.root(2, approval=True)
        await core.updates.add(offer(made, made.release(9, FILES | {"agent/x.py": b""}), 9, roots=(2,)))
        with pytest.raises(UsageError) as refused:
            core.updates.start("8", {})
        assert refused.value.code == "refused" and "approval" in refused.value.text
        await core.close()

    run(scenario)


def test_who_is_ordered_is_allowed(made, tmp_path):
    async def scenario():
        core, digest = await begun(made, tmp_path / "core")
        ((first, op, body),) = core.orders
        assert op == "update"
        assert body == {"order": "install", "source": f"http://127.0.0.1:{core.updates.port}/u/{first}"}
        allowed = {one: trust.held_beacon(core.updates.beacon(one)).allowed for one in OTHERS}
        assert allowed == {one: [bytes.fromhex(digest)] if one == first else [] for one in OTHERS}
        for call in (core.updates._remove, lambda one: core.updates.start(one, {})):
            with pytest.raises(UsageError):
                call("8")
        core.updates.pause()
        await core.close()
        core = Core(tmp_path / "core", OTHERS)
        assert core.updates.status()["state"] == "paused" and core.updates.status()["counts"]["ordered"] == 1
        core.updates.resume()
        core.answers = {one: LimitError("offline", "away") for one in OTHERS}
        core.says[first], core.boots[first] = update(digest=digest), 2
        for _ in range(3):
            await core.turn(1)
        assert core.updates.status()["counts"]["updated"] == 1
        await core.close()

    run(scenario)


def test_what_was_aborted_stays_so(made, tmp_path):
    async def scenario():
        core, digest = await begun(made, tmp_path / "core")
        first = core.orders[0][0]
        core.updates.abort()
        await core.turn(1)
        beacon = trust.held_beacon(core.updates.beacon(first))
        assert beacon.allowed == [] and beacon.aborted == [bytes.fromhex(digest)]
        assert [one[0] for one in core.orders] == [first, first], "ordered to refresh"
        with pytest.raises(UsageError) as twice:
            core.updates.start("8", {})
        assert twice.value.code == "aborted"
        assert all(one["reason"] for one in core.updates.status()["devices"])
        await core.close()
        again = Core(tmp_path / "core", OTHERS)
        assert trust.held_beacon(again.updates.beacon(first)).aborted == [bytes.fromhex(digest)]
        assert again.updates.notes() and again.updates.listed()[0]["rollout"] == "aborted"
        await again.close()

    run(scenario)


def test_a_release_for_another_board_is_for_nobody(made, tmp_path):
    from tools.maker.identity import class_id, vendor_id

    async def scenario():
        core = Core(tmp_path / "core")
        changes = {"vendor": vendor_id("example.org"), "class_id": class_id("qemu-x86-64", "example.org")}
        await core.updates.add(offer(made, made.release(8, FILES, **changes), 8))
        core.updates.listen("127.0.0.1", 0)
        core.updates.start("8", {})
        await core.turn(1)
        assert [one["reason"] for one in core.updates.status()["devices"]] == ["class"] and not core.orders
        await core.close()

    run(scenario)


def test_a_core_that_does_not_hear_lets_no_time_pass(made, tmp_path):
    async def scenario():
        core = Core(tmp_path / "core")
        core.updates._parts = core.updates._parts._replace(hears=lambda: False)
        await core.updates.add(offer(made, made.release(8, FILES), 8))
        core.updates.start("8", {})
        for _ in range(5):
            await core.turn(60)
        assert core.updates.rollout.standing.clock == 0 and not core.orders
        core.updates._parts = core.updates._parts._replace(hears=lambda: True)
        await core.turn(3600)
        assert core.updates.rollout.standing.clock <= updates_module.TICK_S_MAX, "a machine that slept heard nothing"
        await core.close()
        again = Core(tmp_path / "core")
        before = again.updates.rollout.standing.clock
        await again.turn()
        assert again.updates.rollout.standing.clock == before, "nobody listened before the start"
        await again.close()

    run(scenario)
