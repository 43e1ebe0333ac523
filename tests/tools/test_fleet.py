"""Whatever a paired device says of itself, the fleet can be asked and shown."""

import json
import time
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from agent import port
from agent.core.known import Presence
from tools.gateway.app import Core, Options
from tools.gateway.fleet import CHANGES_BURST, CHANGES_S, DOUBLED_S, Fleet
from tools.gateway.registry.registry import Registry
from tools.gateway.registry.tables import Device

BIRTH = {"boot": 1, "session": 1, "addresses": ["10.0.0.5"], "data": 7412, "slots": [65536], "quota": 1000, "used": 0}
ODD = [
    5,
    -1,
    1 << 70,
    1 << 5000,
    True,
    None,
    "x",
    "\x1b[2J",
    b"\xff",
    [],
    [5],
    {},
    1.5,
    float("nan"),
    float("inf"),
    1e308,
]


@pytest.mark.parametrize("field", [*BIRTH, "fw", "runtime", "name"])
@pytest.mark.parametrize("value", ODD, ids=range(len(ODD)))
def test_hostile_births(tmp_path, field, value):
    registry = Registry(tmp_path)
    for number in (1, 2):
        registry.add_device(
            Device(f"{number:016x}", "a", "b", "1", b"", 1, b"s" * 32, "paired", "192.168.1.20", number)
        )  # fmt: skip
    births = {f"{1:016x}": BIRTH | {field: value}, f"{2:016x}": BIRTH}
    fleet = Fleet(
        registry,
        lambda device: SimpleNamespace(is_up=True, birth=births[device], telemetry={field: value}, seen_at=1),
    )
    bad, good = fleet.targets().values()
    assert good.is_up and good.addresses == ("192.168.1.20", "10.0.0.5") and float(bad.free_bytes) >= 0
    assert 0 <= bad.port < 65536 and (bad.port or not bad.is_up)
    json.dumps(fleet.listed(), allow_nan=False)
    assert len(fleet.changes()) == 2 and fleet.changes() == []
    registry.close()


@pytest.mark.parametrize(("paired_at", "wanted"), [("192.168.1.20", ("192.168.1.20",)), ("127.0.0.1", ("127.0.0.1",))])
def test_a_device_of_the_lan_cannot_name_services_of_the_cores_own_machine(tmp_path, paired_at, wanted):
    """Its PUTs would go to what listens on loopback there."""
    registry = Registry(tmp_path)
    registry.add_device(Device("1" * 16, "a", "b", "1", b"", 1, b"s" * 32, "paired", paired_at, 1))
    birth = BIRTH | {"addresses": ["127.0.0.1", "::ffff:127.0.0.1", "localhost"], "data": 631}
    fleet = Fleet(registry, lambda _: SimpleNamespace(is_up=True, birth=birth, telemetry={}, seen_at=1))
    assert [target.addresses for target in fleet.targets().values()] == [wanted]
    registry.close()


def test_who_starts_again_without_end_is_heard_of_in_its_turn(tmp_path):
    registry = Registry(tmp_path)
    for number in (1, 2):
        row = Device(f"{number:016x}", "a", "b", "1", b"", 1, b"s" * 32, "paired", "192.168.1.20", number)
        registry.add_device(row)
    births = {f"{number:016x}": dict(BIRTH) for number in (1, 2)}
    fleet = Fleet(registry, lambda device: SimpleNamespace(is_up=True, birth=births[device], telemetry={}, seen_at=1))
    heard = []
    for session in range(100):
        births[f"{1:016x}"] = BIRTH | {"session": session}
        heard += fleet.changes()
    assert [device for device, _ in heard].count(f"{1:016x}") == CHANGES_BURST and heard.count((f"{2:016x}", True)) == 1
    fleet._news[f"{1:016x}"]._at -= CHANGES_S
    assert fleet.changes() == [(f"{1:016x}", True)] and fleet.changes() == []
    registry.close()


def test_two_boards_with_one_identity_are_told_for_an_hour(tmp_path):
    registry = Registry(tmp_path)
    registry.add_device(Device("1" * 16, "attic", "b", "1", b"", 1, b"s" * 32, "paired", "192.168.1.20", 1))
    known = Presence("1" * 16)
    fleet = Fleet(registry, lambda _: known)
    assert fleet.warnings() == []
    known.doubled_at = port.clock.now_ms() - int(DOUBLED_S) * 1000 + 10_000
    (text,) = fleet.warnings()
    assert "two boards speak as attic" in text and "corelet reset" in text and "forget this device" in text
    known.doubled_at -= 10_000
    assert fleet.warnings() == []
    known.doubled_at = port.clock.now_ms() - 10_000
    row = Device("2" * 16, "paired anew", "b", "1", b"", 1, b"s" * 32, "paired", "192.168.1.20", int(time.time()))
    registry.add_device(row)
    fleet.reload()
    assert [text for text in fleet.warnings() if "paired anew" in text] == [], "it was before that pairing"
    assert len(fleet.warnings()) == 1
    registry.close()


def test_the_list_of_devices_asks_no_more_of_the_registry_for_more_devices(tmp_path):
    core = Core(Options(tmp_path, "x"))
    asked = []
    sa.event.listen(core.registry._durable, "before_cursor_execute", lambda *words: asked.append(words[2]))
    counts = []
    for number in range(1, 21):
        row = Device(f"{number:016x}", f"a{number}", "b", "1", b"", 1, b"s" * 32, "paired", "192.168.1.20", number)
        core.registry.add_device(row)
        if number in (2, 20):
            core.fleet.reload()
            asked.clear()
            assert [line["reputation"]["score"] for line in core.devices()] == [1.0] * number
            counts.append(len(asked))
    assert counts[0] == counts[1], counts
    core.registry.close()
    core.state.close()
