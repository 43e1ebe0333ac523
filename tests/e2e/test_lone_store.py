"""`corelet store` and `corelet-core token`: only a store, on both interpreters, with no core anywhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.port.cpython import crypto
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
            (["--device", "x"], "--device takes 16 hex digits in small letters; 'x' came"),
            (["--listen", "127.0.0.1"], "--listen takes 0 to 65535"),
            (taken, "is in use"),
            (held, "is in use"),
        )
        for words, part in cases:
            assert part in refused(store.command() + words), words
    assert "store needs --listen, --dir, --quota, --token-key-file; see:" in refused(store.command()[:-8])
    store.key_file.write_bytes(b"short\n\r\n")
    assert "at least 16 bytes was expected in the key file, 5 came" in refused(store.command())
    os.chmod(store.key_file, 0o640)
    assert "chmod 600" in refused(store.command())


def refused(command: list[str]) -> str:
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode in (1, 2) and not done.stdout and done.stderr.count("\n") == 1, (command, done)
    return done.stderr
