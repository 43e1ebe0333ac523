"""The command `corelet relay`: this machine as a TURN server, without any full core.

Not here: the relay itself (service/relay.py). Bounds: those of agent/arguments.py.
"""

import json

from agent import arguments, port
from agent.core.relay.events import Limits
from agent.errors import UsageError
from agent.service import relay

if False:
    from agent.__main__ import Call

ALLOCATIONS_MAX = 10_000
UNPROVEN_S = 50
PORTS = "49152-65535"
ANY = ("0.0.0.0", "::")  # noqa: S104
DEFAULT_PORT = 3478


def run(call: "Call") -> None:
    """Until a signal. UsageError("usage") with what is missing or wrong; PortError when it cannot listen."""
    options = call.options
    settings, more = _settings(options), [options.get(name, "") for name in ("--tcp-ports", "--tls-cert", "--tls-key")]
    if more == ["", "", ""]:
        service = relay.compose(settings)
    else:
        from agent.service import relay_streams  # the heap of MicroPython has no room for it

        service = relay_streams.compose(settings, more[0], more[1], more[2], port.terminal.say)

    def tell() -> None:
        port.terminal.say(json.dumps(service.report()))

    port.terminal.say(f"relaying; clients come over UDP and TCP to {options['--listen']}; Ctrl-C ends it")
    try:
        service.run(tell)
    except KeyboardInterrupt:  # a runtime without signal handlers
        service.pump.stop()
    if "--stats" in options:
        tell()


def _settings(options: dict[str, str]) -> relay.RelaySettings:
    if "--listen" not in options:
        raise UsageError("usage", "relay needs --listen ADDR:PORT, where clients come to; see: corelet relay --help")
    users = _users(options)
    secrets: list[tuple[str, bytes]] = []
    if "--secret-file" in options:
        secrets = [("", line.encode()) for line in _lines(options["--secret-file"])]
    if not users and not secrets:
        text = "relay needs --secret-file, --user-file or --user: without one of them nobody could use it"
        raise UsageError("usage", text + "; see: corelet relay --help")
    listen = _listen(options["--listen"])
    allow = [_prefix(text) for text in arguments.split(options.get("--allow-peers", ""))]
    first, last = _range(options.get("--ports", PORTS))
    rate_bps = arguments.number("--rate", options.get("--rate", "0"), 0, 10**11)
    most = arguments.number("--allocations", options.get("--allocations", str(ALLOCATIONS_MAX)), 1, ALLOCATIONS_MAX)
    each = arguments.number("--user-allocations", options.get("--user-allocations", str(most)), 1, most)
    unproven_s = arguments.number("--unproven", options.get("--unproven", str(UNPROVEN_S)), 1, 10**6)
    return relay.RelaySettings(
        listen,
        _relay_hosts(options, listen),
        options.get("--realm", "corelet"),
        users,
        secrets,
        allow,
        Limits(most, each, (first, last), rate_bps, 0, unproven_s, True),
        relay.wall_clock,
    )


def _users(options: dict[str, str]) -> list[tuple[str, str]]:
    rows = [options["--user"]] if "--user" in options else []
    if "--user-file" in options:
        rows += _lines(options["--user-file"])
    users = []
    for row in rows:
        name, colon, word = row.partition(":")
        if not name or not colon or not word:
            raise UsageError("usage", "a user is NAME:PASSWORD, one in a line; one of them is not")
        users.append((name, word))
    return users


def _lines(path: str) -> list[str]:
    """Of a file that only its owner can read; empty lines and those that begin with # do not count."""
    try:
        text = arguments.secret(path).decode()
    except UnicodeError:
        raise UsageError("usage", f"{path} is not text in UTF-8")
    lines = [line.strip() for line in text.split("\n")]
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        raise UsageError("usage", f"{path} is empty; write a line into it")
    return lines


def _listen(text: str) -> list[tuple[str, int]]:
    """0.0.0.0 and :: become the addresses of this machine, so that an answer leaves from where its request came."""
    found: list[tuple[str, int]] = []
    for word in arguments.split(text):
        host, where = arguments.place(word, str(DEFAULT_PORT), 1)
        bits = 8 * len(_packed(host))
        hosts = [each for each in _own() if 8 * len(_packed(each)) == bits] if host in ANY else [host]
        found += [(each, where) for each in hosts]
    if not found:
        raise UsageError("usage", f"--listen {text} names no address of this machine")
    return found


def _own() -> list[str]:
    """Addresses of this machine without link-local ones, loopback last."""
    hosts = [host for _, host, _ in port.net.interfaces() if not host.lower().startswith(("fe80:", "169.254."))]
    return sorted(hosts, key=lambda host: host == "::1" or host.startswith("127."))


def _relay_hosts(options: dict[str, str], listen: list[tuple[str, int]]) -> tuple[str, str]:
    """(IPv4, IPv6) as RelaySettings has them: those of --relay-ip, else the first ones that it listens on."""
    pair = ["", ""]
    for text in arguments.split(options.get("--relay-ip", "")) or [host for host, _ in listen]:
        seen, slash, own = text.partition("/")
        own = own if slash else seen
        sizes = [len(_packed(seen)), len(_packed(own))]
        if sizes[0] != sizes[1] or seen in ANY or own in ANY:
            wanted = "the address that peers see, such as 192.0.2.1; behind 1:1 NAT PUBLIC/OWN, both of one family"
            raise UsageError("usage", f"--relay-ip is {wanted}; '{text}' came")
        if not own.startswith("127.") and _packed(own) not in [_packed(host) for host in _own()]:
            raise UsageError("usage", f"{own} is no address of this machine; behind 1:1 NAT: --relay-ip {seen}/OWN")
        at = 0 if sizes[0] == 4 else 1
        pair[at] = pair[at] or text
    return pair[0], pair[1]


def _packed(host: str) -> bytes:
    try:
        return port.pump().packed(host)
    except ValueError:
        raise UsageError("usage", f"'{host}' is no numeric address; write one such as 192.0.2.1 or [2001:db8::1]")


def _prefix(text: str) -> tuple[bytes, int]:
    host, _, bits = text.partition("/")
    packed = _packed(host.strip("[]"))
    return packed, arguments.number("--allow-peers", bits or str(8 * len(packed)), 0, 8 * len(packed))


def _range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    low = arguments.number("--ports", first, 1024, 65535)
    return low, arguments.number("--ports", last, low, 65535)
