"""The core's side: waiting, sending again, giving up, and what a false device tries."""

from tests.unit.agent.core.pairing import bench

# isort: split

from agent.core.pairing.prover import RESEND_MS, Prover
from agent.errors import PeerError, UsageError
from agent.wire import pairing_frames
from agent.wire.pairing_frames import Step
from tests.expect import raises
from tests.unit.agent.core.pairing.bench import NOW, ask, names, sent

SESSION = b"12345678"


def frame(step: int, *fields: object, session: bytes = SESSION) -> bytes:
    return pairing_frames.encode_frame(bench.codec, step, session, list(fields))


def params(version: int = 1, iterations: int = 1000) -> bytes:
    return frame(Step.HELLO, version, "a1b2c3d4", b"n" * 16, bench.SALT, iterations, 20)


def refused(step: int, code: str, retry_s: int = 0, session: bytes = b"") -> bytes:
    return frame(Step.REFUSED, step, code, "a sentence", retry_s, session=session)


def started() -> Prover:
    core = bench.prover()
    core.start(NOW)
    core.drain_outgoing()
    return core


def test_sends_again_then_gives_up() -> None:
    core = bench.prover()
    core.start(NOW)
    hello = sent(core)
    now = NOW
    while not core.events:
        now = core.wake_at
        core.wake(now - 1)
        assert not core.outgoing
        core.wake(now)
        if core.outgoing:
            assert sent(core) == hello
    assert now == NOW + 30_000 and core.events[0].code == "timeout" and core.wake_at is None


def test_waits_while_the_device_is_busy() -> None:
    core = started()
    core.receive(refused(Step.HELLO, "busy", 12), "device", NOW)
    assert core.drain_events()[0].retry_s == 12
    assert core.wake_at == NOW + 12_000
    core.wake(NOW + 12_000)
    assert len(core.drain_outgoing()) == 1
    core.receive(refused(Step.HELLO, "wait", 200), "device", NOW + 12_000)
    assert core.drain_events()[0].code == "wait" and core.wake_at is None, "waited for longer than it should"


def test_refusal_of_another_step_or_session_is_stale() -> None:
    core = started()
    core.receive(refused(Step.SHARE, "order"), "device", NOW)
    core.receive(refused(Step.HELLO, "closed", 0, SESSION), "device", NOW)
    core.receive(refused(Step.HELLO, "closed"), "somebody else", NOW)
    assert not core.events
    core.receive(refused(Step.HELLO, "closed"), "device", NOW)
    assert core.events[0].code == "closed" and core.events[0].text == "a sentence"
    core.receive(params(), "device", NOW)
    assert not core.outgoing, "it went on after it had failed"


def test_garbage_changes_nothing() -> None:
    core = started()
    for data in (b"", b"\xff", b"\x80", b"\x00" * 3000):
        raises(PeerError, core.receive, data, "device", NOW)
    core.receive(params(), "device", NOW)
    assert len(core.drain_outgoing()) == 1


def test_version_the_core_did_not_offer() -> None:
    core = started()
    core.receive(params(version=2), "device", NOW)
    assert core.events[0].code == "version"


def test_a_false_device_gets_one_guess() -> None:
    core = started()
    core.receive(params(), "device", NOW)
    core.drain_outgoing()
    share_v = bench.crypto.p256_public(11)
    core.receive(frame(Step.SHARE, share_v, b"c" * 32), "device", NOW)
    event = core.drain_events()[0]
    assert event.code == "code" and "19 more tries" in event.text
    goodbye = pairing_frames.decode_frame(bench.codec, sent(core), pairing_frames.REQUESTS)
    assert goodbye.step == Step.ABORT, "confirmP left although the device had proven nothing"
    core.receive(frame(Step.SHARE, share_v, b"d" * 32), "device", NOW)
    assert not core.events and not core.outgoing


def test_own_share_reflected() -> None:
    core = started()
    core.receive(params(), "device", NOW)
    share = pairing_frames.decode_frame(bench.codec, sent(core), pairing_frames.REQUESTS).fields[0]
    core.receive(frame(Step.SHARE, share, b"c" * 32), "device", NOW)
    assert core.events[0].code == "code"


def test_bad_points_from_the_device() -> None:
    for share in (b"\x04" + b"\x00" * 64, b"\x04" + b"\xff" * 64, b"\x02" + b"\x01" * 64):
        core = started()
        core.receive(params(), "device", NOW)
        core.receive(frame(Step.SHARE, share, b"c" * 32), "device", NOW)
        assert core.events[0].code == "point"


def test_late_copies_are_ignored() -> None:
    device = bench.verifier()
    core = bench.prover()
    core.start(NOW)
    answer = ask(device, sent(core))
    core.receive(answer, "device", NOW)
    request = sent(core)
    core.receive(answer, "device", NOW)
    assert not core.outgoing and not core.events
    core.receive(ask(device, request), "device", NOW)
    assert names(core) == ["Proven"]


def test_a_device_key_off_the_curve_gets_no_certificate() -> None:
    device = bench.verifier()
    device.info = pairing_frames.Info(b"\x04" + b"\x01" * 64, b"p" * 32, "b", "1", "n")
    core = bench.prover()
    core.receive(ask(device, bench.run_until(core, device, 3)), "device", NOW)
    assert names(core) == ["Proven", "Failed"]


def test_lost_last_answer_leaves_it_to_the_link() -> None:
    for answer in (b"", refused(Step.DELIVER, "session", 0, b"")):
        core = bench.prover()
        bench.run_until(core, bench.verifier(), 4)
        core.drain_events()
        if answer:
            core.receive(refused(Step.DELIVER, "session", 0, core._session), "device", NOW)
        now = NOW
        while not core.events:
            now += RESEND_MS
            core.wake(now)
        event = core.drain_events()[0]
        assert len(event.link_secret) == 32 and not event.is_sure
        assert core.wake_at == now + 60_000


def test_a_bundle_the_device_refuses_is_a_failure() -> None:
    core = bench.prover()
    bench.run_until(core, bench.verifier(), 4)
    core.drain_events()
    core.receive(refused(Step.DELIVER, "cores", 0, core._session), "device", NOW)
    assert core.drain_events()[0].code == "cores"


def test_fail_safe_of_the_core() -> None:
    for late in (59_999, 60_000):
        device = bench.verifier()
        core = bench.prover()
        core.receive(ask(device, bench.run_until(core, device, 4)), "device", NOW)
        assert names(core)[-1] == "Delivered"
        core.wake(NOW + late)
        assert core.commit() == (late == 59_999)
        core.wake(NOW + 99_999)
        assert names(core) == ([] if late == 59_999 else ["RolledBack"])


def test_deliver_only_when_described() -> None:
    assert raises(UsageError, started().deliver, bench.bundle(), NOW).code == "pairing"
