"""The contract of the relay's pump, on whichever interpreter runs this: clients that come over TCP."""

import asyncio

from tests.unit.agent.port.pumping import BINDING, RELAY, beside, frame, tcp_client, until


def test_frames_come_in_any_pieces_and_go_padded():
    async def main(bed):
        client, key = await tcp_client(bed)
        _, peer = await bed.open(key, client)
        stream = frame(b"abcde") + bytes(3) + BINDING + frame(b"") + frame(b"12345678")
        for at in range(0, len(stream), 7):
            client.sock.send(stream[at : at + 7])
            await asyncio.sleep(0.002)
        for wanted in (b"abcde", b"", b"12345678"):
            assert await peer.heard() == wanted
        assert len(bed.control.received) == 2 and bed.usage[1:3] == [3, 13]
        peer.sock.send(b"xyz")
        assert await client.heard() == frame(b"xyz") + b"\0"
        await bed.told(lambda: bed.pump.send(BINDING, key))
        assert await client.heard() == BINDING

    beside(main, is_tcp=True)


def test_what_is_no_frame_ends_the_connection():
    async def main(bed):
        client, key = await tcp_client(bed)
        client.sock.send(b"GET / HTTP/1.1\r\n\r\n")
        assert await client.heard() == b""
        assert bed.control.left == [key] and bed.pump.counters["tcp_malformed"] == 1

    beside(main, is_tcp=True)


def test_a_client_that_leaves_is_forgotten():
    async def main(bed):
        client, key = await tcp_client(bed)
        await bed.open(key, client)
        client.sock.close()
        await until(lambda: bed.control.left)
        await bed.told(lambda: bed.pump.close_relay(RELAY))
        await bed.told(lambda: bed.pump.send(BINDING, key))
        assert bed.control.left == [key] and not bed.pump.channels

    beside(main, is_tcp=True)
