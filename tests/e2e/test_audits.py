"""A core audits real devices of both kinds: rot and loss are found and repaired, and a lie is nobody's word."""

import asyncio
import hashlib
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.errors import TrustError
from agent.port.cpython import codec, crypto
from agent.wire import answers, audit
from tests.e2e.network import Core, Device, Network, until
from tests.e2e.shard_device import CORE, ShardDevice
from tests.e2e.shard_server import DEVICE, SECRETS
from tests.programs import RUNTIMES
from tools.gateway.objects.shards import ShardClient, Target

SIZE = 2_000_000


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path) as made:
        yield made


def paired(network: Network, core: Core, runtime: str) -> tuple[Device, str]:
    device = network.device(runtime)
    device.start("--name", f"{runtime}-{len(list(network.folder.iterdir()))}")
    return device, str(core.pair(device)["device"])


def slabs(device: Device) -> list[Path]:
    return sorted((device.state / "shards").glob("slab.*"))


def spoil(device: Device, most: int) -> int:
    """One byte of some shards in its first slab file, on the disk; how many."""
    path, count = slabs(device)[0], 0
    content = bytearray(path.read_bytes())
    slot = int(path.name.split(".")[1]) * 1024
    for start in range(0, len(content), slot):
        if content[start : start + 4] == b"Clst" and count < most:
            content[start + 128 + 7000] ^= 1
            count += 1
    path.write_bytes(content)
    return count


def ask(core: Core, device: str) -> dict[str, Any]:
    done = core.run("audit", device)
    assert done.stdout, done
    (line,) = json.loads(done.stdout)["audits"]
    found: dict[str, Any] = line
    assert done.returncode == (1 if set(found["outcomes"]) & {"lost", "corrupt", "timeout"} else 0)
    return found


def survives(core: Core) -> int:
    return int(core.ask("/objects")["objects"][0]["survives"])


def test_rot_and_loss_are_found_and_repaired(network: Network) -> None:
    core = network.core()
    devices = [paired(network, core, runtime) for runtime in ("micropython", "cpython", "micropython")]
    file = network.folder / "file"
    file.write_bytes(random.Random(1).randbytes(SIZE))
    core.say("put", str(file))
    until("all shards are there", lambda: survives(core) == 1)
    for _, identity in devices:
        line = ask(core, identity)
        assert set(line["outcomes"]) == {"ok"} and (line["missing"], line["strays"]) == (0, 0), line

    rotten, identity = devices[0]
    assert spoil(rotten, 2) == 2
    line = ask(core, identity)
    assert line["outcomes"]["corrupt"] == line["reputation"]["failures"] == 2
    assert line["reputation"]["trusted"], "two are not the end"
    until("what was rotten is there again", lambda: survives(core) == 1, 30)

    gone, identity = devices[1]
    gone.kill()
    for path in slabs(gone):
        path.unlink()
    gone.restart()
    until("it is back", lambda: core.is_up(identity))
    line = ask(core, identity)
    assert line["outcomes"]["lost"] >= 5 and not line["reputation"]["trusted"]
    assert core.row(identity)["shards"] == 0, "none of what it has not is counted"
    assert "TRUST" in core.run_plainly("devices").stdout and " lost" in core.run_plainly("devices").stdout
    assert survives(core) == 0
    fresh, name = paired(network, core, "cpython")
    until("it is made again on the others", lambda: survives(core) == 1, 60)
    assert core.row(name)["shards"] > 0 and core.row(identity)["shards"] == 0
    back = network.folder / "back"
    core.say("get", "file", "-o", str(back))
    assert back.read_bytes() == file.read_bytes()
    assert fresh.process.is_running() and all(device.process.is_running() for device, _ in devices)


class Meddler:
    """Somebody between core and device who changes one byte of the answer, `at` from its end."""

    def __init__(self, port: int, at: int) -> None:
        self._port = port
        self._at = at

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        number: int = self._server.sockets[0].getsockname()[1]
        return number

    def close(self) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        device, to_device = await asyncio.open_connection("127.0.0.1", self._port)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        to_device.write(head + await reader.readexactly(length))
        head = await device.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        body = bytearray(await device.readexactly(length))
        if self._at:
            body[-self._at] ^= 1
        writer.write(head + bytes(body))
        await writer.drain()
        for each in (writer, to_device):
            each.close()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_lying_answer_is_refused(runtime: str, tmp_path: Path) -> None:
    data = random.Random(2).randbytes(50_000)
    subject = crypto.sha256(data) + len(data).to_bytes(4, "big")

    async def through(device: ShardDevice, at: int) -> bytes:
        meddler = Meddler(device.port, at)
        port = await meddler.start()
        target = Target(DEVICE, "it", ("127.0.0.1",), port, device.boot, (65536,), 0, SECRETS[CORE], True)
        client = ShardClient(CORE, codec, crypto, lambda: int(time.time()))
        try:
            challenge = audit.Challenge(audit.LEAF, hashlib.sha256(b"nonce").digest()[:16], subject)
            records = await client.challenge(target, challenge)
            ((result, root),) = answers.read_entries(challenge, DEVICE, records)
            assert (result, root) == (audit.HAS, answers.root_of(data))
            return records
        finally:
            await client.close()
            meddler.close()

    with ShardDevice(runtime, tmp_path / "device", 8 << 20) as device:
        assert device.put(data).status == 201
        records = asyncio.run(through(device, 0))
        for at in (1, 40, 100, 300, len(records)):
            with pytest.raises(TrustError) as caught:
                asyncio.run(through(device, at))
            assert caught.value.code in ("receipt", "mac")
