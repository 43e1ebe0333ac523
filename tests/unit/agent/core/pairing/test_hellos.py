"""A hello costs its sender nothing: it must neither block others nor fill the memory nor get round a delay."""

from tests.unit.agent.core.pairing import bench

# isort: split

from agent.core.pairing import verifier as machine
from agent.core.pairing.attempt import HELLOS_MAX
from agent.wire import pairing_frames
from agent.wire.pairing_frames import Step
from tests.unit.agent.core.pairing.bench import NOW, ask, refusal

SHARE = bench.crypto.p256_public(5)


def frame(step: int, session: bytes, *fields: object) -> bytes:
    return pairing_frames.encode_frame(bench.codec, step, session, list(fields))


def hello(device: machine.Verifier, number: int, now: int = NOW, source: object = "core") -> bytes:
    """The session a stranger gets for his hello."""
    answer = ask(device, frame(Step.HELLO, b"", [1], f"{number:016x}", number.to_bytes(16, "big")), now, source)
    assert refusal(answer) == "", "a mere hello blocks"
    return pairing_frames.decode_frame(bench.codec, answer, pairing_frames.ANSWERS).session


def test_hellos_are_bounded_and_one_gives_way() -> None:
    device = bench.verifier()
    sessions = [hello(device, number) for number in range(HELLOS_MAX + 1)]
    kept = [each.id for each in device._hellos._sessions]
    assert len(kept) == HELLOS_MAX and device.attempts == 0
    assert sessions[-1] in kept, "who comes last is let in"
    (gone,) = [each for each in sessions if each not in kept]
    assert refusal(ask(device, frame(Step.SHARE, gone, SHARE))) == "session" and device.attempts == 0
    known = sessions.index(kept[2])
    assert hello(device, known) == kept[2], "a repeated hello is another attempt"
    assert refusal(ask(device, frame(Step.ABORT, kept[2], b""))) == ""
    assert refusal(ask(device, frame(Step.SHARE, kept[2], SHARE))) == "session"
    assert refusal(ask(device, frame(Step.SHARE, kept[1], SHARE))) == "" and device.attempts == 1
    assert refusal(ask(device, frame(Step.SHARE, kept[3], SHARE))) == "busy" and device.attempts == 1


def test_hellos_end_with_their_time_and_their_window() -> None:
    device = bench.verifier()
    session = hello(device, 1)
    assert device.wake_at == NOW + machine.STEP_MS
    device.wake(NOW + machine.STEP_MS)
    assert refusal(ask(device, frame(Step.SHARE, session, SHARE), NOW + machine.STEP_MS)) == "session"
    for end in (lambda: device.close_window(NOW), lambda: device.open_window(bench.record(), False, NOW)):
        device.open_window(bench.record(), False, NOW)
        session = hello(device, 2)
        end()
        assert refusal(ask(device, frame(Step.SHARE, session, SHARE))) == "session" and device.attempts == 0


def test_hellos_kept_in_stock_do_not_get_round_the_delay() -> None:
    device = bench.verifier({"record": bench.verifier()._window.record_id, "attempts": 4})
    stock = [hello(device, number) for number in range(HELLOS_MAX)]
    assert refusal(ask(device, frame(Step.SHARE, stock[0], SHARE))) == ""
    assert refusal(ask(device, frame(Step.CONFIRM, stock[0], b"c" * 32))) == "code" and device.attempts == 5
    wait = ask(device, frame(Step.SHARE, stock[1], SHARE), NOW + 999)
    assert refusal(wait) == "wait" and device.attempts == 5, "two guesses for one delay"
    assert refusal(ask(device, frame(Step.SHARE, stock[1], SHARE), NOW + 1000)) == ""


def test_hellos_kept_in_stock_do_not_get_round_the_last_attempt() -> None:
    device = bench.verifier({"record": bench.verifier()._window.record_id, "attempts": machine.ATTEMPTS_MAX - 1})
    now = NOW + 60_000
    stock = [hello(device, number, now) for number in range(2)]
    assert refusal(ask(device, frame(Step.SHARE, stock[0], SHARE), now)) == ""
    assert refusal(ask(device, frame(Step.CONFIRM, stock[0], b"c" * 32), now)) == "code"
    for later in (now, now + 29_999):
        assert refusal(ask(device, frame(Step.SHARE, stock[1], SHARE), later)) == "session"
    assert device.attempts == machine.ATTEMPTS_MAX and not device.is_open


def test_a_device_that_always_forgets_is_given_up() -> None:
    device, core = bench.verifier(), bench.prover()
    request, now = bench.run_until(core, device, 2), NOW
    core._give_up_at = NOW + 12_000  # ten times sooner than in life
    while True:
        device.close_window(now)
        core.receive(ask(device, request, now), "device", now)
        event = core.drain_events()[-1]
        if type(event).__name__ == "Failed":
            break
        now = core.wake_at
        device.open_window(bench.record(), False, now)
        core.wake(now)
        core.receive(ask(device, bench.sent(core), now), "device", now)
        request = bench.sent(core)
        assert now < NOW + 12_000
    assert event.code == "session" and now >= NOW + 11_000
