"""A device that announces itself and does nothing else, for tests of discovery. Runs on both interpreters.

argv: instance, host label, port, window file ("-" for none; while it exists the pairing window is open), poll in ms,
and the only addresses to use, or none. Prints the name in use and what the journal is told; SIGINT ends it.
"""

import asyncio
import sys

sys.path.insert(0, ".")

from agent import port  # noqa: E402
from agent.port.options import Service  # noqa: E402
from agent.service.discovery import Discovery  # noqa: E402


class Journal:
    def info(self, source: str, text: str) -> None:
        print(source + ": " + text)

    warning = error = info


async def follow_window(discovery: Discovery, window: str) -> None:
    was_open = port.files.exists(window)
    while True:
        await asyncio.sleep(0.2)
        if port.files.exists(window) != was_open:
            was_open = not was_open
            await discovery.refresh()


async def report(discovery: Discovery) -> None:
    said = ""
    while True:
        name = discovery.instance + " at " + " ".join(discovery.addresses)
        if discovery.addresses and name != said:
            print("announced " + name)
            said = name
        # Rarely: the tests count this process's wake-ups.
        await asyncio.sleep(0.5 if said == "" else 5)


async def main() -> None:
    instance, host, number, window, poll_ms = sys.argv[1:6]

    def describe() -> "tuple[list[tuple[str, str]], list[str]]":
        is_open = window != "-" and port.files.exists(window)
        txt = [("txtvers", "1"), ("id", "c0ffee01"), ("ps", "1" if is_open else "0"), ("d", "517")]
        txt += [("md", "generic-linux"), ("fw", "0.1"), ("pv", "1"), ("ca", "relay,shards"), ("nm", instance)]
        return txt, ["_d517"] + (["_pair"] if is_open else [])

    service = Service("_corelet._tcp", instance, host, int(number), sys.argv[6:], [], [])
    discovery = Discovery(port.announce(), port.net, Journal(), describe, service)
    discovery.poll_ms, discovery.damp_ms = int(poll_ms), int(poll_ms) // 3
    port.net.spawn(discovery.run())
    port.net.spawn(report(discovery))
    if window != "-":
        port.net.spawn(follow_window(discovery, window))
    try:
        while True:
            await asyncio.sleep(3600)
    finally:
        await discovery.close()
        print("goodbye")


port.net.run(main())
