"""The contract of the relay's pump, on whichever interpreter runs this: many TCP clients of one address."""

import asyncio

from tests.unit.agent.port.pumping import beside, tcp_client, until


def test_connections_of_one_address_are_bounded():
    async def main(bed):
        for _ in range(40):
            bed.end(bed.number, True)
            await asyncio.sleep(0.002)  # it connects blocking, and the queue of connections has an end
        await until(lambda: bed.pump.counters["tcp_refused"])
        while bed.ends:
            bed.ends.pop().sock.close()
        await until(lambda: bed.control.left)
        await asyncio.sleep(0.1)
        await tcp_client(bed)

    beside(main, is_tcp=True)
