"""Deltas on demand: made once, kept within bounds, not tried again where they are of no use."""

import asyncio
import hashlib
import os
import random

from tests.unit.ota.packing import build, head_of
from tools.gateway.deltas import decode
from tools.gateway.updates import delta_cache
from tools.gateway.updates.delta_cache import DeltaCache


def test_made_once_for_all_who_ask(tmp_path):
    old = build([("agent/a.py", random.Random(1).randbytes(40_000))])
    new = build([("agent/a.py", random.Random(1).randbytes(40_000)), ("agent/b.py", b"# more\n")])
    other = build([("agent/a.py", random.Random(2).randbytes(4_000))])
    for name, data in (("old", old), ("new", new), ("other", other)):
        (tmp_path / name).write_bytes(data)

    async def scenario():
        cache = DeltaCache(tmp_path / "deltas")
        asked = [cache.find("new-old", tmp_path / "old", tmp_path / "new") for _ in range(4)]
        found = set(await asyncio.gather(*asked))
        assert cache.made == 1 and len(found) == 1
        delta = found.pop().read_bytes()
        assert len(delta) < 2_000 and decode(old, delta, hashlib.sha256(head_of(new)).digest()) == new
        for _ in range(2):  # of random bytes there is nothing to copy
            assert await cache.find("other-old", tmp_path / "old", tmp_path / "other") is None
        assert cache.made == 1 and cache._useless == {"other-old"}
        assert [path.name for path in (tmp_path / "deltas").iterdir()] == ["new-old"]
        await cache.close()

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_the_one_that_was_not_used_for_longest_goes(tmp_path, monkeypatch):
    monkeypatch.setattr(delta_cache, "FILES_MAX", 4)
    monkeypatch.setattr(delta_cache, "BYTES_MAX", 250)
    cache = DeltaCache(tmp_path)
    for number in range(6):
        (tmp_path / f"{number}").write_bytes(b"x" * 100)
        os.utime(tmp_path / f"{number}", (number, number))

    async def used():
        return await cache.find("0", tmp_path / "1", tmp_path / "2")

    assert asyncio.run(used()) == tmp_path / "0"
    cache._trim()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "5"]


def test_only_so_many_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(delta_cache, "WAIT_S", 0.05)

    async def scenario():
        cache = DeltaCache(tmp_path)
        async with cache._one:  # somebody's is being made
            for number in range(delta_cache.WAITING_MAX + 3):
                assert await cache.find(f"{number}", tmp_path / "a", tmp_path / "b") is None
            assert len(cache._making) == delta_cache.WAITING_MAX
            await cache.close()
        assert not cache._making

    asyncio.run(asyncio.wait_for(scenario(), 20))
