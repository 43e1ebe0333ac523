"""What a device needs once, to start: its board and ceilings, the listeners, the services put together. No protocol
lives here. A device that runs has forgotten this module (agent/app.py).
"""

from agent import limits, port, settings
from agent.errors import UsageError
from agent.port.options import Service
from agent.service import discovery, http, journal, lanes, shards

if False:
    from typing import Any, Callable

    from agent.device import Device
    from agent.no_relay import NoRelay
    from agent.relays import Relays
    from agent.state import Identity

CACHE_SHARE = 8  # this part of the memory holds shards that are only cached,
CACHE_BYTES_MIN = 4 << 20  # unless that is too little to be of use
# Options of `up` -> keys of the settings.
FROM_OPTIONS = (("--name", "name"), ("--board", "board"), ("--listen", "listen"))
PORTS_FROM_OPTIONS = (("--port", "control_port"), ("--data-port", "data_port"), ("--relay-port", "relay_port"))


def overrides(options: dict[str, str]) -> "dict[str, Any]":
    """Settings that the command line names. Raises UsageError("usage") with the option's name."""
    found: dict[str, Any] = {}
    for option, key in FROM_OPTIONS + PORTS_FROM_OPTIONS:
        if option not in options:
            continue
        value: Any = options[option]
        if key == "listen":
            value = [each.strip() for each in value.split(",")]
        elif (option, key) in PORTS_FROM_OPTIONS:
            is_number = 0 < len(value) <= 5 and not [each for each in value if each not in "0123456789"]
            value = int(value) if is_number else value
        try:
            found[key] = settings.checked(key, value)
        except UsageError as error:
            raise UsageError("usage", error.text.replace("settings: " + key, option, 1) + "; see: corelet up --help")
    return found


def prepare(device: "Device") -> "tuple[dict[str, Any], dict[str, int], int, Identity, journal.Journal]":
    """(what is kept of the board's profile, ceilings, boot, identity, journal); `device.settings` are complete then.
    UsageError, PortError."""
    state = device.state
    state.open()
    kept = state.read_settings()
    chosen = dict(kept)
    chosen.update(device.settings)
    device.settings = chosen
    device.missing = port.health().missing_features()
    board, device.most = _find_board(device)
    room = port.heap.shards_max() * port.heap.SLOT_BYTES_MAX
    if room:
        device.most["shard_bytes"] = min(device.most["shard_bytes"], room)
    ceilings = limits.in_force(device.most, chosen["ceilings"])
    _hold(device, board, ceilings)
    port.heap.forget(("boards.",))
    if not chosen["name"]:
        chosen["name"] = board["id"][:20] + "-" + device.crypto.entropy(2).hex()
    if kept["name"] != chosen["name"] or not port.files.exists(state.path("owner/settings.json")):
        kept["name"] = chosen["name"]
        state.write_settings(kept)
    boot = state.next_boot()
    log = journal.Journal(state.path("logs"), ceilings["log_bytes"])
    return board, ceilings, boot, state.identity(port.crypto), log


def _find_board(device: "Device") -> "tuple[dict[str, Any], dict[str, int]]":
    """(what is kept of the profile, and `recognised_by`; ceilings of this machine, before the owner's)."""
    from boards import loader

    folder = device.state.path("shards")
    size = port.files.total_bytes(folder) // 1024
    profile, how, most = loader.choose(device.settings["board"], port.health().board_evidence(), size)
    # What we already occupy counts as ours, or a full store would refuse to start again.
    used = sum([port.files.size(folder + "/" + name) for name in port.files.list(folder)])
    free_kib = port.files.free_bytes(device.folder) // 1024 + used // 1024
    lacking = [feature for feature, _ in device.missing]
    refusal = loader.refusal(profile, port.terminal.runtime(), lacking, free_kib)
    if refusal:
        raise UsageError("board", refusal)
    kept = ("id", "summary", "slot_bytes", "store_layout", "ceilings_required", "backends_denied")
    board = {key: profile[key] for key in kept}
    board["recognised_by"] = how
    return board, most


def _hold(device: "Device", board: "dict[str, Any]", ceilings: "dict[str, int]") -> None:
    """Let the strongest back end hold each ceiling; `device.levels` then. Without one that must hold, no work."""
    from agent.core.ceilings import Ceilings

    machine = Ceilings(ceilings, board.pop("backends_denied"))
    step = machine.next()
    while step:
        machine.done(step, port.heap.hold(step[0], step[2], step[3]))
        step = machine.next()
    device.levels = machine.levels
    why = machine.refusal(board.pop("ceilings_required"))
    if why:
        device.missing.append(("shards", why))
        for each in (ceilings, device.most):  # what is kept is served, nothing new is taken
            each["shard_bytes"] = each["allocations"] = 0


def relays_of(device: "Device") -> "Relays | NoRelay":
    """A Relays, or why there is none."""
    why = refusal(device)
    if why:
        from agent.no_relay import NoRelay

        return NoRelay(why)
    from agent.relays import Relays

    return Relays(device)


def refusal(device: "Device") -> str:
    """Why it is not to run, as a sentence; "" when it is."""
    choice, kib = device.settings["relay"], port.heap.kib()
    if choice == "off":
        return "switched off by the owner (relay in owner/settings.json)"
    if device.missing and device.missing[-1][0] == "shards":
        return device.missing[-1][1]
    if not device.ceilings["allocations"] or not device.ceilings["relay_bps"]:
        return "a ceiling of 0 leaves no room for it"
    if choice == "auto" and 0 < kib < port.heap.RELAY_KIB:
        wanted = f"needs a heap of {port.heap.RELAY_KIB} KiB and has {kib} KiB"
        return wanted + '; "relay": "on" in owner/settings.json tries it all the same'
    return ""


def listen(device: "Device", which: str) -> "list[Any]":
    """One listener for each address to listen on; with port 0 all of them take the first one's."""
    number, found = device.settings[which], []
    for host in device.settings["listen"] or ("",):
        found.append(port.net.listen_tcp(host, number))
        number = found[0].port
    return found


def serve(device: "Device", listeners: "list[Any]", routes: "list[tuple[str, Callable[..., Any]]]", name: str) -> None:
    usual = http.LIMITS
    lane, bandwidth, places = None, None, usual.connections_max
    if name == "data":
        lane, bandwidth = device.shards.lane(device.supervisor.spawn), device.shards.bandwidth
        places = max(1, device.ceilings["connections"] // len(listeners))
    share = http.Limits(min(places, port.heap.PLACES_MAX), usual.head_ms, usual.stall_ms, usual.piece_bytes)
    for listener in listeners:
        server = http.HttpServer(listener, http.Router(routes).handle, share, lane, bandwidth)
        device.supervisor.spawn("http " + name, server.serve)


def make_shards(device: "Device", cores: shards.Cores) -> shards.ShardService:
    slots = [size for size in device.board["slot_bytes"] if size <= port.heap.SLOT_BYTES_MAX]
    cache_bytes = min(device.ceilings["memory_kib"] * 1024 // CACHE_SHARE, port.heap.CACHE_BYTES_MAX)
    cache_bytes *= cache_bytes >= CACHE_BYTES_MIN
    day = max(1, device.ceilings["flash_bytes_day"])  # 0 is a ceiling here, and none for a store by itself
    ceilings = (device.ceilings["shard_bytes"], tuple(slots), day, cache_bytes)
    place = shards.Place(device.state.path("shards"), *ceilings)
    place.hot_bytes = lanes.hot_bytes(device.ceilings["memory_kib"])
    place.bytes_s = device.ceilings["shard_bps"] // 8
    place.layout = device.board["store_layout"]
    return shards.ShardService(place, (device.identity.device_id, device.boot), cores, device.journal)


def make_discovery(device: "Device", number: int) -> discovery.Discovery:
    name, host = device.settings["name"], "corelet-" + device.shown_id()
    service = Service("_corelet._tcp", name, host, number, list(device.settings["listen"]), [], [])
    return discovery.Discovery(port.announce(), port.net, device.journal, device.describe, service)
