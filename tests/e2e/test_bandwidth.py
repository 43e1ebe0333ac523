"""The ceiling of a store's traffic, measured at the other end of its connections: in the fast lane, beside it, and both
together; bodies that come count like bodies that go."""

import socket
import threading
import time
from pathlib import Path

import pytest

from agent.port.cpython import crypto
from tests.e2e.lone_store import LoneStore
from tests.e2e.test_store import MIB, sample
from tests.programs import RUNTIMES

RATE = 2_000_000
SECONDS = 4.0
QUOTA = 40 * MIB
SLOW = "If-Range: x\r\n"  # a field that the fast lane leaves to the other one


class Clients:
    """One that reads the same shard again and again for each entry of `fields`; `moved`: bytes both ways, as they pass
    at this end."""

    def __init__(self, store: LoneStore, data: bytes, fields: list[str]) -> None:
        self.moved = 0
        self._lock = threading.Lock()
        self._end = time.monotonic() + SECONDS + 2
        self._threads = [threading.Thread(target=self._read, args=(store, data, field)) for field in fields]
        for thread in self._threads:
            thread.start()

    def _read(self, store: LoneStore, data: bytes, field: str) -> None:
        shard = crypto.sha256(data)
        bearer = store.bearer("get", shard, 0)
        head = (
            f"GET /shards/{shard.hex()} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\n{field}\r\n".encode()
        )
        with socket.create_connection(("127.0.0.1", store.port), timeout=10) as conn:
            while time.monotonic() < self._end:
                conn.sendall(head)
                answer = b""
                while len(answer) < len(data) or not answer.endswith(data[-1000:]):
                    piece = conn.recv(65536)
                    assert piece, "refused, where it should wait"
                    with self._lock:
                        self.moved += len(piece)
                    answer += piece
                    if time.monotonic() > self._end:
                        return
                assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(data)
                with self._lock:
                    self.moved += len(head)

    def rate(self) -> float:
        """Bytes/s in SECONDS, the first of them left out."""
        time.sleep(1)
        before, began = self.moved, time.monotonic()
        time.sleep(SECONDS)
        moved, seconds = self.moved - before, time.monotonic() - began
        for thread in self._threads:
            thread.join()
        return moved / seconds


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_ceiling_from_outside(runtime: str, tmp_path: Path) -> None:
    data = sample(1, MIB)
    with LoneStore(runtime, tmp_path / "lone", QUOTA, ("--bandwidth", str(RATE))) as store:
        began = time.monotonic()
        assert [store.put(sample(number, MIB)).status for number in range(1, 5)] == [201] * 4
        took = time.monotonic() - began
        assert took >= 4 * MIB / RATE * 0.9, f"4 MiB came in {took:.2f} s"
        time.sleep(1.1)  # for the fast lane: a slab that was written in this second is hashed again
        for fields in ([""] * 4, [SLOW] * 4, ["", "", SLOW, SLOW], [""]):
            rate = Clients(store, data, fields).rate()
            assert 0.9 <= rate / RATE <= 1.03, (fields, rate / RATE)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_ceiling_that_is_too_low(runtime: str, tmp_path: Path) -> None:
    from tests.e2e.test_lone_store import refused

    store = LoneStore(runtime, tmp_path / "lone", QUOTA, ("--bandwidth", "100"))
    assert "--bandwidth takes 8000 to" in refused(store.command())
