"""The contract of the relay's pump, on whichever interpreter runs this: TCP clients that take too much."""

import asyncio

from tests.unit.agent.port.pumping import BINDING, beside, frame, tcp_client


def test_a_client_that_does_not_read_loses_data_and_no_frame_is_cut():
    async def main(bed):
        client, key = await tcp_client(bed)
        _, peer = await bed.open(key, client)
        sent = 0
        while bed.pump.counters["lost"] < 50:
            for _ in range(16):
                peer.sock.send(sent.to_bytes(4, "big") + bytes(396))
                sent += 1
            await asyncio.sleep(0.001)
            assert sent < 60000
        for _ in range(10):  # answers wait, up to a bound
            await bed.told(lambda: bed.pump.send(BINDING, key))
        rest, count, quiet = b"", 0, 0
        while quiet < 30:
            data = client.now(404)  # the heap is small, and full of splinters by now
            if data is None:
                quiet += 1
                await asyncio.sleep(0.005)
                continue
            quiet = 0
            rest += data
            while len(rest) >= 404 or rest[:20] == BINDING:
                size = 20 if rest[:2] == b"\0\1" else 404
                assert size == 20 or rest[:4] == frame(bytes(400))[:4]
                rest = rest[size:]
                count += size == 404
        assert not rest and count == bed.usage[3] < sent
        peer.sock.send(b"now it reads")
        assert await client.heard() == frame(b"now it reads")

    beside(main, is_tcp=True)
