"""The command `corelet store`: this machine as a shard store, without any full core.

Who holds the key file makes the tokens (`corelet-core token`): the names of core and device and their secret come from
it (wire/token.py), expiry is judged by this machine's clock. Not here: the store (service/shards.py), HTTP
(service/http.py). Bounds: the quota, CONNECTIONS_MAX (fewer in a small heap).
"""

from agent import arguments, port
from agent.errors import UsageError
from agent.service import http, shards
from agent.wire import shape, token

if False:
    from typing import Any

    from agent.__main__ import Call

# The largest is for a shard of 1 MiB, which a slot of 1 MiB cannot hold beside its header.
SLOT_BYTES = (1 << 16, 1 << 18, 1 << 20, 1 << 21)
CONNECTIONS_MAX = 64
PLACE_KIB = 24  # of a small heap for each: one takes 3, half as many more are being told 503, and there is the store
HOT_BYTES = 64 << 20
QUOTA_BYTES_MAX = 1 << 50
BYTES_S_MIN, BYTES_S_MAX = 8000, 1 << 40
LAYOUTS = ("slabs", "log")
NEEDED = ("--listen", "--dir", "--quota", "--token-key-file")


class Screen:
    """A journal for a person who looks on."""

    def info(self, source: str, text: str) -> None:
        port.terminal.say(source + ": " + text)

    warning = error = info


def run(call: "Call") -> None:
    """Until a signal. UsageError("usage") with what is missing or wrong; PortError when it cannot listen or store."""
    options = call.options
    missing = [name for name in NEEDED if name not in options]
    if missing:
        raise UsageError("usage", f"store needs {', '.join(missing)}; see: corelet store --help")
    core, device, secret = token.alone(port.crypto(), arguments.secret(options["--token-key-file"]))
    device = options.get("--device", device)
    if not shape.fits(device, shape.ID):
        raise UsageError("usage", f"--device takes 16 hex digits in small letters; '{device}' came")
    quota = arguments.number("--quota", options["--quota"], SLOT_BYTES[0], QUOTA_BYTES_MAX)
    places = [arguments.place(word, "", 0) for word in arguments.split(options["--listen"])]
    folder = options["--dir"]
    port.terminal.guard()
    port.files.make_folder(folder)
    port.files.lock(folder)
    cores = shards.Cores(lambda name: secret if name == core else None, lambda _: port.clock.unix_time())
    cores.open = core if "--open-reads" in options else ""
    identity = (device, token.boot_at(port.clock.unix_ms()))
    flash = arguments.number("--flash-per-day", options.get("--flash-per-day", "0"), 0, QUOTA_BYTES_MAX)
    room = shards.Place(folder, quota, SLOT_BYTES, flash)
    if "--bandwidth" in options:
        room.bytes_s = arguments.number("--bandwidth", options["--bandwidth"], BYTES_S_MIN, BYTES_S_MAX)
    room.hot_bytes, room.layout = HOT_BYTES, options.get("--layout", "slabs")
    if room.layout not in LAYOUTS:
        raise UsageError("usage", f"--layout takes {' or '.join(LAYOUTS)}; '{room.layout}' came")
    service = shards.ShardService(room, identity, cores, Screen())  # type: ignore[arg-type]
    port.net.run(_serve(service, places))


async def _serve(service: shards.ShardService, places: list[tuple[str, int]]) -> None:
    listeners = [port.net.listen_tcp(host, number) for host, number in places]
    await service.open()
    share = max(1, min(CONNECTIONS_MAX, port.heap.kib() // PLACE_KIB or CONNECTIONS_MAX) // len(listeners))
    limits = http.Limits(share, http.LIMITS.head_ms, http.LIMITS.stall_ms, http.LIMITS.piece_bytes)
    handle = http.Router([("/shards/", service.handle)]).handle
    where = ", ".join([f"{host}:{one.port}" for (host, _), one in zip(places, listeners)])
    port.terminal.say(f"storing; clients come to {where}; Ctrl-C ends it")
    tasks: list[Any] = []
    lane = service.lane(lambda _, run: tasks.append(port.net.spawn(run())))
    tasks += [
        port.net.spawn(http.HttpServer(one, handle, limits, lane, service.bandwidth).serve()) for one in listeners
    ]
    try:
        for task in tasks:
            await task
    finally:
        for task in tasks:
            task.cancel()
        await service.close()
