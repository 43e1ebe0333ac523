"""The relay machine by the thousand: 10,000 allocations that come and go leave nothing, and one costs ALLOCATION_BYTES.

Invariant: after each cycle every table is empty; with 2,000 allocations, each with a permission and a channel, what
Python has allocated grows by at most ALLOCATION_BYTES for each (without the data path's sockets).
"""

import gc
import tracemalloc

from agent.core.relay.events import Client, Limits
from agent.wire import stun
from tests.unit.agent.core.relay.relaying import PEER, UDP_ONLY, Caller, Place, table_sizes

ALLOCATION_BYTES = 1536
ALLOCATIONS = 2000
CYCLES = 10_000


def test_cycles_leave_nothing() -> None:
    place = Place(Limits(20, 20, (50000, 50063), 0, 0, 1000, True))
    gc.collect()
    for cycle in range(CYCLES):
        caller = Caller(place, cycle % 250 + 1, ("ann", "bob", "cid")[cycle % 3], (17, 6)[cycle % 2])
        even = (stun.EVEN_PORT, b"\x80" if cycle % 5 == 0 else b"\0")
        assert caller.allocate(even)[0] == 0
        assert caller.bind(0x4000, PEER) == 0
        if cycle // 2 % 3 == 0:  # both transports
            place.at(place.now + 600_000)  # it expires
        elif cycle // 2 % 3 == 1:
            caller.refresh(0)
        else:
            place.relay.client_gone(caller.client, place.now)
            place.settle()
        place.at(place.now + 30_000)  # reservations end
        place.drain()
        assert table_sizes(place.relay) == (0,) * 7 and place.relay.wake_at is None
    assert place.relay.allocated == CYCLES and [row[0] for row in place.relay.users.values()] == [0, 0, 0]


def test_memory_of_an_allocation() -> None:
    place = Place(Limits(3000, 3000, (10000, 60000), 0, 0, 100_000, True))
    work = [_requests(place, number) for number in range(1, ALLOCATIONS + 1)]
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for (ip, port), requests in work:
        client = Client(17, (bytes(bytearray(ip)), port), 1)  # as a driver makes it: nothing shared
        for request in requests:
            place.relay.receive(request, client, 0)
            place.settle()
            place.drain()
            place.relay.drain_outgoing()
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert table_sizes(place.relay)[:2] == (ALLOCATIONS, ALLOCATIONS)
    assert grown <= ALLOCATIONS * ALLOCATION_BYTES, f"{grown // ALLOCATIONS} bytes for each allocation"


def _requests(place: Place, number: int) -> "tuple[tuple[bytes, int], list[bytes]]":
    caller = Caller(place, number)
    caller.nonce = place.relay._credentials.nonce(caller.client, 0)
    peer = stun.xor_address((b"\x08\x08" + number.to_bytes(2, "big"), 5000), b"transaction!")
    channel = [(stun.CHANNEL_NUMBER, b"\x40\0\0\0"), (stun.XOR_PEER_ADDRESS, peer)]
    bind = caller.signed(stun.CHANNEL_BIND, channel, b"transaction!")
    return caller.client.source, [caller.signed(stun.ALLOCATE, [UDP_ONLY]), bind]
