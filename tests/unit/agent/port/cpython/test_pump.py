"""The sockets of the relay on CPython: datagrams."""

import asyncio
import os
import socket
import sys

from agent.errors import LimitError, PortError
from agent.port.cpython import pump as module
from agent.port.cpython.datagrams import PAYLOAD_BYTES_MAX
from agent.port.cpython.loop import CALLS_MAX, WAKES, Pace
from agent.port.options import PumpOptions
from tests.expect import raises
from tests.unit.agent.port.cpython.pumping import CHANNEL, RELAY, Bed, everything, frame

SIZES = (160, 160, 160, 7, 7, 0, 160, 1, 2, 3, 1200, 1200, PAYLOAD_BYTES_MAX, 160, 160)


def payloads(count: int) -> list[bytes]:
    return [bytes([at]) * SIZES[at % len(SIZES)] for at in range(count)]


def carries(bed: Bed, peer: socket.socket, wanted: list[bytes]) -> None:
    for data in wanted:
        bed.client.send(frame(data))
    bed.step(12)
    assert everything(peer) == wanted
    for data in wanted:
        peer.send(data)
    bed.step(12)
    assert everything(bed.client) == [frame(data) for data in wanted]


def test_a_channel_carries_every_size_in_order_and_counts() -> None:
    with Bed() as bed, bed.open() as peer:
        wanted = payloads(70)
        carries(bed, peer, wanted)
        size = sum([len(data) for data in wanted])
        assert bed.usage[1:5] == [70, size, 70, size]
        assert not any(bed.pump.counters.values()) and not bed.control.received and not bed.control.strange


def test_two_channels_of_one_client_do_not_mix() -> None:
    with Bed() as bed, bed.open() as peer, bed.end(peer.getpeername()) as other:
        bed.pump.open_channel(RELAY, CHANNEL + 1, bed.address(other), bed.key(bed.client), bed.usage)
        for at in range(8):
            bed.client.send(frame(bytes([at]) * 4, CHANNEL + at % 2))
        bed.client.send(frame(b"12345678", CHANNEL))
        bed.client.send(frame(b"1234", CHANNEL) + bytes(4))  # as long as the one before, by its padding
        bed.step()
        assert everything(peer) == [bytes([at]) * 4 for at in (0, 2, 4, 6)] + [b"12345678", b"1234"]
        assert everything(other) == [bytes([at]) * 4 for at in (1, 3, 5, 7)]


def test_what_comes_in_a_pause_is_carried_after_it() -> None:
    with Bed() as bed, bed.open():
        for _ in range(600):
            bed.client.send(frame(bytes(160)))
        bed.step(30)
        assert bed.usage[1] == 600


def test_without_segments_too() -> None:
    with Bed() as bed:
        bed.pump._is_segmenting = False
        with bed.open() as peer:
            carries(bed, peer, payloads(40))


def test_ipv6() -> None:
    with Bed("::1") as bed, bed.open() as peer:
        carries(bed, peer, payloads(40))


def test_clients_beyond_the_limit_go_through_the_listener() -> None:
    with Bed(connected_max=0) as bed, bed.open() as peer:
        assert not bed.pump._connected
        carries(bed, peer, payloads(30))


def test_short_of_descriptors_no_relay_opens_and_a_channel_shares_a_socket() -> None:
    with Bed() as bed:
        bed.relay(1)
        bed.pump.loop.room = 4
        before = len(bed.pump.loop._ready)
        with bed.open() as peer:
            assert len(bed.pump.loop._ready) == before + 1  # the relay socket alone
            carries(bed, peer, payloads(30))
            assert not bed.pump.open_relay(9, 4, 50000)


def test_what_is_too_big_is_dropped() -> None:
    with Bed() as bed, bed.open() as peer:
        for size in (PAYLOAD_BYTES_MAX + 1, 5000, 10):
            peer.send(bytes(size))
        bed.step()
        assert everything(bed.client) == [frame(bytes(10))]
        bed.client.send(frame(bytes(PAYLOAD_BYTES_MAX + 1)))
        bed.client.send(frame(b"next"))
        bed.step()
        assert everything(peer) == [b"next"] and bed.pump.counters["too_big"] == 2
        assert len(bed.control.received) == 1


def test_padding_on_udp_is_allowed_and_a_frame_longer_than_its_datagram_is_not_carried() -> None:
    with Bed() as bed, bed.open() as peer:
        bed.client.send(frame(b"abcde") + bytes(3))
        bed.client.send(frame(b"abcde")[:-1])
        bed.client.send(b"\x40")
        bed.client.send(b"")
        bed.client.send(frame(b"other", 0x4002))
        bed.step()
        assert everything(peer) == [b"abcde"]
        assert [data for data, _ in bed.control.received] == [
            frame(b"abcde")[:-1],
            b"\x40",
            b"",
            frame(b"other", 0x4002),
        ]


def test_the_key_of_a_client_is_the_same_before_and_after_it_has_its_own_socket() -> None:
    with Bed() as bed:
        bed.client.send(b"\0\1first")
        bed.step()
        with bed.open():
            bed.client.send(b"\0\1second")
            bed.step()
            key = bed.key(bed.client)
            assert bed.control.received == [(b"\0\1first", key), (b"\0\1second", key)]
            bed.pump.send(b"answer", key)
        assert everything(bed.client) == [b"answer"]


def test_peers_without_a_channel_are_the_controls_matter() -> None:
    with Bed() as bed, bed.open() as peer, bed.end(peer.getpeername()) as stranger:
        stranger.send(b"let me in")
        bed.step()
        assert bed.control.strange == [(RELAY, bed.address(stranger), b"let me in")]
        bed.pump.close_channel(RELAY, CHANNEL)
        peer.send(b"late")
        bed.client.send(frame(b"late"))
        bed.step()
        assert bed.control.strange[1:] == [(RELAY, bed.address(peer), b"late")]
        assert bed.control.received == [(frame(b"late"), bed.key(bed.client))]
        assert not everything(bed.client) and not everything(peer)


def test_to_a_peer_without_a_channel() -> None:
    with Bed() as bed, bed.end(bed.relay()) as peer:
        for is_whole in (False, True, False):
            bed.pump.send_to_peer(RELAY, bed.address(peer), b"data", is_whole)
        assert everything(peer) == [b"data"] * 3
        option = bed.pump.relays[RELAY].socket.getsockopt(socket.IPPROTO_IP, 10)
        assert option == 0  # DF is for that one datagram alone


def test_what_comes_between_bind_and_connect_is_not_taken_for_the_other_ends() -> None:
    """Until connect the new socket has everybody's datagrams."""
    with Bed() as bed, socket.socket(bed.family, socket.SOCK_DGRAM) as stranger:
        stranger.bind((bed.host, 0))
        real = module.bound

        def crowded(kind: int, sockaddr: tuple[str, int], guard: socket.socket | None = None) -> socket.socket:
            made = real(kind, sockaddr, guard)
            if guard:
                stranger.sendto(frame(b"evil"), made.getsockname())
            return made

        module.bound = crowded  # type: ignore[assignment]
        try:
            with bed.open() as peer:
                bed.step()
                assert not everything(peer) and not everything(bed.client)
                source = bed.address(stranger)
                assert bed.control.strange == [(RELAY, source, frame(b"evil"))]
                assert bed.control.received == [(frame(b"evil"), (17, source, 0))]
        finally:
            module.bound = real


def test_a_peer_that_is_gone_costs_nothing_but_its_own_datagrams() -> None:
    with Bed() as bed:
        peer = bed.open()
        where = peer.getsockname()
        peer.close()  # from now on the kernel answers with ICMP
        for _ in range(3):
            bed.client.send(frame(b"lost"))
            bed.step()
        with socket.socket(bed.family, socket.SOCK_DGRAM) as back:
            back.bind(where)
            bed.client.send(frame(b"found"))
            bed.client.send(frame(b"found"))
            bed.step()
            assert everything(back) == [b"found", b"found"]


def test_a_port_that_is_taken_is_refused() -> None:
    with Bed() as bed, socket.socket(bed.family, socket.SOCK_DGRAM) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((bed.host, 0))
        assert not bed.pump.open_relay(1, 4, other.getsockname()[1])
        _, port = bed.relay(2)
        assert not bed.pump.open_relay(3, 4, port)
        assert not bed.pump.open_relay(4, 6, port + 1)  # no address of that family
        taken = bed.pump.udp[0].socket.getsockname()
        assert raises(PortError, module.open, PumpOptions([taken], ("", ""), False, 1)).code == "port_busy"


def test_nothing_leaks_when_channels_and_relays_come_and_go() -> None:
    with Bed() as bed:
        before = len(bed.pump.loop._ready)
        for number in range(200):
            with bed.end(bed.relay(number)) as peer:
                key, other = bed.key(bed.client), (bed.address(peer)[0], 9)
                bed.pump.open_channel(number, CHANNEL, bed.address(peer), key, bed.usage)
                bed.pump.open_channel(number, CHANNEL + 1, other, key, bed.usage)
                if number % 2:
                    bed.pump.close_channel(number, CHANNEL)
                bed.pump.close_relay(number)
                bed.pump.close_relay(number)
        assert len(bed.pump.loop._ready) == before and not bed.pump._connected
        assert not (bed.pump.udp_clients or bed.pump.channels or bed.pump.relays)


def test_the_ceiling_is_asked_for_each_run() -> None:
    asked = []

    def gate(relay: int, packets: int, size: int) -> int:
        asked.append((relay, packets, size))
        return 2

    with Bed() as bed, bed.open() as peer:
        bed.pump.gate_up = gate
        for _ in range(5):
            bed.client.send(frame(bytes(9)))
        bed.step(1)
        assert asked == [(RELAY, 5, 9)] and everything(peer) == [bytes(9)] * 2
        assert bed.pump.counters["ceiling"] == 3 and bed.usage[1:5] == [2, 18, 0, 0]


def test_calls_come_from_other_threads_and_are_bounded() -> None:
    with Bed() as bed:
        done: list[int] = []
        for number in range(CALLS_MAX):
            bed.pump.call(lambda number=number: done.append(number))
        assert raises(LimitError, bed.pump.call, print).code == "busy"
        bed.step(1)
        assert done == list(range(CALLS_MAX))


def judged(pace: Pace, wakes: tuple[int, int], passed_ms: int) -> bool:
    """Whether it pauses after WAKES wake-ups of (packets, sockets) each."""
    for _ in range(WAKES - 1):
        pace.add(*wakes)
    since = pace._since
    pace._packets, pace._sockets = pace._packets + wakes[0], pace._sockets + wakes[1]
    pace.judge(since + passed_ms)
    pace._wakes = 0
    return pace.is_sparse


def test_it_pauses_for_many_wake_ups_with_few_packets_and_for_nothing_else() -> None:
    pace = Pace()
    assert not judged(pace, (1, 1), 200)  # 1,280 packets a second
    assert judged(pace, (1, 1), 20)
    assert judged(pace, (10, 10), 150)  # while it pauses more come at once
    assert not judged(pace, (10, 10), 150 * 10)  # it has become quiet
    assert judged(pace, (2, 1), 20)
    assert not judged(pace, (8, 1), 100)  # bursts
    assert not judged(pace, (8, 1), 100)
    assert not judged(pace, (30, 30), 20)  # many flows and no idle time
    assert judged(pace, (1, 1), 0)
    assert not judged(pace, (65, 65), 20)
    assert not judged(pace, (0, 1), 20)


def test_the_loop_wakes_the_control_when_it_wants_and_ends_when_told() -> None:
    with Bed() as bed:
        assert bed.pump._due(1000) == -1
        bed.control.wake_at = 1500
        assert bed.pump._due(1000) == 0.5 and not bed.control.woken
        assert bed.pump._due(1500) == -1 and bed.control.woken == [1500]
    other = Bed()
    other.client.close()
    other.pump.stop()
    other.pump.run(other.control, lambda: None)


def test_beside_a_control_loop_the_threads_take_short_turns() -> None:
    before = sys.getswitchinterval()
    other = Bed()
    other.client.close()
    other.pump.stop()
    try:
        sys.setswitchinterval(0.005)  # Python's own
        asyncio.run(other.pump.run_beside(other.control))
        assert sys.getswitchinterval() <= 0.001
    finally:
        sys.setswitchinterval(before)


def test_after_its_end_nobody_writes_into_what_has_the_number_of_its_pipe_now() -> None:
    with Bed() as bed:
        number = bed.pump.loop._wake_write
    read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    os.dup2(write, number)
    bed.pump.call(print)  # of a thread that has looked up a name for long
    bed.pump.stop()
    try:
        raises(BlockingIOError, os.read, read, 1)
    finally:
        for descriptor in {read, write, number}:
            os.close(descriptor)
