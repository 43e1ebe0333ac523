"""The device's side: the whole way, windows, steps, the fail-safe. What attackers try: test_attacks.py."""

from tests.unit.agent.core.pairing import bench

# isort: split

from agent.core.pairing import verifier as machine
from agent.errors import LimitError, PeerError, PortError, UsageError
from agent.wire import pairing_frames
from agent.wire.pairing_frames import Step
from tests.expect import raises
from tests.unit.agent.core.pairing.bench import CORE, NOW, ask, names, refusal


def delivered(device: machine.Verifier) -> "tuple[object, bytes]":
    """A pairing up to the bundle: the prover, and its last request."""
    core = bench.prover()
    request = bench.run_until(core, device, 4)
    core.receive(ask(device, request), "device", NOW)
    return core, request


def test_the_whole_way() -> None:
    device = bench.verifier()
    core, _ = delivered(device)
    events = device.drain_events()
    assert [type(event).__name__ for event in events] == ["Persist", "Persist", "Proven", "Pending"]
    assert events[2].core == CORE
    assert events[3].bundle == bench.bundle()
    ours = [event for event in core.drain_events() if type(event).__name__ != "Proven"]
    assert ours[0].info == bench.info()
    assert ours[1].link_secret == events[3].link_secret and len(events[3].link_secret) == 32 and ours[1].is_sure
    assert device.pending_core == CORE and device.is_open
    assert device.commit(CORE, NOW + 59_999)
    assert names(device) == ["Committed", "WindowClosed"]
    assert device.pending_core is None and not device.is_open and device.attempts == 0
    assert core.commit()


def test_fail_safe_rolls_back_after_a_minute_and_the_code_still_works() -> None:
    device = bench.verifier()
    delivered(device)
    device.drain_events()
    assert device.wake_at == NOW + 60_000
    device.wake(NOW + 59_999)
    assert names(device) == []
    device.wake(NOW + 60_000)
    assert names(device) == ["RolledBack"]
    assert not device.commit(CORE, NOW + 60_000), "committed after it was rolled back"
    bench.run_until(bench.prover(), device, 4, NOW + 60_001)


def test_commit_of_another_core_does_nothing() -> None:
    device = bench.verifier()
    delivered(device)
    assert not device.commit("f" * 16, NOW) and device.pending_core == CORE


def test_pairing_again_after_reset_and_with_a_second_core() -> None:
    device = bench.verifier()
    for _ in range(2):
        delivered(device)
        assert device.commit(CORE, NOW)
        device.drain_events()
        core = bench.prover()
        core.start(NOW)
        assert refusal(ask(device, bench.sent(core))) == "closed", "the code of the last window still works"
        device.open_window(bench.record(), False, NOW)


def test_a_window_lasts_15_minutes_but_a_running_attempt_may_end() -> None:
    device = bench.verifier()
    assert device.seconds_left(NOW) == 900 and device.wake_at == NOW + 900_000
    late = NOW + 890_000
    core = bench.prover()
    request = bench.run_until(core, device, 2, late)
    device.drain_events()
    device.wake(NOW + 900_000)
    assert names(device) == ["WindowClosed"] and device.seconds_left(NOW + 900_000) == 0
    core.receive(ask(device, request, NOW + 900_001), "device", late)
    assert refusal(ask(device, bench.sent(core), NOW + 900_002)) == ""
    other = bench.prover()
    other.start(NOW)
    assert refusal(ask(device, bench.sent(other), NOW + 900_003)) == "closed"


def test_the_owner_closes_the_window() -> None:
    device = bench.verifier()
    request = bench.run_until(bench.prover(), device, 3)
    device.close_window(NOW)
    assert names(device)[-1] == "WindowClosed"
    assert refusal(ask(device, request)) == "session"
    device.close_window(NOW)
    assert names(device) == ["Refused"]


def test_slow_steps_end_the_attempt() -> None:
    for step in (2, 3, 4):
        device = bench.verifier()
        request = bench.run_until(bench.prover(), device, step)
        assert refusal(ask(device, request, NOW + machine.STEP_MS)) == "session"


def test_a_repeated_request_gets_the_same_answer_and_counts_once() -> None:
    device = bench.verifier()
    core = bench.prover()
    core.start(NOW)
    request = bench.sent(core)
    for step in range(1, 5):
        answer = ask(device, request)
        counted = device.attempts
        assert ask(device, request, NOW + 1) == answer and device.attempts == counted, step
        if step < 4:
            core.receive(answer, "device", NOW)
            if step == 3:
                core.deliver(bench.bundle(), NOW)
            request = bench.sent(core)
    assert names(device).count("Pending") == 1
    assert device.commit(CORE, NOW + 2)
    assert ask(device, request, NOW + 3) == answer, "the answer lost just before the link came up"


def test_what_the_driver_cannot_keep_is_refused() -> None:
    device = bench.verifier()
    delivered_request = bench.run_until(bench.prover(), device, 4)
    device.receive(delivered_request, "core", NOW)
    device.drain_events()
    device.refuse(LimitError("cores", "this device already belongs to 4 cores", 7), "core", NOW)
    answers = device.drain_outgoing()
    assert len(answers) == 1 and refusal(answers[0][0]) == "cores"
    assert names(device) == ["RolledBack"] and device.pending_core is None
    device.refuse(PortError("disk_full", "no space " * 99), "core", NOW)  # a long text is cut, not dropped
    assert refusal(device.drain_outgoing()[0][0]) == "disk_full"


def test_the_core_gives_up() -> None:
    device = bench.verifier()
    core = bench.prover()
    bench.run_until(core, device, 3)
    core.abort()
    assert refusal(ask(device, bench.sent(core))) == ""
    other = bench.prover()
    other.start(NOW)
    assert refusal(ask(device, bench.sent(other))) == "", "the device did not notice that the core gave up"


def test_steps_out_of_order_harm_nothing() -> None:
    device = bench.verifier()
    core = bench.prover()
    request = bench.run_until(core, device, 3)
    session = pairing_frames.decode_frame(bench.codec, request, pairing_frames.REQUESTS).session
    early = pairing_frames.encode_frame(bench.codec, Step.DELIVER, session, [b"s" * 40])
    assert refusal(ask(device, early)) == "order"
    other = pairing_frames.encode_frame(bench.codec, Step.CONFIRM, b"otherone", [b"c" * 32])
    assert refusal(ask(device, other)) == "session"
    raises(PeerError, device.receive, b"\xff\xff", "core", NOW)
    assert refusal(ask(device, request)) == ""


def test_factory_record_is_closed_while_owned() -> None:
    device = machine.Verifier(bench.crypto, bench.codec, bench.own(), {})
    record = bench.record(is_factory=True)
    assert raises(UsageError, device.open_window, record, True, NOW).code == "owned"
    assert not device.is_open
    device.open_window(record, False, NOW)
    assert device.is_open
    device.open_window(bench.record(), True, NOW)  # an owner's fresh code adds a second core


def test_damaged_record_shows_when_the_window_opens() -> None:
    device = machine.Verifier(bench.crypto, bench.codec, bench.own(), {})
    good = bench.record()
    zero = pairing_frames.Record(good.discriminator, good.salt, 1000, 0, good.point_l, False)
    assert raises(UsageError, device.open_window, zero, False, NOW).code == "w0"
    off = pairing_frames.Record(good.discriminator, good.salt, 1000, good.w0, b"\x04" + b"\x01" * 64, False)
    assert raises(PeerError, device.open_window, off, False, NOW).code == "point"
    assert not device.is_open


def test_no_new_window_while_a_pairing_waits_for_its_link() -> None:
    device = bench.verifier()
    delivered(device)
    assert raises(LimitError, device.open_window, bench.record(), False, NOW).code == "busy"
    device.close_window(NOW)
    assert device.commit(CORE, NOW), "closing the window must not undo a delivered bundle"
