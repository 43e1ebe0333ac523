"""A whole device behind a home router (Debian's miniupnpd), its core and its relay's users outside: what is mapped is
offered, proven by the core's dial-back and used by aioice; it follows the router's address; it goes with the device."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import needs
from tests.e2e.lan import run
from tests.e2e.network import Core, Device, Network, until
from tests.e2e.router import DEVICE, EXTERNAL, PEER, Router
from tests.programs import ENVIRONMENT, RUNTIMES, Program
from tools.demonstration import HEAP

needs.module("aioice")

RELAY = 3478
POOL = 64
MOVED = "11.22.33.2"
HOME = "192.168.7.0/24"
WIDE = {f"heapsize={HEAP}": "heapsize=1m"}  # the usual one has no room for relay and router together

# One client and a peer outside; then two clients of this relay, whose datagrams never leave the device.
_CLIENTS = """
import asyncio, json, sys
sys.path.insert(0, ".")
from tools.turn_clients import Client, talk

class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport
    def datagram_received(self, data, source):
        self.transport.sendto(data, source)

async def ask(client, word, peer):
    for _ in range(5):  # a datagram may be lost: the second one of a user within 4 ms is above the ceiling
        client.send(word, peer)
        try:
            async with asyncio.timeout(0.5):
                assert await client.receive() == word
                return
        except TimeoutError:
            continue
    raise TimeoutError

async def main():
    server, peer = json.loads(sys.stdin.read()), sys.argv[1]
    echo, _ = await asyncio.get_running_loop().create_datagram_endpoint(Echo, local_addr=(peer, 5000))
    for transport in ("udp", "tcp"):
        async with Client(server, transport) as one, Client(server, "udp") as other:
            for number in range(20):
                await ask(one, b"word %d" % number, (peer, 5000))
            print(transport, "peer", *one.address)
            await talk(one, other, 20, 500)
            print(transport, "hairpin", *other.address)
    print("done")

asyncio.run(main())
"""


class Home:
    """The device at home, the core outside. Pairing takes a way through the router that is closed behind it."""

    def __init__(self, folder: Path, router: Router, network: Network) -> None:
        self.folder, self.router = folder, router
        self.core: Core = network.core("core", PEER, tuple(router.inside("outside")))
        self._network = network

    def pair(self, runtime: str) -> Device:
        device, router = self._network.device(runtime), self.router
        device.host = DEVICE
        device.command = router.inside("home") + [WIDE.get(word, word) for word in device.command]
        owner = device.state / "owner"
        owner.mkdir(parents=True)
        (owner / "settings.json").write_text(json.dumps({"relay": "on"}))
        device.start("--port", "0", "--data-port", "0", "--relay-port", str(RELAY))
        number = str(device.status()["control_port"])
        rule = ["forward", "iifname", router.wan, "tcp", "dport", number, "accept"]
        run(*router.inside("router"), router.nft, "insert", "rule", "inet", "filter", *rule)
        run(*router.inside("outside"), "ip", "route", "add", HOME, "via", EXTERNAL)
        self.core.pair(device)
        run(*router.inside("outside"), "ip", "route", "del", HOME)
        return device

    def ways(self) -> list[dict[str, Any]]:
        return [way for line in self.core.ask("/relays")["relays"] for way in line["ways"]]

    def is_offered_at(self, address: str) -> bool:
        """Both ways of it, and no other outside; the core has reached them."""
        wide = {way["url"]: way["is_reachable"] for way in self.ways() if way["scope"] == "wan"}
        return wide == {f"turn:{address}:{RELAY}?transport={each}": True for each in ("udp", "tcp")}

    def talk(self, address: str) -> str:
        """With credentials as the core hands them out; what they say."""
        (server,) = self.core.say("relay", "credentials", "--user", "alice")["iceServers"]
        assert all(f"turn:{address}:{RELAY}?" in url for url in server["urls"]), server
        secret = self.folder / "server.json"
        secret.write_text(json.dumps(server))
        script = ["sh", "-c", 'exec "$0" -u -c "$1" "$2" < "$3"', sys.executable, _CLIENTS, PEER, str(secret)]
        with Program("clients", self.router.inside("outside") + script, self.folder, ENVIRONMENT) as clients:
            clients.says("done", 40)
            return clients.text


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    needs.program("mosquitto")
    router = Router(tmp_path)
    try:
        with Network(tmp_path) as network:
            yield Home(tmp_path, router, network)
    finally:
        router.close()


def said(device: Device) -> str:
    """`corelet status` without its line breaks."""
    return " ".join(device.run("status").stdout.split())


PATIENCE_S = 150  # miniupnpd does three mappings a second, and other tests run beside
IS_FULL = os.environ.get("CORELET_FULL") == "1"  # the sample has one kind of device and one method


@pytest.mark.parametrize(("runtime", "method"), [("micropython", "PCP")] + [("cpython", "UPnP")] * IS_FULL)
def test_mapped_proven_used_moved_removed(home: Home, runtime: str, method: str) -> None:
    router = home.router
    router.start(method)
    device = home.pair(runtime)
    until("all mappings", lambda: len(router.mapped()) == POOL + 2, PATIENCE_S)
    assert {("udp", RELAY, f"{DEVICE}:{RELAY}"), ("tcp", RELAY, f"{DEVICE}:{RELAY}")} < router.mapped()
    until("the dial-back", lambda: home.is_offered_at(EXTERNAL), PATIENCE_S)
    sentence = f"over IPv4, the router maps ports of {EXTERNAL} to this device by {method}; a core has reached it from"
    until("the sentence", lambda: sentence in said(device))
    for line in home.talk(EXTERNAL).splitlines()[:-1]:
        _, what, address, number = line.split()
        assert what in ("peer", "hairpin") and address == EXTERNAL, "another address was told to a client"
        assert ("udp", int(number)) in {row[:2] for row in router.mapped()}
    router.set_external(MOVED)
    until("the new address", lambda: home.is_offered_at(MOVED), PATIENCE_S)
    assert f" {MOVED}\n" not in home.talk(MOVED)
    device.stop()
    until("the removal", lambda: not [row for row in router.mapped() if row[1] == RELAY], 5)
    if method == "PCP":  # UPnP takes a call for each, and the end waits for some seconds only
        until("the removal of the pool", lambda: not router.mapped(), PATIENCE_S)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_without_a_mapping_nothing_is_offered_outside(home: Home, runtime: str) -> None:
    home.router.start()
    device = home.pair(runtime)
    sentence = "only for this network: no router answers when asked to map ports; switch on UPnP or NAT-PMP in the"
    until("the sentence", lambda: sentence in said(device), PATIENCE_S)
    assert [way["scope"] for way in home.ways()] == ["lan", "lan"]
    assert "no device with a relay can be reached now" in home.core.run("relay", "credentials", "--user", "a").stderr
