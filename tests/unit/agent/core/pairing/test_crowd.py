"""Whose hello gives way when too many say one."""

from tests.unit.agent.core.pairing import bench

# isort: split

from agent.core.pairing.attempt import HELLOS_MAX
from agent.core.pairing.prover import CROWDED_MS
from agent.wire.pairing_frames import Step
from tests.unit.agent.core.pairing.bench import NOW, ask, refusal
from tests.unit.agent.core.pairing.test_hellos import frame, hello


def test_a_crowd_on_one_host_takes_nothing_from_another() -> None:
    device = bench.verifier()
    session = hello(device, 1, NOW, ("10.0.0.9", 4000))
    for number in range(30):
        hello(device, 2 + number, NOW, ("10.0.0.66", 5000 + number))
    assert session in [each.id for each in device._hellos._sessions]
    # On many hosts it can push ours out, but not make sure of it: some of our tries outlast as many of theirs.
    stayed = 0
    for turn in range(20):
        session = hello(device, 1000 + turn, NOW, ("10.0.0.9", 4000))
        for number in range(HELLOS_MAX):
            hello(device, 2000 + turn * 10 + number, NOW, (f"10.0.1.{number}", 5000))
        stayed += session in [each.id for each in device._hellos._sessions]
    assert stayed > 0


def test_a_stranger_between_any_two_steps_blocks_nobody() -> None:
    device, core = bench.verifier(), bench.prover()
    core.start(NOW)
    answer = ask(device, bench.sent(core))
    for number in range(HELLOS_MAX - 1):
        hello(device, 100 + number)
    core.receive(answer, "device", NOW)
    core.receive(ask(device, bench.sent(core)), "device", NOW)  # the share takes the place
    late = ask(device, frame(Step.HELLO, b"", [1], "f" * 16, b"n" * 16))
    assert refusal(late) == "busy"
    core.receive(ask(device, bench.sent(core)), "device", NOW)
    assert bench.names(core) == ["Proven", "Described"] and device.attempts == 0


def test_a_core_whose_hello_was_pushed_out_says_it_again() -> None:
    device, core = bench.verifier(), bench.prover()
    request, number = bench.run_until(core, device, 2), 0
    ours = device._hellos._sessions[0]
    while ours in device._hellos._sessions:
        hello(device, number)
        number += 1
    refused = ask(device, request)
    core.receive(refused, "device", NOW)
    core.receive(refused, "device", NOW)  # twice on the way
    assert bench.names(core) == ["Waiting"] and core.wake_at == NOW + CROWDED_MS
    now = NOW + CROWDED_MS
    core.wake(now)
    for _ in range(3):
        core.receive(ask(device, bench.sent(core), now), "device", now)
    assert bench.names(core) == ["Proven", "Described"] and device.attempts == 0
