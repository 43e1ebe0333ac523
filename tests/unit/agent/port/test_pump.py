"""The contract of the relay's pump, on whichever interpreter runs this: datagrams. TCP: test_pump_tcp.py."""

import asyncio

from tests.unit.agent.port.pumping import CHANNEL, RELAY, End, beside, frame, until

SIZES = (160, 160, 7, 0, 160, 1, 1200, 2048, 160)


async def carries(bed):
    client, peer = await bed.open()
    for size in SIZES:
        client.sock.send(frame(bytes([size & 0xFF]) * size))
    for size in SIZES:
        assert await peer.heard() == bytes([size & 0xFF]) * size
    for size in SIZES[:3] + SIZES[4:]:
        peer.sock.send(bytes(size))
    for size in SIZES[:3] + SIZES[4:]:
        assert await client.heard() == frame(bytes(size))
    count, total = len(SIZES), sum(SIZES)
    assert bed.usage[1:5] == [count, total, count - 1, total], bed.usage
    assert not any(bed.pump.counters.values()) and not bed.control.received


def test_a_channel_carries_every_size_in_order_and_counts():
    beside(carries)


def test_ipv6():
    beside(carries, host="::1")


def test_clients_beyond_the_limit_go_through_the_listener():
    beside(carries, connected_max=0)


def test_what_is_too_big_or_cut_is_not_carried_and_padding_is_allowed():
    async def main(bed):
        client, peer = await bed.open()
        peer.sock.send(bytes(2049))
        peer.sock.send(b"fits")
        assert await client.heard() == frame(b"fits") and bed.pump.counters["too_big"] == 1
        client.sock.send(frame(b"abcde")[:-1])
        client.sock.send(b"\x40")
        client.sock.send(frame(b"other", CHANNEL + 1))
        client.sock.send(frame(b"abcde") + bytes(3))
        assert await peer.heard() == b"abcde"
        assert [data for data, _ in bed.control.received] == [
            frame(b"abcde")[:-1],
            b"\x40",
            frame(b"other", CHANNEL + 1),
        ]

    beside(main)


def test_strangers_are_the_controls_matter_and_a_client_keeps_its_key():
    async def main(bed):
        client = bed.end(bed.number)
        key = (17, client.address, 0)
        client.sock.send(b"first")
        await bed.open(client=client)
        client.sock.send(b"second")
        await bed.told(lambda: bed.pump.send(b"answer", key))
        assert await client.heard() == b"answer"
        where = await bed.relay(RELAY + 1)
        stranger = bed.end(where)
        stranger.sock.send(b"let me in")
        for is_whole in (True, False):
            await bed.told(lambda is_whole=is_whole: bed.pump.send_to_peer(8, stranger.address, b"data", is_whole))
            assert await stranger.heard() == b"data"
        await until(lambda: bed.control.strange and len(bed.control.received) > 1)
        # By two sockets, so in any order.
        assert sorted(bed.control.received) == [(b"first", key), (b"second", key)]
        assert bed.control.strange == [(8, stranger.address, b"let me in")]

    beside(main)


def test_a_closed_channel_carries_nothing():
    async def main(bed):
        client, peer = await bed.open()
        await bed.told(lambda: bed.pump.close_channel(RELAY, CHANNEL))
        client.sock.send(frame(b"late"))
        peer.sock.send(b"late")
        await asyncio.sleep(0.05)
        assert bed.control.received == [(frame(b"late"), (17, client.address, 0))]
        assert bed.control.strange == [(RELAY, peer.address, b"late")]
        assert peer.now() is None and client.now() is None

    beside(main)


def test_a_peer_that_is_gone_costs_nothing_but_its_own_datagrams():
    async def main(bed):
        client, peer = await bed.open()
        peer.sock.close()  # from now on the kernel answers with ICMP
        for _ in range(3):
            client.sock.send(frame(b"lost"))
            await asyncio.sleep(0.01)
        back = End(bed.host, None)
        await bed.told(
            lambda: bed.pump.open_channel(RELAY, CHANNEL + 1, back.address, (17, client.address, 0), [0] * 6)
        )
        client.sock.send(frame(b"found", CHANNEL + 1))
        assert await back.heard() == b"found"
        back.sock.close()

    beside(main)
