"""Audits of a shard listener on both interpreters: what is there is proven, what is gone or rotten is found."""

import functools
import hashlib
import operator
import os
import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.port.cpython import codec, crypto
from agent.wire import answers, audit, full_core
from tests.e2e.shard_device import CORE, OTHER, Answer, ShardDevice
from tests.e2e.shard_server import DEVICE, SECRETS
from tests.programs import RUNTIMES

SIZES = (0, 1, 1024, 5000, 20_000, 65_408)


@pytest.fixture(params=RUNTIMES)
def device(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ShardDevice]:
    with ShardDevice(request.param, tmp_path / "device", 8 << 20) as found:
        yield found


def sample(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def subject(*bodies: bytes) -> bytes:
    return b"".join(crypto.sha256(body) + len(body).to_bytes(4, "big") for body in bodies)


def ask(device: ShardDevice, question: bytes, bearer: str = "") -> Answer:
    conn = device.connect()
    try:
        bearer = bearer or device.bearer("audit", crypto.sha256(question), len(question))
        conn.request("POST", "/audit", question, {"Authorization": "Bearer " + bearer})
        return Answer(conn.getresponse())
    finally:
        conn.close()


def records(device: ShardDevice, kind: int, about: bytes, core: str = CORE) -> tuple[audit.Challenge, bytes]:
    """What the device has signed for a fresh challenge."""
    challenge = audit.Challenge(kind, os.urandom(16), about)
    question = answers.encode_challenge(codec, challenge)
    bearer = device.bearer("audit", crypto.sha256(question), len(question), core=core)
    answer = ask(device, question, bearer)
    assert answer.status == 200, answer.body
    length = audit.records_bytes(challenge, DEVICE)
    receipt = full_core.decode_receipt(codec, crypto, SECRETS[core], answer.body[length:])
    asked = answers.Asked(DEVICE, receipt.token_id)
    answers.check_receipt(asked, crypto.sha256(question + answer.body[:length]), length, receipt)
    assert receipt.boot == device.boot
    return challenge, answer.body[:length]


def entries(device: ShardDevice, kind: int, *bodies: bytes) -> tuple[audit.Challenge, list[tuple[int, bytes]]]:
    challenge, found = records(device, kind, subject(*bodies))
    return challenge, answers.read_entries(challenge, DEVICE, found)


def flip(device: ShardDevice, body: bytes) -> None:
    """One bit of the shard, on the disk."""
    for path in (device.folder / "shards").glob("slab.*"):
        content = path.read_bytes()
        at = content.find(crypto.sha256(body))
        if at >= 0:
            with path.open("r+b") as file:
                file.seek(at - 40 + 128 + len(body) // 2)
                file.write(bytes([body[len(body) // 2] ^ 4]))
            return
    raise AssertionError("the shard is not on the disk")


def test_all_sizes_are_proven(device: ShardDevice) -> None:
    bodies = [sample(size) for size in SIZES]
    for body in bodies:
        assert device.put(body).status == 201
    for _ in range(3):  # other nonces, other leaves
        _, found = entries(device, audit.LEAF, *bodies)
        assert found == [(audit.HAS, answers.root_of(body)) for body in bodies]
    challenge, found = entries(device, audit.WHOLE, *bodies)
    assert found == [(audit.HAS, hashlib.sha256(challenge.nonce + body).digest()) for body in bodies]


def test_lost_rotten_and_foreign(device: ShardDevice) -> None:
    bodies = [sample(size) for size in (20_000, 30_000, 40_000, 50_000)]
    for body in bodies[:3]:
        assert device.put(body).status == 201
    flip(device, bodies[1])
    assert device.ask("DELETE", crypto.sha256(bodies[2])).status == 200
    wanted = [audit.HAS, audit.CORRUPT, audit.LOST, audit.LOST]
    for kind in (audit.LEAF, audit.WHOLE, audit.LEAF):
        assert [result for result, _ in entries(device, kind, *bodies)[1]] == wanted
    assert device.get(bodies[1]).status == 410
    assert any(crypto.sha256(bodies[1]).hex() + ": sha256" in line for line in device.lines)
    challenge, found = records(device, audit.LEAF, subject(bodies[0]), OTHER)
    assert answers.read_entries(challenge, DEVICE, found) == [(audit.LOST, b"")], "another core's shard"
    assert device.put(bodies[1]).status == 201
    assert entries(device, audit.LEAF, bodies[1])[1] == [(audit.HAS, answers.root_of(bodies[1]))]


def test_64_shards_in_one_round_trip_and_then_a_pause(device: ShardDevice) -> None:
    bodies = [sample(1000 + size) for size in range(64)]
    for body in bodies:
        assert device.put(body).status == 201
    before = device.rss_kib()
    for _ in range(2):
        _, found = entries(device, audit.LEAF, *bodies)
        assert found == [(audit.HAS, answers.root_of(body)) for body in bodies]
    challenge = audit.Challenge(audit.LEAF, bytes(16), subject(*bodies))
    answer = ask(device, answers.encode_challenge(codec, challenge))
    assert (answer.status, answer.code) == (503, "busy") and 0 < int(answer.headers["Retry-After"]) <= 64
    assert records(device, audit.DIGEST, b"", OTHER)[1], "another core has an allowance of its own"
    assert device.rss_kib() - before < 1024
    assert device.get(bodies[0]).body == bodies[0]


def test_the_inventory(device: ShardDevice) -> None:
    bodies = [sample(2000 + size) for size in range(60)]
    for body in bodies:
        assert device.put(body).status == 201
    keys = [crypto.sha256(body)[:5] for body in bodies]
    found = answers.read_digest(records(device, audit.DIGEST, b"")[1])
    for bucket, (count, total) in enumerate(found):
        own = [int.from_bytes(key, "big") for key in keys if key[0] >> 4 == bucket]
        assert count == len(own)
        assert total == functools.reduce(operator.xor, own, 0)
        following, listed = answers.read_page(records(device, audit.LIST, bytes([bucket, 0, 0, 0, 0]))[1])
        assert following == 0 and sorted(listed) == sorted(key for key in keys if key[0] >> 4 == bucket)
    flip(device, bodies[0])
    assert device.get(bodies[0]).status == 410
    found = answers.read_digest(records(device, audit.DIGEST, b"")[1])
    assert sum(count for count, _ in found) == 59, "what is quarantined is not there"
    assert answers.read_digest(records(device, audit.DIGEST, b"", OTHER)[1]) == [(0, 0)] * 16


def test_what_is_refused(device: ShardDevice) -> None:
    body = sample(5000)
    assert device.put(body).status == 201
    good = answers.encode_challenge(codec, audit.Challenge(audit.LEAF, bytes(16), subject(body)))
    name, size, now = crypto.sha256(good), len(good), int(time.time())
    for status, code, question, bearer in (
        (401, "token", good, "nonsense"),
        (401, "mac", good, device.bearer("audit", name, size, secret=bytes(32))),
        (401, "expired", good, device.bearer("audit", name, size, expiry=now - 5)),
        (403, "operation", good, device.bearer("get", name, size)),
        (403, "shard", good, device.bearer("audit", crypto.sha256(body), size)),
        (403, "size", good, device.bearer("audit", name, size + 1)),
        (403, "device", good, device.bearer("audit", name, size, device="3" * 16)),
        (400, "cbor", b"\xff", ""),
        (400, "audit", codec.encode({1: 9}), ""),
        (413, "too_big", bytes(audit.CHALLENGE_BYTES_MAX + 1), ""),
    ):
        answer = ask(device, question, bearer)
        assert (answer.status, answer.code) == (status, code)
    bearer = device.bearer("audit", name, size)
    assert [ask(device, good, bearer).status for _ in range(2)] == [200, 409], "a token is good for one answer"
    token: Any = device.bearer("audit", name, size)
    assert device.ask("GET", crypto.sha256(body), bearer=token).code == "operation"


def test_who_goes_away_holds_nothing(device: ShardDevice) -> None:
    bodies = [sample(60_000 + size) for size in range(30)]
    for body in bodies:
        assert device.put(body).status == 201
    question = answers.encode_challenge(codec, audit.Challenge(audit.LEAF, bytes(16), subject(*bodies)))
    bearer = device.bearer("audit", crypto.sha256(question), len(question))
    head = (
        f"POST /audit HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\nContent-Length: {len(question)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", device.port), timeout=5) as conn:
        conn.sendall(head.encode() + question)
        conn.recv(100)
    assert entries(device, audit.LEAF, bodies[0])[1] == [(audit.HAS, answers.root_of(bodies[0]))]
