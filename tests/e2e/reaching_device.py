"""A device that keeps itself reachable and does nothing else, for tests of port mapping. Runs on both interpreters.

argv: lifetime in s, ms between looks at the interfaces, then the wants as PROTOCOL:PORT, "ipv6" for pinholes.
Each UDP one gets a socket
that prints what comes. Prints the state after each change; SIGINT ends it.
"""

import asyncio
import gc
import socket
import sys

sys.path.insert(0, ".")

from agent import port  # noqa: E402
from agent.core.relay import reach as machine  # noqa: E402
from agent.service.reach import ReachService  # noqa: E402


async def listen(own: str, number: int) -> None:
    sock = socket.socket(socket.AF_INET6 if ":" in own else socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind(socket.getaddrinfo(own, number)[0][-1])
    while True:
        try:
            print(f"port {number} got {sock.recv(100).decode()}")
        except OSError:
            await asyncio.sleep(0.1)


async def count(reach: ReachService) -> None:
    while True:
        await asyncio.sleep(1)
        gc.collect()
        heap = gc.mem_alloc() if port.MICROPYTHON else 0  # type: ignore[attr-defined]
        print(f"odd {reach.odd} heap {heap}")


async def main() -> None:
    lifetime_s, look_ms = int(sys.argv[1]), int(sys.argv[2])
    is_ipv6 = sys.argv[-1] == "ipv6"
    wants = [(int(word.split(":")[0]), int(word.split(":")[1])) for word in sys.argv[3 : len(sys.argv) - is_ipv6]]
    machine.CHECK_MS = look_ms

    def tell() -> None:
        places = []
        for want in wants:
            place = reach.machine.external(want[0], want[1])
            places.append("{}={}:{}".format(want[1], ".".join([str(n) for n in place[0]]), place[1]) if place else "-")
        print("router", ".".join([str(n) for n in reach.machine.router_ip]))
        print(f"state {reach.machine.state} at {' '.join(places)} because {reach.machine.sentence}")

    hosts = [host for _, host, _ in port.net.interfaces() if host[:4] not in ("127.", "fe80", "::1")]
    own = [host for host in hosts if (":" in host) == is_ipv6][0]
    reach = ReachService(own, wants, tell, b"n" * 12, lifetime_s)
    reach.look_ms = look_ms
    task = port.net.spawn(reach.run())
    port.net.spawn(count(reach))
    for protocol, number in wants:
        if protocol == 17:
            port.net.spawn(listen(own, number))
    try:
        while True:
            await asyncio.sleep(3600)
    finally:
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            print("ending")
        print("goodbye")


port.net.run(main())
