"""The relay of a whole device, with credentials from a whole core, used by aioice: both kinds of device."""

import asyncio
import json
import signal
import socket
import sqlite3
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent import port
from agent.core.relay.credentials import core_secret, rest_password
from tests.e2e import needs
from tests.e2e.network import Core, Device, Network, until
from tests.e2e.relay.servers import make_certificate
from tests.programs import RUNTIMES

needs.module("aioice")
from aioice import turn  # noqa: E402

from tools import turn_clients  # noqa: E402 (after the check that aioice is there)

both = pytest.mark.parametrize("runtime", RUNTIMES)


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    needs.program("mosquitto")
    with Network(tmp_path) as made:
        yield made


def relaying(network: Network, core: Core, runtime: str) -> tuple[Device, str]:
    """A paired device with a relay that answers the core."""
    device = network.device(runtime)
    device.command = [word.replace("heapsize=512k", "heapsize=768k") for word in device.command]
    device.start()
    device_id = core.pair(device)["device"]
    until("its relay", lambda: reachable(core, device_id), 30)
    return device, device_id


def set_owner(device: Device, values: dict[str, Any]) -> None:
    """Into owner/settings.json of a device that does not run."""
    file = device.state / "owner" / "settings.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    kept = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(kept | values))


def reachable(core: Core, device_id: str) -> bool:
    relays = core.ask("/relays")["relays"]
    return any(way["is_reachable"] for line in relays if line["id"] == device_id for way in line["ways"])


def servers(core: Core, user: str, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = core.say("relay", "credentials", "--user", user, "--lan", *words)["iceServers"]
    return found


async def call(one: dict[str, Any], other: dict[str, Any], transport: str = "udp") -> None:
    async with turn_clients.Client(one, transport) as alice, turn_clients.Client(other, transport) as bob:
        await turn_clients.talk(alice, bob, 20, 160)


async def is_refused(server: dict[str, Any]) -> bool:
    try:
        async with turn_clients.Client(server):
            return False
    except Exception as error:  # aioice's own kinds
        assert "401" in str(error), error
        return True


async def allocations(device: Device) -> int:
    return int((await asyncio.to_thread(device.status))["relay"]["allocations"])


def server_at(device: Device, found: list[dict[str, Any]]) -> dict[str, Any]:
    """The entry for `device`."""
    number = device.status()["relay"]["port"]
    return next(each for each in found if f":{number}?" in each["urls"][0])


@both
def test_a_call_with_credentials_of_the_core(network: Network, runtime: str) -> None:
    core = network.core()
    device, device_id = relaying(network, core, runtime)
    alice, bob = servers(core, "alice")[0], servers(core, "bob")[0]
    for transport in ("udp", "tcp"):
        asyncio.run(call(alice, bob, transport))
    relay = device.status()["relay"]
    assert relay["on"] and relay["allocated"] == 4 and set(relay["users"]) == {f"{core.id}/alice", f"{core.id}/bob"}
    assert relay["total"][1] >= 80 and relay["total"][2] >= 80 * 160
    until("the end of the allocations", lambda: device.status()["relay"]["allocations"] == 0, 5)
    shown = device.run("status").stdout
    assert f"relay     port {relay['port']}, 0 allocations now" in shown, shown
    proofs = {tuple(row) for row in relay["proofs"]}
    assert proofs == {("127.0.0.1", relay["port"], kind) for kind in ("udp", "tcp")}, "no dial-back was told"

    # Without the secret, and when the time is over, also for a name that is known here.
    assert asyncio.run(is_refused(alice | {"credential": "x" * 28}))
    secret = core_secret_of(core, device_id)
    name = f"{int(time.time()) - 5}:alice"
    old = {"username": name, "credential": rest_password(port.crypto(), secret, name.encode()).decode()}
    assert asyncio.run(is_refused(alice | old))
    name = f"{int(time.time()) + 50}:alice"
    new = {"username": name, "credential": rest_password(port.crypto(), secret, name.encode()).decode()}
    assert not asyncio.run(is_refused(alice | new))
    assert device.status()["relay"]["refused"]["401"] >= 2


def core_secret_of(core: Core, device_id: str) -> bytes:
    """As the core derives it."""
    with sqlite3.connect(core.state / "registry.sqlite") as registry:
        row = registry.execute("select link_secret from devices where id = ?", (device_id,)).fetchone()
    return core_secret(port.crypto(), row[0])


@both
def test_leaving_ends_allocations_at_once(network: Network, runtime: str) -> None:
    core = network.core()
    device, _ = relaying(network, core, runtime)
    second = network.core("second")
    second.pair(device, device.say("pair-window")["code"])
    until("the second core's view", lambda: second.ask("/relays")["relays"][0]["ways"], 30)
    until("an answer to it", lambda: servers_or_none(second), 30)

    async def work() -> None:
        mine, theirs = servers(core, "alice")[0], servers(second, "bob")[0]
        async with turn_clients.Client(theirs) as bob, turn_clients.Client(theirs) as carol:
            alice = turn_clients.Client(mine)
            await alice.__aenter__()
            assert await allocations(device) == 3
            await asyncio.to_thread(device.say, "leave", core.id)
            assert await allocations(device) == 2, "the allocation of a core that was left lives on"
            assert await is_refused(mine)
            await turn_clients.talk(bob, carol, 5, 160)

    asyncio.run(work())
    number = device.status()["relay"]["port"]
    second.say("forget", device.status()["device"], "--force")
    until("the end of its relay", lambda: not device.status()["relay"]["on"], 20)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(("127.0.0.1", number))


def servers_or_none(core: Core) -> bool:
    return core.run("relay", "credentials", "--user", "x", "--lan").returncode == 0


def test_a_small_heap_says_what_it_lacks(network: Network) -> None:
    core, device = network.core(), network.device("micropython")
    device.start()
    core.pair(device)
    assert "off: needs a heap of 752 KiB and has 5" in " ".join(device.run("status").stdout.split())


def test_the_loss_of_a_device_in_a_call(network: Network) -> None:
    """The list that the client has holds another device: its next allocation is there."""
    core = network.core()
    devices = [relaying(network, core, "cpython")[0] for _ in range(2)]
    found = servers(core, "alice")
    assert len(found) == 2

    first, second = found
    victim = next(each for each in devices if server_at(each, found) is first)

    async def work() -> None:
        async with turn_clients.Client(first) as alice, turn_clients.Client(first) as bob:
            await turn_clients.talk(alice, bob, 5, 160)
            victim.kill()
            with pytest.raises(TimeoutError):
                await turn_clients.talk(alice, bob, 1, 160)
            started = time.monotonic()
            await call(second, second)
            assert time.monotonic() - started < turn_clients.ANSWER_S

    asyncio.run(work())
    until("the core's list", lambda: len(servers(core, "bob")) == 1, 20)
    asyncio.run(call(servers(core, "bob")[0], servers(core, "carol")[0]))


def test_the_owner_decides(network: Network) -> None:
    core = network.core()
    device, device_id = relaying(network, core, "cpython")
    number = device.status()["relay"]["port"]
    for values, why in (
        ({"relay": "off"}, "switched off by the owner"),
        ({"relay": "on", "ceilings": {"allocations": 0}}, "a ceiling of 0"),
        ({"relay": "on", "ceilings": {"allocations": 2}}, ""),
    ):
        device.stop()
        set_owner(device, values)
        device.restart()
        until("its return", lambda: core.is_up(device_id))
        if why:
            assert not device.status()["relay"]["on"] and why in " ".join(device.run("status").stdout.split())
            until("the core's view", lambda: core.ask("/relays")["relays"][0]["ways"] == [], 5)
    until("its relay", lambda: reachable(core, device_id), 30)

    async def work() -> None:
        server = servers(core, "alice")[0]
        async with turn_clients.Client(server), turn_clients.Client(server):
            with pytest.raises(Exception, match="486|508"):
                await turn_clients.Client(server).__aenter__()

    asyncio.run(work())
    # A port that is taken is said, and no other is taken in its place.
    device.stop()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        set_owner(device, {"relay": "on", "ceilings": {}})
        number = taken.getsockname()[1]
        device.start("--relay-port", str(number), "--port", "0", "--data-port", "0", ready="  core ")
        until("its word", lambda: str(number) in device.status().get("relay", {}).get("why", ""))
        assert not device.status()["relay"]["on"]


def test_tls_is_offered_by_the_name_in_the_certificate(network: Network, tmp_path: Path) -> None:
    """And used so by aioice, which verifies it. It goes with the owner's setting."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {key} -out {cert} -subj /CN=x"
    names = "subjectAltName=DNS:*.localhost,DNS:localhost,IP:127.0.0.1"
    subprocess.run([needs.program("openssl"), *made.split(), "-addext", names], check=True, capture_output=True)
    core, device = network.core(), network.device("cpython")
    set_owner(device, {"relay_tls_cert": str(cert), "relay_tls_key": str(key)})
    device.start()
    device_id = core.pair(device)["device"]
    number = device.status()["relay"]["port"]
    url = f"turns:localhost:{number}?transport=tcp"
    until("its relay", lambda: reachable(core, device_id), 30)
    until("TLS", lambda: url in servers(core, "alice")[0]["urls"], 30)
    assert url in core.run("relay", "list").stdout

    async def work() -> None:
        server, trust = servers(core, "alice")[0], ssl.create_default_context(cafile=str(cert))
        endpoint, _ = await turn.create_turn_endpoint(
            turn_clients.Mailbox, server_addr=("localhost", number), username=server["username"],
            password=server["credential"], transport="tcp", ssl=trust,
        )  # fmt: skip
        assert await allocations(device) == 1
        endpoint.close()

    asyncio.run(work())
    device.stop()
    set_owner(device, {"relay_tls_cert": "", "relay_tls_key": ""})
    device.restart()
    until("no more TLS", lambda: url not in core.run("relay", "list").stdout, 30)


def test_the_endpoint_of_applications(network: Network) -> None:
    core = network.core()
    core.process.stop(signal.SIGINT)
    core.process.command += ["--web", "0"]
    core.start()
    _, device_id = relaying(network, core, "cpython")
    made = core.say("relay", "key", "new", "app", "--lan")
    url = made["url"] + "/ice-servers?user=alice"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url, timeout=10)
    assert refused.value.code == 401
    request = urllib.request.Request(url, headers={"Authorization": "Bearer " + made["key"]})
    with urllib.request.urlopen(request, timeout=10) as answer:
        found = json.loads(answer.read())["iceServers"]
    asyncio.run(call(found[0], found[0]))
    core.say("relay", "key", "remove", "app")
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(request, timeout=10)
    # Nothing secret in what it wrote or in how it was called.
    secrets = [made["key"].encode(), found[0]["credential"].encode(), core_secret_of(core, device_id)]
    written = [file.read_bytes() for file in [*core.state.rglob("*.log"), core.process.log]]
    written.append(Path(f"/proc/{core.process.pid}/cmdline").read_bytes())
    assert not [secret for secret in secrets for text in written if secret in text]


def test_what_is_wrong_with_a_renewed_certificate_is_in_the_log(network: Network, tmp_path: Path) -> None:
    cert, key = make_certificate(tmp_path)
    device = network.device("cpython")
    set_owner(device, {"relay_tls_cert": str(cert), "relay_tls_key": str(key)})
    device.start()
    core = network.core()
    device_id = core.pair(device)["device"]
    until("its relay", lambda: reachable(core, device_id), 30)
    where = ("127.0.0.1", device.status()["relay"]["port"])
    shown = ssl.get_server_certificate(where)
    assert shown.split() == cert.read_text().split()
    cert.write_text("no certificate")
    assert ssl.get_server_certificate(where) == shown
    until("a line in its log", lambda: "the TLS certificate stays the one before" in device.run("logs").stdout)
