"""A device that is nothing but its shard listener, as a process of its own on either interpreter.

    <python> tests/e2e/shard_server.py FOLDER QUOTA BOOT [SLOT…]

A file FOLDER/no-time hides the core's time; FOLDER/flash-day says how many bytes may be written in a day; FOLDER/log
makes the layout a log.

Prints PORT <number> when it serves, and one REPORT line for each thing that goes into the journal.
"""

import sys

sys.path.insert(0, ".")

DEVICE = "ffeeddccbbaa0099"
SECRETS = {"00112233445566aa": bytes(range(32)), "1111111111111111": bytes(range(1, 33))}


class Journal:
    def info(self, source: str, text: str) -> None:
        print("INFO", text)

    def error(self, source: str, text: str) -> None:
        print("REPORT", text)

    warning = error


async def main() -> None:
    from agent import port
    from agent.service import http, shards

    folder, quota, boot = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    slots = tuple([int(word) for word in sys.argv[4:]]) or (65536,)
    has_time = not port.files.exists(folder + "/no-time")

    def core_time(core: str) -> "int | None":
        return port.clock.unix_time() if has_time else None

    day = folder + "/flash-day"
    flash_day = int(port.files.read(day, 20)) if port.files.exists(day) else 0
    place = shards.Place(folder + "/shards", quota, slots, flash_day)
    place.hot_bytes = 8 << 20
    if port.files.exists(folder + "/log"):
        place.layout = "log"
    service = shards.ShardService(place, (DEVICE, boot), shards.Cores(SECRETS.get, core_time), Journal())
    await service.open()
    listener = port.net.listen_tcp("127.0.0.1", 0)
    print("PORT", listener.port)
    limits = http.Limits(24, 10000, 30000, 4096)
    running = []
    lane = service.lane(lambda _, run: running.append(port.net.spawn(run())))
    try:
        await http.HttpServer(listener, service.handle, limits, lane).serve()
    finally:
        running[0].cancel()
        await service.close()


if __name__ == "__main__":
    from agent import port

    port.terminal.begin()
    port.net.run(main())
