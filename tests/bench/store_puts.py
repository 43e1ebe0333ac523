"""Durable puts into a store, on either interpreter: `<python> tests/bench/store_puts.py FOLDER PUTS WAITING [FILES]`.

The slabs are there before the clock starts. Prints S <seconds> and COUNTED <flash bytes that the store counted for
them>. With the word FILES (CPython) the same bytes are a file for each shard: aside, fsync, rename, fsync of the
folder.
"""

import sys

sys.path.insert(0, ".")

CORE = "00112233445566aa"
SLOT = 65536
DAY = 1 << 40
READY = "READY"  # printed when the slabs are there; the clock starts at a line from stdin


def name_of(number: int) -> bytes:
    """The core makes it; not a part of what is measured."""
    import hashlib

    word, digest = number.to_bytes(8, "big"), hashlib.sha256()
    for _ in range((SLOT - 128) // 1024):
        digest.update(word * 128)
    digest.update(word * ((SLOT - 128) % 1024 // 8))
    return digest.digest()


async def put(store: object, slabs: object, number: int, name: bytes) -> None:
    from agent import port

    word, length = number.to_bytes(8, "big"), SLOT - 128
    left = [length]

    async def read(bytes_max: int) -> bytes:
        piece = word * (min(bytes_max, left[0]) // 8)
        left[0] -= len(piece)
        return piece

    ticket = store.put(CORE, name, length, 0, port.clock.now_ms())
    assert await slabs.wait(ticket) == "ready"
    assert await slabs.take_body(ticket, read) == "stored"


async def main() -> None:
    import asyncio

    from agent import port
    from agent.core.shards.store import Store
    from agent.service.slabs import Slabs

    folder, puts, waiting = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    store = Store((puts + 2) * SLOT, (SLOT,), lambda core: 1_000_000)
    store.limit(DAY, 0)
    slabs = Slabs(port.files, folder, store, port.clock.now_ms, port.net.spawn)
    slabs.pieces = port.heap.PIECE_BYTES
    await slabs.open()
    for number in range(puts + 1):
        await put(store, slabs, (1 << 40) + number, name_of((1 << 40) + number))
    await slabs.wait(store.forget(CORE, port.clock.now_ms()))
    await put(store, slabs, 1 << 41, name_of(1 << 41))
    names = [name_of(number) for number in range(puts)]
    print(READY)
    if hasattr(sys.stdout, "flush"):
        sys.stdout.flush()
    sys.stdin.readline()
    left = store.flash.left("tidy", port.clock.now_ms())
    began = port.clock.now_ms()

    async def client(first: int) -> None:
        for number in range(first, puts, waiting):
            await put(store, slabs, number, names[number])

    await asyncio.gather(*[client(number) for number in range(waiting)])
    print("S", (port.clock.now_ms() - began) / 1000)
    print("COUNTED", left - store.flash.left("tidy", port.clock.now_ms()))


def files() -> None:
    import os
    import threading
    import time

    folder, puts, waiting = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

    def client(first: int) -> None:
        for number in range(first, puts, waiting):
            path = f"{folder}/{number}"
            with open(path + ".new", "wb", buffering=0) as file:
                file.write(number.to_bytes(8, "big") * ((SLOT - 128) // 8))
                os.fsync(file.fileno())
            os.replace(path + ".new", path)
            parent = os.open(folder, os.O_RDONLY)
            os.fsync(parent)
            os.close(parent)

    os.makedirs(folder, exist_ok=True)
    print(READY, flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    threads = [threading.Thread(target=client, args=(number,)) for number in range(waiting)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("S", time.perf_counter() - began)


if __name__ == "__main__":
    if sys.argv[4:] == ["FILES"]:
        files()
    else:
        from agent import port

        port.terminal.begin()
        port.net.run(main())
