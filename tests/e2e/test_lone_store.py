"""`corelet store` and `corelet-core token`: only a store, on both interpreters, with no core anywhere."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.port.cpython import crypto
from agent.wire import answers
from tests.e2e.lone_store import LoneStore
from tests.e2e.test_store import MIB, sample
from tests.programs import ENVIRONMENT, ROOT, RUNTIMES

QUOTA = 40 * MIB


def token_of(store: LoneStore, *words: str) -> str:
    """What an operator would type."""
    command = [sys.executable, "-m", "tools.gateway.cli", "token", "--key-file", str(store.key_file), *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_store_without_a_core(runtime: str, tmp_path: Path) -> None:
    data = sample(1, MIB)
    shard = crypto.sha256(data)
    with LoneStore(runtime, tmp_path / "lone", QUOTA) as store:
        bearer = token_of(store, "--op", "put", "--shard", shard.hex(), "--bytes", str(MIB))
        assert store.ask("PUT", shard, data, bearer).status == 201
        assert store.ask("PUT", shard, data, bearer).code == "used"
        assert store.ask("GET", shard, None, token_of(store, "--op", "get", "--shard", shard.hex())).body == data
        assert store.ask("GET", shard, None, None).code == "token"
        assert store.ask("GET", shard, None, bearer).code == "operation"
        other = token_of(store, "--op", "get", "--shard", shard.hex(), "--device", "0123456789abcdef")
        assert store.ask("GET", shard, None, other).code == "device"
        store.kill()
        store.start()
        assert store.ask("PUT", shard, data, bearer).code == "boot", "used before the restart"
        assert store.put(data).status == 200, "made after it: at once"
        assert store.ask("DELETE", shard, None, token_of(store, "--op", "delete", "--shard", shard.hex())).status == 200
        assert store.get(data).status == 404


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_log(runtime: str, tmp_path: Path) -> None:
    """On UBIFS and JFFS2; in 5 MiB each put needs room that another shard has left."""
    with LoneStore(runtime, tmp_path / "lone", 5 * MIB, ("--layout", "log")) as store:
        kept = [sample(number) for number in range(0, 60, 5)]
        for number in range(120):
            data = sample(number)
            assert store.put(data).status == 201, number
            if data not in kept:
                assert store.ask("DELETE", crypto.sha256(data)).status == 200
        assert [store.get(data).body for data in kept] == kept
        assert store.get(sample(1)).status == 404 and store.slab_bytes() <= 5 * MIB + 65536
        store.kill()
        assert "is of the other layout" in refused([*store.command()[:-2], "--layout", "slabs"])
        store.start()
        assert [store.get(data).body for data in kept] == kept and store.get(sample(1)).status == 404


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_open_reads_are_reads_only(runtime: str, tmp_path: Path) -> None:
    data = sample(1)
    shard = crypto.sha256(data)
    words = ("--open-reads", "--device", "0123456789abcdef")
    with LoneStore(runtime, tmp_path / "lone", QUOTA, words) as store:
        assert store.put(data).code == "device"
        assert store.put(data, device="0123456789abcdef").status == 201
        assert store.ask("GET", shard, None, None).body == data and store.ask("HEAD", shard, None, None).status == 200
        assert store.ask("GET", crypto.sha256(b"other"), None, None).status == 404
        for method, body in (("PUT", data), ("DELETE", None)):
            assert store.ask(method, shard, body, None).code == "token"
        assert store.ask("GET", shard, None, "nonsense").code == "token", "a token that is there must be right"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_wrong_words_are_one_sentence(runtime: str, tmp_path: Path) -> None:
    store = LoneStore(runtime, tmp_path / "lone", QUOTA)
    with LoneStore(runtime, tmp_path / "other", QUOTA) as running:
        taken = ["--listen", f"127.0.0.1:{running.port}"]
        held = ["--dir", str(running.folder / "shards")]
        cases = (
            (["--quota", "1"], "--quota takes 65536 to"),
            (["--layout", "tape"], "--layout takes slabs or log; 'tape' came"),
            (["--device", "x"], "--device takes 16 hex digits in small letters; 'x' came"),
            (["--listen", "127.0.0.1"], "--listen takes ADDR:PORT, such as"),
            (taken, "is in use"),
            (held, "is in use by another process; stop it or take another --state (--dir)"),
        )
        for words, part in cases:
            assert part in refused(store.command() + words), words
    assert "store needs --listen, --dir, --quota, --token-key-file; see:" in refused(store.command()[:-8])
    store.key_file.write_bytes(b"short\n\r\n")
    assert "at least 16 bytes was expected in the key file, 5 came" in refused(store.command())
    os.chmod(store.key_file, 0o640)
    assert "chmod 600" in refused(store.command())


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_bytes_of_a_day(runtime: str, tmp_path: Path) -> None:
    with LoneStore(runtime, tmp_path / "lone", QUOTA, ("--flash-per-day", "100000")) as store:
        answer = store.put(sample(1))
        assert (answer.status, answer.code) == (507, "flash") and int(answer.headers["Retry-After"]) > 0


def rotten(store: LoneStore) -> None:
    """A bit flipped in every slot, through the file system, while the store runs."""
    for path in (store.folder / "shards").glob("slab.*"):
        content = bytearray(path.read_bytes())
        for at in range(1000, len(content), 16384):
            content[at] ^= 1
        with path.open("r+b") as file:
            file.write(content)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_bit_in_every_slot_of_what_is_hot(runtime: str, tmp_path: Path) -> None:
    with LoneStore(runtime, tmp_path / "lone", QUOTA) as store:
        datas = [sample(number) for number in range(8)]
        assert [store.put(data).status for data in datas] == [201] * 8
        time.sleep(1.1)  # a slab that was written in this second is hashed again
        conn = store.connect()
        asked = [(data, crypto.sha256(data)) for data in datas]
        fields = {shard: {"Authorization": "Bearer " + store.bearer("get", shard, 0)} for _, shard in asked}
        for turn in range(6):
            if turn == 3:
                rotten(store)
            for data, shard in asked:
                conn.request("GET", f"/shards/{shard.hex()}", headers=fields[shard])
                answer = conn.getresponse()
                found = answer.read()
                if turn < 3 or runtime == "cpython":
                    assert answer.status == 200 and found == data, "verified in memory, and sent from there"
                else:
                    assert answer.status == 410 and found.startswith(b"corrupt")
        conn.close()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_fast_lane_is_the_same_server(runtime: str, tmp_path: Path) -> None:
    data, other = sample(1, MIB), sample(2, 3000)
    shard = crypto.sha256(data)
    with LoneStore(runtime, tmp_path / "lone", QUOTA) as store:
        assert store.put(data).status == store.put(other).status == 201
        time.sleep(1.1)
        bearer = store.bearer("get", shard, 0)
        head = f"GET /shards/{shard.hex()} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\n"
        plain, part = head + "\r\n", head + "Range: bytes=5-14\r\n\r\n"
        absent, last = "GET /x HTTP/1.1\r\nHost: x\r\n\r\n", head + "Connection: close\r\n\r\n"
        for _ in range(3):
            got = store.raw((plain + part + "\r\n" + plain + absent + part + last).encode())
            found = [piece.partition(b"\r\n\r\n") for piece in got.split(b"HTTP/1.1 ")[1:]]
            assert [first[:3] for first, _, _ in found] == [b"200", b"206", b"200", b"404", b"206", b"200"]
            assert [found[at][2] == data for at in (0, 2, 5)] == [True] * 3, "pipelined, in order, whole"
            assert found[1][2] == found[4][2] == data[5:15]
        for odd in ("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"):
            assert b"HTTP/1.1 400 " in store.raw((plain + head + odd).encode())
        assert store.ask("DELETE", shard).status == 200
        assert store.ask("GET", shard, None, bearer).status == 404, "deleted is gone from memory, too"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_crowd_of_strangers(runtime: str, tmp_path: Path) -> None:
    """Who begins a head and says no more takes neither the memory nor the places of who has a token."""
    data = sample(1)
    with LoneStore(runtime, tmp_path / "lone", QUOTA) as store, contextlib.ExitStack() as crowd:
        for _ in range(80):
            conn = crowd.enter_context(socket.create_connection(("127.0.0.1", store.port), timeout=10))
            conn.sendall(b"GET /")
        assert store.put(data).status == 201 and store.get(data).body == data
        assert len(store.lines) == 1, "nothing to complain about"


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_range_that_proves_itself(runtime: str, tmp_path: Path) -> None:
    data = sample(1, 100_000)
    root = answers.root_of(data)
    with LoneStore(runtime, tmp_path / "lone", QUOTA) as store:
        assert store.put(data).status == 201
        time.sleep(1.1)
        assert store.get(data).body == data, "in the fast lane from now on"
        for first, last in ((0, 1023), (1024, 65535), (98304, 99999), (2048, 4095), (0, 99_999)):
            asked = {"Range": f"bytes={first}-{last}", "Want-Merkle-Path": "1"}
            answer = store.get(data, **asked)
            nodes = bytes.fromhex(answer.headers["Merkle-Path"])
            path = [nodes[at : at + 32] for at in range(0, len(nodes), 32)]
            assert answer.status == (206 if last - first < 99_999 else 200) and answer.body == data[first : last + 1]
            assert answers.range_root(answer.body, first, len(data), path) == root
            assert answers.range_root(answer.body[::-1], first, len(data), path) != root
            assert "Merkle-Path" not in store.get(data, Range=asked["Range"]).headers
        for first, last in ((0, 1024), (1, 1023), (98304, 99998)):
            answer = store.get(data, Range=f"bytes={first}-{last}", **{"Want-Merkle-Path": "1"})
            assert (answer.status, answer.code) == (416, "range")


def offer(store: LoneStore, data: bytes) -> str:
    """What became of it."""
    shard = crypto.sha256(data)
    answer = store.ask("PUT", shard, data, store.bearer("offer", shard, len(data)))
    assert answer.status in (200, 201, 202), answer.body
    return {200: "cached", 201: "cached", 202: "declined"}[answer.status]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_the_fast_lane_answers_stays_in_the_cache(runtime: str, tmp_path: Path) -> None:
    """16 slots and no more. (On MicroPython a slab that was just written is not for the fast lane: there it is the same
    with or without it.)"""
    with LoneStore(runtime, tmp_path / "lone", 16 * 65536) as store:
        datas = [sample(number) for number in range(16)]
        assert [offer(store, data) for data in datas] == ["cached"] * 16
        time.sleep(1.1)
        assert [store.get(data).status for data in datas] == [200] * 16, "all were read: the hand goes once round"
        assert [offer(store, sample(100)) for _ in range(2)] == ["declined", "cached"]
        assert store.get(datas[1]).body == datas[1], "by the fast lane alone"
        assert [offer(store, sample(101)) for _ in range(2)] == ["declined", "cached"]
        assert [store.get(data).status for data in datas[:4]] == [404, 200, 404, 200]


def refused(command: list[str]) -> str:
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode in (1, 2) and not done.stdout and done.stderr.count("\n") == 1, (command, done)
    return done.stderr
