"""Relays of the fleet: which are chosen, what survives the loss of one, keys, bounds, and what is written nowhere."""

import asyncio
import json
import ssl
import subprocess
import time
from types import SimpleNamespace

import httpx
import pytest

from agent import port
from agent.core.relay.credentials import core_secret, rest_password
from agent.errors import LimitError, PeerError, UsageError
from tests.e2e import needs
from tools.gateway import cli
from tools.gateway.registry.registry import Registry
from tools.gateway.registry.tables import Device
from tools.gateway.relays import probes, relays, web
from tools.gateway.relays.relays import DECAY_S, Answer, Relays

LAN, WAN = ["192.168.1.9", 3478, 3478, "lan"], ["203.0.113.7", 3478, 0, "wan"]


class Fleet:
    """`seconds`: device number -> the round trip that a probe sees (None: no answer)."""

    def __init__(self, folder, count=3, offers=(LAN,)):
        self.registry = Registry(folder)
        self.seconds = {}
        self.told = []
        self.presences = {}
        for number in range(1, count + 1):
            host = f"192.168.1.{number}"
            device = Device(
                f"{number:016x}", f"box-{number}", "b", "0", b"", number, bytes([number]) * 32, "paired", host, 1
            )
            self.registry.add_device(device)
            rows = [[host if row is LAN else f"9.9.9.{number}", *row[1:]] for row in offers]
            self.presences[device.id] = SimpleNamespace(is_up=True, birth={"relay": rows}, telemetry={}, born=(1, 1))
            self.seconds[number] = 0.010 * number
        self.relays = Relays(self.registry, port.crypto(), self.presences.get, self.command)
        self.relays.probe = self.probe

    async def probe(self, host, _number, _transport, _name):
        return self.seconds[int(host.rpartition(".")[2])]

    async def command(self, device, op, body, _seconds):
        self.told.append((device, op, body["reachable"]))
        return {}

    def look(self):
        """A turn in which everything is due."""
        for known in self.relays._known.values():
            for answer in known.answers.values():
                answer.at = -1e9
        asyncio.run(self.relays.look())

    def chosen(self, **wanted):
        """Numbers of the devices that a client is given."""
        servers = self.relays.issue("alice", 600, True, **wanted)["iceServers"]
        return [int(server["urls"][0].split(":")[1].rpartition(".")[2]) for server in servers]


@pytest.fixture
def fleet(tmp_path):
    made = Fleet(tmp_path)
    made.look()
    yield made
    made.registry.close()


def test_two_devices_the_least_loaded_first(fleet):
    assert fleet.chosen() == [1, 2]
    # Each that was handed out counts as in flight until the device says how many there are.
    assert [fleet.chosen() for _ in range(3)] == [[1, 3], [1, 2], [1, 2]]
    told = {"allocations": 50, "packets_up": 0, "packets_down": 0, "bytes_up": 0, "bytes_down": 0}
    fleet.presences[f"{1:016x}"].telemetry = {"relay": told}
    fleet.look()
    assert sorted(fleet.chosen()) == [2, 3]


def test_a_device_that_is_lost_leaves_one_in_the_list(fleet):
    fleet.presences[f"{1:016x}"].is_up = False
    assert fleet.chosen() == [2, 3]
    fleet.seconds[2] = None
    fleet.look()
    assert 2 in fleet.chosen(), "one lost probe is no loss of the device"
    fleet.look()
    assert fleet.chosen() == [3]
    fleet.seconds[3] = None
    for _ in range(2):
        fleet.look()
    with pytest.raises(LimitError, match="relay list"):
        fleet.chosen()
    fleet.seconds[3] = 0.02
    fleet.look()
    assert fleet.chosen() == [3]


def test_a_forgotten_device_is_out_at_once(fleet):
    fleet.registry.remove_device(f"{1:016x}")
    assert fleet.chosen() == [2, 3]
    fleet.registry.part_device(f"{2:016x}")
    assert fleet.chosen() == [3]


def test_a_peak_counts_at_once_and_fades():
    answer, now = Answer(), 1000.0
    answer.hear(0.010, now)
    answer.hear(0.500, now + 1)
    assert answer.rtt_s == 0.500
    answer.hear(0.010, now + 2)
    assert 0.4 < answer.rtt_s < 0.5
    answer.hear(0.010, now + 2 + 5 * DECAY_S)
    assert answer.rtt_s < 0.02


def test_credentials_are_those_that_the_device_computes(fleet):
    before = int(time.time())
    server = fleet.relays.issue("alice@example.org", 600, True)["iceServers"][0]
    expiry, _, user = server["username"].partition(":")
    assert user == "alice@example.org" and before + 600 <= int(expiry) <= before + 602
    secret = core_secret(port.crypto(), bytes([1]) * 32)
    assert len(secret) == 64
    assert server["credential"] == rest_password(port.crypto(), secret, server["username"].encode()).decode()
    assert server["urls"] == ["turn:192.168.1.1:3478?transport=udp", "turn:192.168.1.1:3478?transport=tcp"]


@pytest.mark.parametrize("user", ("", "x" * 65, "a b", "a:b", "a/b", "\x1b[2J", "Zoë", "a\n"))
def test_users_are_bounded(fleet, user):
    with pytest.raises(UsageError):
        fleet.relays.issue(user, 600, True)


@pytest.mark.parametrize("ttl_s", (0, 59, 86401, -1))
def test_a_life_is_bounded(fleet, ttl_s):
    with pytest.raises(UsageError):
        fleet.relays.issue("alice", ttl_s, True)


def test_outside_only_what_can_be_reached_from_outside(tmp_path):
    fleet = Fleet(tmp_path, offers=(LAN, WAN))
    fleet.look()
    servers = fleet.relays.issue("alice", 600, False)["iceServers"]
    assert [server["urls"] for server in servers] == [[f"turn:9.9.9.{number}:3478?transport=udp"] for number in (1, 2)]
    assert fleet.told[0][2] == [["192.168.1.1", 3478, "udp"], ["192.168.1.1", 3478, "tcp"], ["9.9.9.1", 3478, "udp"]]
    count = len(fleet.told)
    fleet.look()
    assert len(fleet.told) == count, "told again though nothing changed"
    fleet.presences[f"{1:016x}"].born = (2, 1)
    fleet.look()
    assert len(fleet.told) == count + 1, "a device that started anew was not told"
    only_lan = Fleet(tmp_path / "lan" if (tmp_path / "lan").mkdir() is None else tmp_path)
    only_lan.look()
    with pytest.raises(LimitError, match="--lan"):
        only_lan.relays.issue("alice", 600, False)


def test_tls_where_the_owner_has_it_by_the_name_that_clients_verify(tmp_path):
    fleet = Fleet(tmp_path, 2, offers=(LAN, ["x", 3478, 443, "wan"], WAN))
    for number, name in ((1, "turn.example.org"), (2, "*")):
        fleet.presences[f"{number:016x}"].birth["relay_tls"] = name
    fleet.look()
    urls = [server["urls"] for server in fleet.relays.issue("alice", 600, True)["iceServers"]]
    for number, found, name in zip((1, 2), urls, ("turn.example.org", ""), strict=True):
        wan, lan = f"9.9.9.{number}", f"192.168.1.{number}"
        assert found == [
            f"turn:{wan}:3478?transport=udp",
            f"turn:{wan}:443?transport=tcp",
            f"turns:{name or wan}:443?transport=tcp",
            f"turn:{lan}:3478?transport=udp",
            f"turn:{lan}:3478?transport=tcp",
            f"turns:{name or lan}:3478?transport=tcp",
        ]
    assert {row[2] for _, _, rows in fleet.told for row in rows} == {"udp", "tcp"}, "what every device knows"
    assert [way["url"][:6] for way in fleet.relays.listed()[0]["ways"]].count("turns:") == 2
    fleet.registry.close()


def test_an_older_device_that_takes_no_dial_back_is_asked_once(fleet):
    asked = []

    async def refuse(device, *_):
        asked.append(device)
        raise PeerError("command", "this device knows no command 'relay'")

    fleet.relays._command = refuse
    for presence in fleet.presences.values():
        presence.born = (2, 1)
    fleet.look()
    fleet.look()
    assert len(asked) == 3


def test_what_was_relayed_is_kept_over_restarts(fleet):
    for packets, total in ((10, 10), (15, 15), (4, 19), (4, 19), (6, 21)):
        told = {"allocations": 0, "packets_up": packets, "packets_down": 0, "bytes_up": packets * 100, "bytes_down": 0}
        fleet.presences[f"{1:016x}"].telemetry = {"relay": told}
        fleet.look()
        assert fleet.relays.listed()[0]["packets"] == total
    assert fleet.relays.summary()["bytes"] == 2100 and fleet.registry.relayed() == {f"{1:016x}": (21, 2100)}


def test_a_device_that_tells_lies_ends_at_a_number_and_not_the_core(fleet):
    most = (1 << 53) - 1
    for count in [most, 0] * 3:
        fleet.registry.note_relayed("d", 2 * count, count)
    assert fleet.registry.relayed() == {"d": (1 << 53, 1 << 53)}


def test_a_device_that_hangs_keeps_no_other_waiting(tmp_path, monkeypatch):
    """Neither one that never answers at any of its many addresses nor one whose command is never done."""
    monkeypatch.setattr(relays, "TICK_S", 0.01)
    monkeypatch.setattr(relays, "PROBE_EVERY_S", 0.05)
    monkeypatch.setattr(relays, "ASKED_AT_ONCE", 8)
    fleet, counts, hanging = Fleet(tmp_path, 3, (LAN, WAN)), [0] * 4, [0, 0]
    ways = [[f"9.9.8.{number}", 3478, 0, "wan"] for number in range(1, 16)]
    fleet.presences[f"{1:016x}"].birth = {"relay": ways}

    async def probe(host, _number, _transport, _name):
        if host.startswith("9.9.8."):
            hanging[0] += 1
            hanging[1] = max(hanging)
            try:
                await asyncio.sleep(3600)
            finally:
                hanging[0] -= 1
        counts[int(host.rpartition(".")[2])] += 1
        return 0.01

    async def command(device, *_):
        if device == f"{2:016x}":
            await asyncio.sleep(3600)

    fleet.relays.probe, fleet.relays._command = probe, command

    async def work():
        running = asyncio.create_task(fleet.relays.run())
        for _ in range(500):
            await asyncio.sleep(0.01)
            if counts[3] >= 9:
                break
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(work())
    assert counts[3] >= 9 and 0 < counts[2] < 4 and hanging == [0, relays.ASKED_OF_ONE]
    fleet.registry.close()


def test_what_one_device_makes_fail_concerns_no_other(fleet):
    for known in fleet.relays._known.values():
        for answer in known.answers.values():
            answer.at = -1e9
    slow = asyncio.Event()

    async def probe(host, *_way):
        if host.endswith(".1"):
            raise RuntimeError("a defect of ours")
        await slow.wait()
        fleet.told.append(host)
        return 0.01

    async def main():
        fleet.relays.probe, fleet.told = probe, []
        running = asyncio.create_task(fleet.relays.run())
        await asyncio.sleep(2.5 * relays.TICK_S)
        slow.set()
        await asyncio.sleep(0.1)
        assert not running.done() and {"192.168.1.2", "192.168.1.3"} <= set(fleet.told)
        running.cancel()

    asyncio.run(main())


async def asked(fleet, *requests):
    """Answers of the endpoint to (path, key) each."""
    transport = httpx.ASGITransport(app=web.app(fleet.relays))
    async with httpx.AsyncClient(transport=transport, base_url="http://core") as client:
        heads = [{"Authorization": f"Bearer {key}"} if key else {} for _, key in requests]
        return [await client.get(path, headers=head) for (path, _), head in zip(requests, heads, strict=True)]


def test_the_endpoint(fleet, tmp_path, caplog):
    key = fleet.relays.new_key("app", True)
    path = "/ice-servers?user=alice"
    found = asyncio.run(
        asked(
            fleet, (path, ""), (path, "nonsense"), (path, key[:-1]), (path, key), (path + "&ttl=60", key),
            (path + "&ttl=x", key), ("/ice-servers?user=a%20b", key), ("/ice-servers", key), ("/other", key),
        )
    )  # fmt: skip
    assert [answer.status_code for answer in found] == [401, 401, 401, 200, 200, 400, 400, 400, 404]
    assert found[8].json()["code"] == "not_found"
    assert found[0].headers["www-authenticate"] == "Bearer" and found[3].headers["cache-control"] == "no-store"
    body = found[3].json()
    assert len(body["iceServers"]) == 2 and body["ttl"] == 3600 and found[4].json()["ttl"] == 60
    assert set(body["iceServers"][0]) == {"urls", "username", "credential"}
    secrets = [key, *(server["credential"] for server in body["iceServers"])]
    files = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    for secret in secrets:
        assert secret not in caplog.text and secret.encode() not in files
    fleet.registry.remove_relay_key("app")
    assert asyncio.run(asked(fleet, (path, key)))[0].status_code == 401
    outside = fleet.relays.new_key("outside", False)
    answer = asyncio.run(asked(fleet, (path, outside)))[0]
    assert answer.status_code == 503 and answer.json()["code"] == "no_relay", "a LAN address was named outside"


def test_keys(fleet):
    assert fleet.relays.new_key("app", False) != fleet.relays.new_key("app2", False)
    with pytest.raises(UsageError, match="already"):
        fleet.relays.new_key("app", False)
    with pytest.raises(UsageError):
        fleet.relays.new_key("a b", False)
    with pytest.raises(UsageError, match="no key"):
        fleet.registry.remove_relay_key("other")
    for number in range(98):
        fleet.relays.new_key(f"k{number}", False)
    with pytest.raises(LimitError):
        fleet.relays.new_key("more", False)


def test_a_probe_believes_only_the_answer_to_its_question():
    class Liar(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, address):
            self.transport.sendto(b"\x01\x01" + data[2:8] + bytes(12), address)

    async def work():
        loop = asyncio.get_running_loop()
        endpoint, _ = await loop.create_datagram_endpoint(Liar, local_addr=("127.0.0.1", 0))
        number = endpoint.get_extra_info("sockname")[1]
        assert await probes.measure("127.0.0.1", number, "udp") is None
        assert await probes.measure("127.0.0.1", number, "tcp") is None  # nobody listens
        endpoint.close()

    asyncio.run(work())


def test_a_probe_over_tls_comes_by_a_name_that_leads_there(tmp_path):
    cert, key = tmp_path / "cert", tmp_path / "key"
    made = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {key} -out {cert} -subj /CN=x"
    subprocess.run([needs.program("openssl"), *made.split()], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    came = []
    context.sni_callback = lambda _, name, __: came.append(name)

    async def serve(reader, writer):
        question = await reader.readexactly(20)
        writer.write(b"\x01\x01" + question[2:])
        writer.close()

    async def work():
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        number = server.sockets[0].getsockname()[1]
        found = [
            await probes.measure("127.0.0.1", number, "tls", name)
            for name in ("localhost", "", "a..b", "x" * 64, "no-such-name.invalid", "127.0.0.2")
        ]
        assert await probes.measure("127.0.0.1", number, "tcp") is None
        server.close()
        assert [seconds is not None for seconds in found] == [True, True, False, False, False, False]

    asyncio.run(work())
    assert came == ["localhost", None]


def test_words(capsys):
    options = cli.parser().parse_args(["up", "--web", "8480"])
    assert options.web == ("127.0.0.1", 8480)
    assert cli.parser().parse_args(["up", "--web", "[::1]:1"]).web == ("::1", 1)
    for wrong in ("host:1", "x", "1.2.3.4:99999"):
        with pytest.raises(SystemExit):
            cli.parser().parse_args(["up", "--web", wrong])
    capsys.readouterr()
    assert json.dumps(cli.parser().parse_args(["relay", "key", "new", "app", "--lan"]).words) == '["key", "new", "app"]'
