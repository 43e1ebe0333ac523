"""The embedded broker ends a live connection whose certificate is revoked, also of a device that may stay."""

import asyncio
from pathlib import Path

import pytest

from agent.errors import PortError
from tests.e2e.house import House


def test_a_live_connection_ends_with_its_certificate(tmp_path: Path) -> None:
    async def main() -> None:
        async with House.open(tmp_path, "embedded", has_links=False) as house:
            revoked, stays = house.device(), house.device()
            await house.admit(revoked, stays)
            lines = [await house.connect(each) for each in (revoked, stays)]
            await house.broker.revoke(revoked.serial)
            with pytest.raises(PortError):
                async with asyncio.timeout(2):
                    await lines[0].receive()
            await lines[1].publish(f"c1/{stays.id}/up/tele", b"x", 1, False)
            with pytest.raises(PortError):
                await house.connect(revoked)
            for line in lines:
                await line.close()

    asyncio.run(main())
