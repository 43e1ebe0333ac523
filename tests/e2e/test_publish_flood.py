"""A paired device that publishes without end silences itself, on both brokers: what others say arrives."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.e2e.house import BROKERS, House, Running, drained, eventually
from tests.e2e.house import Device as Identity
from tools.gateway.links import links

COMMANDS = 100
AT_ONCE = 5


async def flooded(house: House, device: Identity, kind: str) -> Running:
    words = [str(device.folder), "127.0.0.1", str(house.port), kind]
    flood = Running("flood", [sys.executable, "tests/e2e/publish_flood.py", *words], house.folder)
    flood.start()
    await flood.line("flooding")
    return flood


@pytest.mark.parametrize(("kind", "broker"), [("tele", "mosquitto"), ("ack", "mosquitto"), ("tele", "embedded")])
def test_others_are_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, broker: str) -> None:
    monkeypatch.setattr(links, "HUSH_S", 4.0)

    async def main() -> None:
        async with House.open(tmp_path, broker) as house:
            bad, good, late = house.device(), house.device(), house.device()
            await house.admit(bad, good, late)
            await house.start(good, "cpython")
            await house.links.wait_up(good.id, 20)
            flood = await flooded(house, bad, kind)
            try:
                await asyncio.sleep(0.5)
                await house.start(late, "cpython")
                for _ in range(COMMANDS // AT_ONCE):
                    asked = [house.links.command(good.id, "echo", {"n": n}, 10) for n in range(AT_ONCE)]
                    assert await asyncio.gather(*asked) == [{"n": n} for n in range(AT_ONCE)]
                await house.links.wait_up(late.id, 20)
                assert bad.id in house.links._hushed or house.links.presence(bad.id) is None
            finally:
                await flood.kill()
            await eventually(lambda: bad.id not in house.links._hushed)
            await house.start(bad, "cpython", boot=2)
            await house.links.wait_up(bad.id, 30)

    asyncio.run(main())


@pytest.mark.parametrize("broker", BROKERS)
def test_what_is_kept_of_many_devices_arrives_at_once(tmp_path: Path, broker: str) -> None:
    async def main() -> None:
        async with House.open(tmp_path, broker, has_links=False) as house:
            core = await house.connect_core()
            topics = [f"c1/{number:016x}/up/{kind}" for number in range(100) for kind in ("birth", "death")]
            for topic in topics:
                await core.publish(topic, b"x" * 300, 1, True)
            await core.subscribe("c1/+/up/+")
            assert sorted(topic for topic, _ in await drained(core)) == sorted(topics)
            await core.close()

    asyncio.run(main())
