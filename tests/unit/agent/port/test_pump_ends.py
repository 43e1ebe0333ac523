"""The contract of the relay's pump, on whichever interpreter runs this: what comes, goes and is refused."""

import asyncio

from agent import port
from agent.errors import PortError
from agent.port.options import PumpOptions
from tests.expect import raises
from tests.unit.agent.port.pumping import BODY, CHANNEL, RELAY, Bed, Control, beside, frame


def test_the_ceiling_is_asked():
    async def main(bed):
        asked = []

        def gate(relay, packets, size):
            asked.append((relay, size))
            return packets if len(asked) > 2 else 0

        bed.pump.gate_up = bed.pump.gate_down = gate
        client, peer = await bed.open()
        client.sock.send(frame(b"one"))
        await asyncio.sleep(0.03)
        peer.sock.send(b"a")
        await asyncio.sleep(0.03)
        client.sock.send(frame(b"two"))
        assert await peer.heard() == b"two"
        peer.sock.send(b"bc")
        assert await client.heard() == frame(b"bc")
        assert asked == [(RELAY, 3), (RELAY, 1), (RELAY, 3), (RELAY, 2)] and bed.pump.counters["ceiling"] == 2
        assert bed.usage[1:5] == [1, 3, 1, 2]

    beside(main)


def test_nothing_is_left_of_what_came_and_went():
    async def main(bed):
        for number in range(60):
            client, peer = await bed.open()
            if number % 2:
                await bed.told(lambda: bed.pump.close_channel(RELAY, CHANNEL))
            await bed.told(lambda: bed.pump.close_relay(RELAY))
            await bed.told(lambda: bed.pump.close_relay(RELAY))
            for end in (client, peer):
                end.sock.close()
            bed.ends.clear()
        pump = bed.pump
        assert not (pump.udp_clients or pump.channels or pump.relays) and not pump._connected

    beside(main)


def test_time_is_the_controls_and_the_loop_ends_when_told():
    async def main(bed):
        assert not await bed.told(lambda: bed.pump.open_relay(1, 6, 50000))  # no address of that family
        bed.control.wake_at = port.clock.now_ms()
        await asyncio.sleep(1.2)
        bed.end(bed.number).sock.send(b"anything")
        await asyncio.sleep(0.05)
        assert len(bed.control.woken) == 1 and len(bed.control.received) == 1

    beside(main)


def test_alone_it_runs_until_stopped():
    bed = Bed()

    class Ending(Control):
        def receive(self, data, key, now):
            Control.receive(self, data, key, now)
            bed.pump.send(b"answer", key)
            bed.pump.stop()

    client, control = bed.end(bed.number), Ending()
    taken = PumpOptions([(bed.host, bed.number)], ("", ""), False, 1)
    assert raises(PortError, BODY.open, taken).code == "port_busy"
    client.sock.send(b"hello")
    bed.pump.run(control, lambda: None)
    assert control.received == [(b"hello", (17, client.address, 0))] and client.now() == b"answer"
    client.sock.close()


def test_a_heap_without_room_in_one_piece_opens_nothing():
    if not port.MICROPYTHON:
        return  # its heap has no end

    async def main(bed):
        usual, bed.pump.heap_spare_bytes = bed.pump.heap_spare_bytes, 1 << 20
        assert not await bed.told(lambda: bed.pump.open_relay(RELAY, 4, 50000))
        assert not bed.pump.has_room() and not bed.pump.relays
        bed.pump.heap_spare_bytes = usual
        assert await bed.relay()

    beside(main)
