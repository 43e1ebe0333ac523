"""What a device has against what it should have: what is found, how long that may take, and on which thread."""

import functools
import threading
import time

from tests.tools.test_audits import scene
from tools.gateway.audits import audits as audits_module
from tools.gateway.audits import inventory


def test_the_inventory_finds_what_no_question_hit(tmp_path):
    async def body(place, net):
        device = net.devices[0]
        kept = sorted(device.shards)
        for name in kept[:100]:
            del device.shards[name]
        device.shards[bytes(range(32))] = b"stray"
        audits_module.ROUND_SHARDS, before = 1, audits_module.ROUND_SHARDS
        try:
            (found,) = await place.audits.round(device.id)
        finally:
            audits_module.ROUND_SHARDS = before
        assert 99 <= found.missing <= 100 and found.strays == 1
        assert net.registry.shard_counts()[device.id] == len(kept) - 100, "all of them, also those it was not asked for"
        assert not place.reputation(device).is_trusted

    scene(tmp_path, body, size=14_000_000, slots=(65536,))


def test_the_loop_goes_on_while_the_rows_of_a_large_device_are_read(tmp_path):
    async def body(place, net):
        device = net.devices[0]
        read_by, loop = {}, threading.get_ident()

        def watched(name, rows, *arguments):
            read_by.setdefault(name, set()).add(threading.get_ident())
            return rows(*arguments)

        for name in ("sample", "kept_named", "kept_keys", "known_keys"):
            setattr(net.registry, name, functools.partial(watched, name, getattr(net.registry, name)))
        for name in sorted(device.shards)[:100]:
            del device.shards[name]
        await place.audits.round(device.id)
        assert len(read_by) == 4 and loop not in set.union(*read_by.values()), read_by

    scene(tmp_path, body, size=14_000_000, slots=(65536,))


def test_who_drips_its_inventory_does_not_keep_the_place(tmp_path, monkeypatch):
    monkeypatch.setattr(inventory, "DRIFT_S", 0.5)

    async def body(place, net):
        slow, other = net.devices[:2]
        del slow.shards[min(slow.shards)]
        slow.delay_s = 0.1
        target, began = place.targets()[slow.id], time.monotonic()
        for bucket in range(16):  # as many as there are buckets, each in its time
            slow.shards[bytes([bucket << 4]) + bytes(31)] = b"stray"
        found = await inventory.drift(net.client, net.registry, target)
        assert time.monotonic() - began < 1.5 and 0 < found.strays < 16, "what came in time counts"
        slow.delay_s = 5.0
        (asked,) = [await place.audits._inventory(target, place.audits._pace(slow.id))]
        assert "0.5 s" in asked.problem and place.reputation(slow).failures == 0

    scene(tmp_path, body, slots=(65536,))
