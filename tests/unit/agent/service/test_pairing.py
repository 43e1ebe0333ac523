"""The device's pairing service: kept before answered, browsers refused, deadlines kept, nothing secret in the log."""

import asyncio

from tests.unit.agent.service.pairing_table import BUNDLE, CORE, HEADERS, Table, verifier

# isort: split

from agent.errors import LimitError, PeerError, PortError
from agent.wire import full_core
from tests.expect import raises


def test_paired_and_committed() -> None:
    table = Table()
    table.machine.script = [
        [],
        [verifier.Persist({"attempts": 1})],
        [verifier.Persist({"attempts": 0}), verifier.Proven(CORE)],
        [verifier.Pending(BUNDLE, b"s" * 32)],
    ]
    for _ in range(4):
        assert table.post() == b"answer"
    assert table.state.log == [("counters", 1), ("counters", 0), ("pending", CORE)]
    table.machine.pending_core = CORE
    assert not table.service.commit("f" * 16)
    assert table.service.commit(CORE)
    assert table.state.log[-1] == ("commit", None)
    assert table.told_names() == ["Persist", "Persist", "Proven", "Pending", "Committed"]


def test_counter_that_cannot_be_kept_means_no_answer() -> None:
    table = Table()
    table.machine.script = [[verifier.Persist({"attempts": 1})]]
    table.state.error = PortError("disk_full", "the disk is full")
    assert table.post() == b"disk_full", "an answer left without its count"
    assert table.state.log == [("drop", None)] and "the disk is full" in table.journal.lines


def test_bundle_that_cannot_be_kept_is_refused() -> None:
    table = Table()
    table.machine.script = [[verifier.Pending(BUNDLE, b"s" * 32)]]
    table.state.error = LimitError("cores", "this device already belongs to 4 cores")
    assert table.post() == b"cores"
    assert table.state.log == [("drop", None)] and table.told_names() == ["RolledBack"]


def test_commit_that_cannot_be_kept_stays_pending() -> None:
    table = Table()
    table.machine.pending_core = CORE
    table.state.error = PortError("disk_full", "the disk is full")
    raises(PortError, table.service.commit, CORE)
    assert table.machine.pending_core == CORE and table.told_names() == []


def test_csrf_and_dns_rebinding_are_refused() -> None:
    table = Table()
    cases = (
        ({"origin": "http://192.0.2.9:7411"}, "origin"),
        ({"origin": "null"}, "origin"),
        ({"sec-fetch-site": "cross-site"}, "origin"),
        ({"host": "evil.example:7411"}, "host"),
        ({"host": "192.0.2.9.evil.example"}, "host"),
        ({"host": "attic.local.evil.example"}, "host"),
        ({"host": "a.b.local"}, "host"),
        ({"host": ".local"}, "host"),
        ({"host": ""}, "host"),
        ({"host": "[evil.example]"}, "host"),
        ({"host": "[::1"}, "host"),
        ({"host": "1.2.3.4x"}, "host"),
        ({"content-type": "text/plain"}, "content_type"),
        ({"content-type": "application/x-www-form-urlencoded"}, "content_type"),
    )
    for change, code in cases:
        headers = dict(HEADERS)
        headers.update(change)
        assert raises(PeerError, table.post, b"request", headers).code == code, change
    assert raises(PeerError, table.post, b"request", {}).code == "host"
    assert raises(PeerError, table.post, b"request", None, "GET").code == "method"
    assert table.machine.requests == [], "a refused request reached the machine"
    for host in ("10.0.0.1", "[fe80::1]:7411", "localhost:80", "Attic-Pi.local", "attic-pi.LOCAL:7411"):
        headers = dict(HEADERS)
        headers["host"] = host
        assert table.post(b"request", headers) == b"answer"


def test_garbage_and_oversize_steps() -> None:
    table = Table()
    assert raises(PeerError, table.post, b"garbage").code == "frame"
    assert raises(PeerError, table.post, b"\x00" * 2049).code == "too_big"
    assert table.state.log == []


def test_code_reuse_each_window_has_a_fresh_code() -> None:
    table = Table()
    assert table.service.window() == (False, 0, 0, "")
    codes, salts = [], []
    for _ in range(2):
        codes.append(table.service.open_window())
        salts.append(table.machine.record.salt)
    assert codes[0] != codes[1] and salts[0] != salts[1]
    is_open, seconds_left, discriminator, code = table.service.window()
    assert is_open and seconds_left == 900 and code == codes[1]
    assert full_core.decode_code(code)[0] == discriminator == table.machine.record.discriminator
    assert table.told[-1].discriminator == discriminator and not table.machine.record.is_factory
    table.clock.now += 900_000
    assert table.service.window() == (False, 0, 0, "")


def test_log_injection_only_our_words_and_no_secrets() -> None:
    table = Table()
    code = table.service.open_window()
    table.machine.script = [
        [verifier.Refused("code", ("192.0.2.7", 1))],
        [verifier.Proven(CORE), verifier.Pending(BUNDLE, b"s" * 32)],
    ]
    table.post()
    table.post()
    table.machine.pending_core = CORE
    table.service.commit(CORE)
    text = "\n".join(table.journal.lines)
    for word in (code, code.replace("-", ""), "Home", "ssss"):
        assert word not in text
    assert CORE in text and "an attempt from 192.0.2.7 was refused: code" in table.journal.lines


def test_run_keeps_the_deadlines_and_ends_with_the_last() -> None:
    table = Table()

    async def main() -> None:
        table.service.open_window()
        task = asyncio.create_task(table.service.run())
        await asyncio.sleep(0)
        table.clock.now = table.machine.wake_at - 20
        table.service.window()
        table.service._changed.set()
        await asyncio.sleep(0.01)
        assert table.machine.is_open and not task.done()
        table.clock.now += 20
        await asyncio.sleep(0.2)
        assert not table.machine.is_open, "the window stayed open"
        assert task.done()

    asyncio.run(main())
