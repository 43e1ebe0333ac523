"""Who is told to dial, by a core that may mean harm to whom it names."""

import asyncio

from agent import port
from agent.errors import PortError
from agent.port import net

port.terminal.begin()
from agent.service import dials  # noqa: E402

RECORD = {"core": "00112233445566aa", "ca": b"", "cert": b""}
BODY = {"hosts": ["192.0.2.1"], "port": 443}


class Shards:
    """Of ShardService what a server is made of."""

    handle = bandwidth = None


class Dial:
    """contract.DialModule of a network where nobody answers."""

    def __init__(self):
        self.count = 0

    async def connect(self, options):
        self.count += 1
        raise PortError("refused", options.host)


def test_orders_without_end_are_no_flood():
    dial, usual = Dial(), port.dial
    port.dial = lambda: dial

    async def main():
        for _ in range(40):
            tasks = dials.start(RECORD, b"", BODY, Shards)
            await asyncio.sleep(0.01)
            for task in tasks:
                task.cancel()
        assert dial.count == 0, "each order begins with a pause, and ends the one before"
        tasks = dials.start(RECORD, b"", BODY, Shards)
        await asyncio.sleep(1.3)
        assert 0 < dial.count <= 2 * dials.DIALS
        for task in tasks:
            task.cancel()
        await asyncio.sleep(0)

    try:
        net.run(main())
    finally:
        port.dial = usual
