"""A core's eyes alone: prints the addresses of the device whose instance is argv[1] as soon as it is found."""

import asyncio
import sys

sys.path.insert(0, ".")

from tools.gateway.pairing.discovery import Browser  # noqa: E402


async def main() -> None:
    browser = Browser()
    await browser.start()
    try:
        async with asyncio.timeout(15):
            while not (found := [each for each in browser.found() if each.instance == sys.argv[1]]):
                await asyncio.sleep(0.05)
        print(*found[0].addresses)
    finally:
        await browser.close()


asyncio.run(main())
