"""One start of a store, on either interpreter: `<python> tests/bench/store_start.py FOLDER SHARDS SLOT SHARD`.

Prints MS <milliseconds from the creation of the store to the bytes of SHARD (hex)>, imports done before, and ADOPTED
<whether a checkpoint counted>. With SHARD "-" it only stops in order, which leaves a checkpoint.
"""

import sys

sys.path.insert(0, ".")

CORE = "00112233445566aa"


async def main() -> None:
    from agent import port
    from agent.core.shards.store import Store
    from agent.service.slabs import Slabs

    folder, shards, slot = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    began = ticks_us()
    store = Store(shards * slot, (slot,), lambda core: 1_000_000)
    store.limit(1 << 33, 0)
    slabs = Slabs(port.files, folder, store, port.clock.now_ms, port.net.spawn)
    await slabs.open()
    if sys.argv[4] != "-":
        ticket = store.get(CORE, bytes.fromhex(sys.argv[4]), False)
        assert await slabs.wait(ticket) == "found"
        assert slabs.read_piece(ticket, 0)
        print("MS", (ticks_us() - began) / 1000)
        print("ADOPTED", not store.memo.is_all)
        assert store.usage()["shards"] == shards
        return
    await slabs.close()


def ticks_us() -> int:
    import time

    if hasattr(time, "ticks_us"):
        return int(time.ticks_us())
    return time.perf_counter_ns() // 1000


if __name__ == "__main__":
    from agent import port

    port.terminal.begin()
    port.net.run(main())
