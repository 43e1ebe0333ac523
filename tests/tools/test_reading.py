"""Reads: a device that lies or lags is left, a part is read by its stripes alone, in bounded memory."""

import time

import pytest

from agent.errors import CoreletError, TrustError, UsageError
from tests.tools.fake_network import noise, run
from tools.gateway.objects.coding import Profile
from tools.gateway.objects.objects import span_of
from tools.gateway.objects.stripes import stripe_bytes

STRIPE = stripe_bytes(Profile(2, 3), 65536)


def gets(device):
    return sum(method == "GET" for method, _ in device.requests)


async def read(net, first, last, name="file"):
    found = net.objects.find(name)
    span = span_of(f"{first}-{last}", found.size)
    return b"".join([piece async for piece in net.objects.get(found, span)])


def test_a_device_that_lags_is_asked_once_and_then_left(tmp_path):
    async def scenario(net):
        data = noise(STRIPE * 30)
        await net.put(data)
        slow = net.devices[0]
        slow.delay_s = 3.0
        net.prefer(slow.id)
        started = time.monotonic()
        assert await net.get() == data
        assert gets(slow) <= 16 and time.monotonic() - started < 3  # those that were under way
        before = gets(slow)
        assert await net.get() == data and gets(slow) == before
        slow.delay_s = 0.0
        peak, at = net.client.scores._peaks[slow.id]
        net.client.scores._peaks[slow.id] = (peak, at - 100)  # a while later it is tried again
        assert await net.get() == data and gets(slow) > before

    run(tmp_path, 3, scenario, slots=(65536,))


def test_a_device_that_lies_is_left_by_the_reads_that_follow(tmp_path):
    async def scenario(net):
        first, second = noise(50_000), noise(50_000, 2)
        await net.put(first, "first")
        await net.put(second, "second")
        liar = net.devices[0]
        liar.is_lying = True
        net.prefer(liar.id)
        assert await net.get("first") == first and gets(liar) == 1
        assert await net.get("second") == second and gets(liar) == 1

    run(tmp_path, 3, scenario)


@pytest.mark.parametrize(
    ("first", "last"),
    [(0, 0), (0, STRIPE - 1), (STRIPE - 1, STRIPE), (STRIPE, STRIPE), (5, STRIPE * 3 + 7), (STRIPE * 3, STRIPE * 9)],
)
def test_a_part_is_read_by_its_stripes_alone(tmp_path, first, last):
    async def scenario(net):
        data = noise(STRIPE * 4 - 3)
        await net.put(data)
        assert await read(net, first, last) == data[first : last + 1]
        stripes = min(last, len(data) - 1) // STRIPE - first // STRIPE + 1
        assert sum(gets(device) for device in net.devices) == stripes * 2

    run(tmp_path, 3, scenario, slots=(65536,))


def test_a_part_of_a_damaged_object_is_authenticated(tmp_path):
    async def scenario(net):
        import sqlalchemy as sa

        data = noise(STRIPE * 3)
        await net.put(data)
        with net.registry._write() as connection:  # what is stored of the second stripe belongs to the first
            swap = "UPDATE shards SET name = (SELECT name FROM shards AS other WHERE other.stripe = 0"
            connection.execute(sa.text(swap + " AND other.number = shards.number) WHERE stripe = 1"))
        assert await read(net, 0, STRIPE - 1) == data[:STRIPE]
        with pytest.raises((TrustError, CoreletError)):
            await read(net, STRIPE, STRIPE + 5)

    run(tmp_path, 3, scenario, slots=(65536,))


def test_words_for_a_part():
    words = {"0-0": (0, 1), "5-": (5, 100), "-7": (93, 100), "-700": (0, 100), "90-900": (90, 100), "99-99": (99, 100)}
    for text, (start, stop) in words.items():
        assert span_of(text, 100) == range(start, stop)
    for text in ("", "-", "5", "7-5", "100-", "-0", "a-b", "1-2-3", "-1-5", "\u0661-5", "0-" + "9" * 60, "0x1-5"):
        with pytest.raises(UsageError):
            span_of(text, 100)
    with pytest.raises(UsageError):
        span_of("0-0", 0)


def test_the_end_of_a_part_leaves_no_request_behind(tmp_path):
    async def scenario(net):
        data = noise(STRIPE * 40)
        await net.put(data)
        found = net.objects.find("file")
        pieces = net.objects.get(found, range(10, len(data)))
        assert await anext(pieces) == data[10:STRIPE]
        await pieces.aclose()
        assert not net.objects._readers and all(peer.in_flight == 0 for peer in net.client._peers.values())
        assert sum(gets(device) for device in net.devices) < 40

    run(tmp_path, 3, scenario, slots=(65536,))
