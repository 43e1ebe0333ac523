"""The shard store as real processes on both interpreters: HTTP, refusals, SIGKILL, a full disk, slow readers."""

import concurrent.futures
import os
import random
import resource
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.port.cpython import crypto
from tests.e2e import needs
from tests.e2e.shard_device import CORE, OTHER, Answer, ShardDevice
from tests.e2e.shard_server import DEVICE, SECRETS
from tests.programs import RUNTIMES

MIB = 1 << 20
SLOT = 65536
MOST = SLOT - 128
IS_FULL = os.environ.get("CORELET_FULL") == "1"
KILLS = 40 if IS_FULL else 3


@pytest.fixture(params=RUNTIMES)
def device(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ShardDevice]:
    with ShardDevice(request.param, tmp_path / "device", 8 * MIB) as found:
        yield found


def sample(number: int, length: int = 20_000) -> bytes:
    return random.Random(number).randbytes(length)


def test_the_life_of_a_shard(device: ShardDevice) -> None:
    data = sample(1, MOST)
    shard = crypto.sha256(data)
    answer = device.put(data)
    receipt = device.receipt(answer)
    assert answer.status == 201 and answer.headers["Content-Type"] == "application/cose"
    assert (receipt.device, receipt.boot, receipt.operation) == (DEVICE, device.boot, "put")
    assert (receipt.shard, receipt.size, receipt.result) == (shard, MOST, "stored")
    again = device.put(data)
    assert again.status == 200 and device.receipt(again).result == "present"
    answer = device.get(data)
    assert answer.status == 200 and answer.body == data and answer.headers["Accept-Ranges"] == "bytes"
    answer = device.ask("HEAD", shard)
    assert answer.status == 200 and answer.body == b"" and answer.headers["Content-Length"] == str(MOST)
    for text, part in (
        ("0-9", data[:10]),
        ("5000-9999", data[5000:10000]),
        ("-7", data[-7:]),
        ("65000-", data[65000:]),
    ):
        answer = device.get(data, Range="bytes=" + text)
        assert answer.status == 206 and answer.body == part
        assert answer.headers["Content-Range"].endswith(f"/{MOST}")
    assert device.get(data, Range=f"bytes={MOST}-").status == 416
    assert device.get(data, Range="bytes=0-1,5-6").status == 200
    assert device.ask("GET", shard, bearer=device.bearer("get", shard, 0, core=OTHER)).status == 404
    answer = device.ask("DELETE", shard)
    assert answer.status == 200 and device.receipt(answer).result == "deleted"
    assert device.get(data).status == 404 and device.ask("DELETE", shard).status == 404
    answer = device.put(data)
    assert answer.status == 200 and device.receipt(answer).result == "present", "taken back: it was not needed yet"
    assert device.get(data).body == data


def test_what_is_only_offered(device: ShardDevice) -> None:
    """A token for an offer makes no promise, and its receipt does not say that it did."""
    data, shard = sample(1), crypto.sha256(sample(1))
    bearer = device.bearer("offer", shard, len(data))
    answer = device.ask("PUT", shard, data, bearer)
    receipt = device.receipt(answer)
    assert answer.status == 201 and (receipt.operation, receipt.result) == ("offer", "cached")
    assert device.ask("PUT", shard, data, bearer).code == "used"
    assert device.get(data).body == data
    answer = device.put(data)
    assert device.receipt(answer).result == "present" and device.get(data).body == data


def test_one_connection_serves_many(device: ShardDevice) -> None:
    conn = device.connect()
    for number in range(6):
        data = sample(number, number * 3000)
        shard = crypto.sha256(data)
        for method, body in (("PUT", data), ("GET", None), ("DELETE", None)):
            bearer = device.bearer(method.lower(), shard, len(data))
            conn.request(method, "/shards/" + shard.hex(), body, {"Authorization": "Bearer " + bearer})
            response = conn.getresponse()
            found = response.read()
            assert response.status in (200, 201) and (method != "GET" or found == data)
    conn.close()


def test_each_wrong_token_has_its_own_refusal(device: ShardDevice) -> None:
    data = sample(1)
    shard, size, now = crypto.sha256(data), len(data), int(time.time())
    for status, code, bearer in (
        (401, "token", None),
        (401, "token", "nonsense"),
        (401, "mac", device.bearer("put", shard, size, secret=bytes(32))),
        (401, "mac", device.bearer("put", shard, size, secret=SECRETS[OTHER])),
        (401, "core", device.bearer("put", shard, size, core="2" * 16, secret=bytes(32))),
        (401, "expired", device.bearer("put", shard, size, expiry=now - 5)),
        (401, "life", device.bearer("put", shard, size, expiry=now + 900)),
        (401, "boot", device.bearer("put", shard, size, token_id=b"\xff" * 8)),
        (403, "device", device.bearer("put", shard, size, device="3" * 16)),
        (403, "operation", device.bearer("get", shard, size)),
        (403, "shard", device.bearer("put", bytes(32), size)),
        (403, "size", device.bearer("put", shard, size + 1)),
        (413, "too_big", device.bearer("put", shard, MOST + 1)),
    ):
        body = data if code != "too_big" else sample(2, MOST + 1)
        answer = device.ask("PUT", shard, body, bearer)
        assert (answer.status, answer.code) == (status, code)
    assert device.slab_bytes() == 0, "nothing was refused late"
    bearer = device.bearer("put", shard, size)
    assert device.ask("PUT", shard, data, bearer).status == 201
    assert (device.ask("PUT", shard, data, bearer).status, device.ask("PUT", shard, data, bearer).code) == (409, "used")
    bearer = device.bearer("delete", shard, 0)
    assert device.ask("DELETE", shard, None, bearer).status == 200
    assert device.ask("DELETE", shard, None, bearer).status == 409
    bearer = device.bearer("delete", shard, 0)
    assert [device.ask("DELETE", shard, None, bearer).status for _ in range(2)] == [404, 404], "nothing: not used"
    other = sample(4)
    answer = device.ask("PUT", crypto.sha256(other), data, device.bearer("put", crypto.sha256(other), size))
    assert (answer.status, answer.code) == (422, "digest") and device.get(other).status == 404
    assert device.ask("POST", shard, data, None).status == 405


def test_nothing_is_read_without_a_token(device: ShardDevice) -> None:
    before = device.rss_kib()
    head = b"PUT /shards/" + b"a" * 64 + b" HTTP/1.1\r\nHost: x\r\n"
    assert device.raw(head + b"Content-Length: 99999999999\r\n\r\n").startswith(b"HTTP/1.1 401 ")
    assert device.raw(head + b"Transfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n").startswith(b"HTTP/1.1 400 ")
    bearer = device.bearer("put", b"\xaa" * 32, 5).encode()
    assert b" 411 " in device.raw(head + b"Connection: close\r\nAuthorization: Bearer " + bearer + b"\r\n\r\n")[:20]
    assert device.rss_kib() - before < 1024


def test_before_the_core_has_told_the_time(device: ShardDevice) -> None:
    data = sample(1)
    assert device.put(data).status == 201
    device.kill()
    (device.folder / "no-time").touch()
    device.start()
    answer = device.put(sample(2))
    assert (answer.status, answer.code) == (503, "no_time") and int(answer.headers["Retry-After"]) > 0
    assert device.ask("DELETE", crypto.sha256(data)).status == 503
    assert device.get(data).body == data and device.ask("HEAD", crypto.sha256(data)).status == 200


def test_a_day_of_flash(device: ShardDevice) -> None:
    """A slab of 4 MiB is made once; then as much as a day allows is taken, and no restart gives any of it back."""
    device.kill()
    (device.folder / "flash-day").write_text(str(8 * MIB))
    device.start()
    stored = 0
    while (answer := device.put(sample(stored, MOST))).status == 201:
        stored += 1
    assert (answer.status, answer.code) == (507, "flash") and 23 * 3600 < int(answer.headers["Retry-After"]) <= 90_001
    assert 40 <= stored <= 56 and device.get(sample(0, MOST)).body == sample(0, MOST)
    device.kill()
    device.start()
    assert device.put(sample(999, MOST)).code == "flash"
    assert all(device.get(sample(number, MOST)).status == 200 for number in range(stored))
    assert device.ask("DELETE", crypto.sha256(sample(0, MOST))).status == 200


def test_a_token_does_not_survive_a_restart(device: ShardDevice) -> None:
    data = sample(1)
    shard = crypto.sha256(data)
    bearer = device.bearer("put", shard, len(data))
    unused = device.bearer("put", shard, len(data))
    assert device.ask("PUT", shard, data, bearer).status == 201
    assert device.ask("DELETE", shard).status == 200
    device.kill()
    device.start()
    for old in (bearer, unused):
        answer = device.ask("PUT", shard, data, old)
        assert (answer.status, answer.code) == (401, "boot")
    assert device.put(data).status == 200, "the deleted one is taken back"


def test_the_quota_is_exact(tmp_path: Path) -> None:
    for runtime in RUNTIMES:
        with ShardDevice(runtime, tmp_path / runtime, 10 * SLOT + 5000) as device:
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                answers = list(pool.map(lambda number: device.put(sample(number)), range(16)))
            stored = [number for number, answer in enumerate(answers) if answer.status == 201]
            refused = [answer for answer in answers if answer.status != 201]
            assert len(stored) == 10 and {(answer.status, answer.code) for answer in refused} == {(507, "quota")}
            assert device.slab_bytes() == 10 * SLOT
            assert all(device.get(sample(number)).body == sample(number) for number in stored)


def test_a_bit_in_every_slot(device: ShardDevice) -> None:
    count = 20
    for number in range(count):
        assert device.put(sample(number)).status == 201
    device.kill()
    for path in (device.folder / "shards").glob("slab.*"):
        content = bytearray(path.read_bytes())
        for number in range(len(content) // SLOT):
            content[number * SLOT + 128 + number * 900] ^= 1 << number % 8
        path.write_bytes(content)
    device.start()
    for number in range(count):
        answer = device.get(sample(number))
        assert (answer.status, answer.code) == (410, "corrupt")
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and len([line for line in device.lines if "sha256" in line]) < count:
        time.sleep(0.05)
    assert len([line for line in device.lines if line.startswith("REPORT") and line.endswith("sha256")]) == count
    assert device.put(sample(3)).status == 201 and device.get(sample(3)).body == sample(3)


def _store_until_killed(device: ShardDevice, first: int) -> tuple[list[int], list[int]]:
    """Put and delete from four threads while the process dies: (receipts held, deletes begun)."""
    kept: list[int] = []
    gone: list[int] = []

    def work(lane: int) -> None:
        for number in range(first + lane, first + 400, 4):
            try:
                answer = device.put(sample(number, 500 + number % 7 * 9000))
                if answer.status == 201 and device.receipt(answer).result == "stored":
                    kept.append(number)
                if number % 5 == 0:
                    gone.append(number)
                    device.ask("DELETE", crypto.sha256(sample(number, 500 + number % 7 * 9000)))
            except (OSError, ValueError):
                return
            except Exception as error:  # http.client's own, when the process died within an answer
                assert type(error).__module__ == "http.client", error
                return

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        lanes = [pool.submit(work, lane) for lane in range(4)]
        time.sleep(random.Random(first).uniform(0.1, 0.7))
        device.kill()
        for lane in lanes:
            lane.result()
    return kept, gone


@pytest.mark.parametrize(("layout", "quota"), [("slabs", 64 * MIB), ("log", 3 * MIB)])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_killed_again_and_again(runtime: str, layout: str, quota: int, tmp_path: Path) -> None:
    """The log is small: it is being cleaned all the time."""
    (tmp_path / layout).touch()
    with ShardDevice(runtime, tmp_path, quota) as device:
        total = 0
        for turn in range(KILLS):
            kept, gone = _store_until_killed(device, turn * 1000)
            assert device.slab_bytes() <= device.quota
            device.start()
            total += len(kept)
            for number in kept:
                data = sample(number, 500 + number % 7 * 9000)
                answer = device.get(data)
                assert answer.body == data or (number in gone and answer.status == 404), "an acknowledged shard is lost"
                device.ask("DELETE", crypto.sha256(data))
        assert total > KILLS * 3, "hardly anything was stored before the kills"


@pytest.fixture(params=["size=10m", "size=64m,nr_inodes=4"])
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A tmpfs that is full soon: by bytes, or by files although statvfs shows free bytes."""
    needs.root()
    needs.program("mount")
    path = tmp_path / "disk"
    path.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", request.param, "tmpfs", path], check=False, capture_output=True
    )
    if made.returncode:
        needs.absent("needs to mount a tmpfs: " + made.stderr.decode())
    yield path
    subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_full_disk_refuses_and_loses_nothing(runtime: str, small_disk: Path) -> None:
    with ShardDevice(runtime, small_disk, 64 * MIB) as device:
        stored = 0
        while True:
            answer = device.put(sample(stored, 3000))
            if answer.status != 201:
                break
            stored += 1
        assert (answer.status, answer.code) == (507, "disk_full") and stored % 64 == 0 and 0 < stored <= 256
        for _ in range(2):
            assert all(device.get(sample(number, 3000)).body == sample(number, 3000) for number in range(stored))
            assert not list((small_disk / "shards").glob("*.new")), "a half-made slab takes the space of others"
            assert device.ask("DELETE", crypto.sha256(sample(0, 3000))).status == 200
            assert device.put(sample(0, 3000)).status == 200, "taken back"
            device.kill()
            device.start()
        assert device.ask("DELETE", crypto.sha256(sample(0, 3000))).status == 200
        assert device.put(sample(9999, 3000)).status == 201, "the slot of a deleted one needs no new slab"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_slow_readers_cost_no_memory(runtime: str, tmp_path: Path) -> None:
    with ShardDevice(runtime, tmp_path, 40 * MIB, (SLOT, MIB)) as device:
        data = sample(1, MIB - 128)
        shard = crypto.sha256(data)
        assert device.put(data).status == 201 and device.get(data).body == data
        before = device.rss_kib()
        readers = []
        for _ in range(16):
            conn = socket.socket()
            conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            conn.connect(("127.0.0.1", device.port))
            request = f"GET /shards/{shard.hex()} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
            conn.sendall((request + device.bearer("get", shard, 0) + "\r\n\r\n").encode())
            assert conn.recv(12) == b"HTTP/1.1 200"
            readers.append(conn)
        time.sleep(0.5)
        assert device.rss_kib() - before < 2048
        other = sample(2)
        assert device.put(other).status == 201 and device.get(other).body == other, "the others are served meanwhile"
        for conn in readers:
            conn.close()
        assert device.get(data).body == data and device.rss_kib() - before < 2048


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_upload_that_is_cut_gives_its_slot_back(runtime: str, tmp_path: Path) -> None:
    with ShardDevice(runtime, tmp_path, SLOT) as device:
        data = sample(1, MOST)
        shard = crypto.sha256(data)
        head = f"PUT /shards/{shard.hex()} HTTP/1.1\r\nHost: x\r\nContent-Length: {MOST}\r\nAuthorization: Bearer "
        with socket.create_connection(("127.0.0.1", device.port), timeout=5) as conn:
            conn.sendall((head + device.bearer("put", shard, MOST) + "\r\n\r\n").encode() + data[:30_000])
            time.sleep(0.3)
            assert device.put(sample(2)).code == "quota"
            assert device.put(data).code == "busy"
        deadline = time.monotonic() + 5
        while device.put(data).status != 201:
            assert time.monotonic() < deadline, "the slot was not given back"
        assert device.get(data).body == data and CORE in SECRETS


def test_no_descriptor_left(device: ShardDevice) -> None:
    """What is open goes on; the store is not taken for worn out, and what it holds not for damaged."""
    data, more = sample(1), sample(2)
    assert device.put(data).status == 201
    conn = device.connect()
    conn.request("GET", "/nothing")
    assert Answer(conn.getresponse()).status == 404
    taken = {int(name) for name in os.listdir(f"/proc/{device.pid}/fd")}
    before = resource.prlimit(device.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(device.pid, resource.RLIMIT_NOFILE, (min(set(range(1000)) - taken), before[1]))

    def ask(method: str, body: bytes, sent: bytes | None = None) -> Answer:
        shard = crypto.sha256(body)
        headers = {"Authorization": "Bearer " + device.bearer(method.lower(), shard, len(sent or b""))}
        conn.request(method, "/shards/" + shard.hex(), sent, headers)
        return Answer(conn.getresponse())

    answers = [ask("GET", data), ask("PUT", more, more), ask("GET", more)]
    resource.prlimit(device.pid, resource.RLIMIT_NOFILE, before)
    conn.close()
    assert [answer.status for answer in answers] == [200, 201, 200], [answer.body[:100] for answer in answers]
    assert answers[0].body == data and answers[2].body == more
    assert device.put(sample(3)).status == 201 and not [line for line in device.lines if "REPORT" in line]
