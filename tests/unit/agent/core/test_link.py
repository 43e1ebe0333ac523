"""The device's end: connecting, birth, telemetry, goodbye, time."""

from agent.core import link
from agent.errors import PeerError, UsageError
from agent.wire import envelope
from tests.expect import raises
from tests.sim.chance import Xorshift32
from tests.unit.agent.core.linking import BROKERS, CODEC, DEVICE, made, message, sent, up


def test_it_connects_at_once_with_a_will_that_names_the_session() -> None:
    machine = made()
    machine.start(1000)
    (event,) = machine.drain_events()
    assert event.broker == BROKERS[0]
    assert event.will_topic == "c1/" + DEVICE + "/up/death"
    will = envelope.decode(CODEC, event.will_payload)
    assert (will.kind, will.body) == ("death", {"boot": 3, "session": 1})
    assert machine.state == link.CONNECTING


def test_the_birth_is_retained_and_carries_the_numbers() -> None:
    machine = made()
    machine.start(0)
    machine.drain_events()
    machine.connected(5)
    assert machine.drain_events() == [link.BirthWanted("connected")]
    machine.birth({"fw": "1"}, 6)
    ((publish, birth),) = sent(machine)
    assert publish == ("c1/" + DEVICE + "/up/birth", 1, True)
    assert (birth.sequence, birth.body) == (0, {"fw": "1", "boot": 3, "session": 1})
    assert raises(UsageError, machine.birth, {"fw": "1" * 5000}, 7).code == "envelope"


def test_brokers_take_turns_and_sessions_are_counted() -> None:
    machine = made()
    machine.start(0)
    now = 0
    for session in range(1, 6):
        (event,) = [each for each in machine.drain_events() if isinstance(each, link.Connect)]
        assert event.broker == BROKERS[(session - 1) % 2]
        assert envelope.decode(CODEC, event.will_payload).body["session"] == session == machine.session
        machine.disconnected(now)
        machine.disconnected(now)  # harmless
        assert machine.wake_at is not None and now + 1000 <= machine.wake_at <= now + 300_000
        machine.wake(machine.wake_at - 1)
        assert machine.drain_events() == []
        now = machine.wake_at
        machine.wake(now)


def test_only_a_stable_session_ends_the_memory_of_failures() -> None:
    for lasted_ms, cap in ((link.STABLE_MS - 1, 300_000), (link.STABLE_MS, 2_000)):
        longest = 0
        for seed in range(1, 40):
            machine = link.DeviceLink(CODEC, Xorshift32(seed).bytes, DEVICE, 1, BROKERS)
            machine.start(0)
            now = 0
            for _ in range(10):
                machine.disconnected(now)
                now = machine.wake_at or 0
                machine.wake(now)
            machine.connected(now)
            ended = now + lasted_ms
            while machine.wake_at is not None and machine.wake_at <= ended:
                machine.wake(machine.wake_at)
            machine.disconnected(ended)
            longest = max(longest, (machine.wake_at or 0) - ended)
        assert longest <= cap
        assert longest > cap // 2


def test_telemetry_once_a_minute_while_up() -> None:
    machine = up(0)
    wanted = 0
    for _ in range(20):
        when = machine.wake_at or 0
        if when > 600_000:
            break
        machine.wake(when)
        for event in machine.drain_events():
            assert isinstance(event, link.TelemetryWanted)
            wanted += 1
            machine.telemetry({"uptime_s": when // 1000}, when)
    assert wanted == 10
    sequences = [envelope.sequence for _, envelope in sent(machine)]
    assert sequences == list(range(1, 11))  # no gap after the birth
    machine.disconnected(700_000)
    machine.telemetry({}, 700_000)
    assert sent(machine) == []


def test_goodbye_is_a_retained_death() -> None:
    machine = up()
    machine.stop(9)
    ((publish, death),) = sent(machine)
    assert publish == ("c1/" + DEVICE + "/up/death", 1, True)
    assert death.body == {"boot": 3, "session": 1}
    assert (machine.state, machine.wake_at) == (link.OFF, None)
    machine.disconnected(10)
    assert machine.wake_at is None


def test_time_is_the_cores_and_late_at_worst() -> None:
    machine = up()
    topic = "c1/" + DEVICE + "/dn/time"
    assert machine.core_time(0) is None
    machine.receive(message("time", {"unix": 1_700_000_000}), topic, 5_000)
    assert machine.core_time(5_000) == 1_700_000_000
    assert machine.core_time(5_999) == 1_700_000_000
    assert machine.core_time(65_000) == 1_700_000_060
    machine.disconnected(70_000)
    assert machine.core_time(105_000) == 1_700_000_100  # kept over reconnects
    for bad in (True, -1, "1", None, 1 << 41):
        assert raises(PeerError, machine.receive, message("time", {"unix": bad}), topic, 0).code == "time"


def test_what_is_not_for_this_device_is_refused() -> None:
    machine = up()
    data = message("time", {"unix": 1})
    for topic, code in (
        ("c1/ffffffffffffffff/dn/time", "topic"),
        ("c1/" + DEVICE + "/up/tele", "topic"),
        ("c1/" + DEVICE + "/dn/cmd", "envelope"),
        ("other", "topic"),
    ):
        assert raises(PeerError, machine.receive, data, topic, 0).code == code
    assert raises(PeerError, machine.receive, message("job", {}), "c1/" + DEVICE + "/dn/job", 0).code == "kind"
    assert raises(PeerError, machine.receive, b"\xff" * 64, "c1/" + DEVICE + "/dn/cmd", 0).code == "cbor"
    assert machine.core_time(0) is None


def test_a_core_without_brokers_is_refused() -> None:
    assert raises(UsageError, link.DeviceLink, CODEC, Xorshift32(1).bytes, DEVICE, 1, []).code == "link"


def test_only_a_farewell_says_left_and_never_a_will() -> None:
    machine = up()
    machine.stop(9, True)
    ((publish, death),) = sent(machine)
    assert publish == ("c1/" + DEVICE + "/up/death", 1, True)
    assert death.body == {"boot": 3, "session": 1, "left": True}
    machine = made()
    machine.start(0)
    (event,) = machine.drain_events()
    assert "left" not in envelope.decode(CODEC, event.will_payload).body
    machine.stop(1, True)  # not connected: there is nobody to tell
    assert sent(machine) == []
