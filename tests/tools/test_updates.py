"""What a core hands out: a source over HTTP, and orders in a roll-out."""

import asyncio
import socket
import time
from types import SimpleNamespace

import pytest

from agent.errors import CoreletError, LimitError, PeerError, UsageError
from ota import trust
from ota.source import Http
from tests.releases import Source
from tests.tools.test_releases import DEVICE, FILES, offer
from tests.tools.test_rollout_rules import update
from tools.gateway.ca import CA
from tools.gateway.registry.registry import Registry
from tools.gateway.registry.tables import Device
from tools.gateway.state import UPDATE_PORT, State
from tools.gateway.updates import source
from tools.gateway.updates import updates as updates_module
from tools.gateway.updates.source import span_of
from tools.gateway.updates.updates import Parts, Updates


@pytest.fixture
def made(tmp_path):
    return Source(tmp_path / "made")


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
        assert again.updates.notes() and (await again.updates.listed())[0]["rollout"] == "aborted"
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
