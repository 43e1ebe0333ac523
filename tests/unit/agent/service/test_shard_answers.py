"""Paths, ranges and refusals in HTTP."""

from agent.errors import LimitError, PeerError, PortError, TrustError
from agent.service.shard_answers import refusal, select_range, shard_of
from tests.expect import raises


def test_paths():
    name = "0123456789abcdef" * 4
    assert shard_of("/shards/" + name) == bytes.fromhex(name)
    for path in (
        "/shards/",
        "/shards/" + name[:-1],
        "/shards/" + name + "0",
        "/shards/" + name.upper(),
        "/shard/" + name,
    ):
        assert shard_of(path) is None
    for path in (
        "/shards/" + "g" * 64,
        "/shards/" + "/" * 64,
        "/shards/../" + name,
        "shards/" + name,
        "/shards/%30" + name,
    ):
        assert shard_of(path) is None


def test_ranges():
    for text, wanted in (
        ("bytes=0-", (0, 100)), ("bytes=0-0", (0, 1)), ("bytes=10-19", (10, 10)), ("bytes=90-200", (90, 10)),
        ("bytes=-1", (99, 1)), ("bytes=-500", (0, 100)), ("bytes=99-99", (99, 1)), ("bytes = 5 - 6", (5, 2)),
        # Not one range of bytes: all of it.
        ("bytes=0-1,5-6", (0, 100)), ("lines=1-2", (0, 100)), ("bytes=5-4", (0, 100)), ("bytes=-", (0, 100)),
        ("bytes=a-b", (0, 100)), ("bytes", (0, 100)), ("", (0, 100)), ("bytes=--1", (0, 100)), ("bytes=+1-2", (0, 100)),
        ("bytes=\u00b2-", (0, 100)), ("bytes=" + "9" * 60 + "-", (0, 100)),
    ):  # fmt: skip
        assert select_range(text, 100) == wanted, text
    for text in ("bytes=100-", "bytes=100-200", "bytes=-0", "bytes=999999-"):
        assert raises(PeerError, select_range, text, 100).code == "range"
    assert raises(PeerError, select_range, "bytes=0-", 0).code == "range"


def test_refusals():
    for error, status in (
        (TrustError("mac", "x"), 401), (TrustError("expired", "x"), 401), (TrustError("device", "x"), 403),
        (TrustError("operation", "x"), 403), (TrustError("used", "x"), 409), (PeerError("not_found", "x"), 404),
        (PeerError("corrupt", "x"), 410), (PeerError("length", "x"), 411), (PeerError("too_big", "x"), 413),
        (PeerError("digest", "x"), 422), (LimitError("no_time", "x", 5), 503), (LimitError("busy", "x", 1), 503),
        (LimitError("quota", "x"), 507), (LimitError("disk_full", "x", 60), 507), (PortError("disk_full", "x"), 507),
        (PortError("read_only", "x"), 507), (PortError("io", "x"), 507), (PeerError("short", "x"), 400),
        (PeerError("method", "x"), 405), (LimitError("slow", "x"), 408), (PortError("busy", "x"), 503),
        (PortError("stopped", "x"), 503),
    ):  # fmt: skip
        response = refusal(error)
        assert response.status == status and response.body == (error.code + ": x\n").encode()
    assert ("Retry-After", "5") in refusal(LimitError("no_time", "x", 5)).headers
    assert ("Retry-After", "3") in refusal(PortError("stopped", "x")).headers
    assert ("WWW-Authenticate", "Bearer") in refusal(TrustError("mac", "x")).headers
    assert ("Allow", "PUT, GET, HEAD, DELETE") in refusal(PeerError("method", "x")).headers
