"""What refuses a release before anything is fetched, and how its commands run. Power cuts: tests/sim."""

from ota import cbor, install
from ota.errors import CoreletError
from ota.slots import IDLE, STAGE, TRIAL
from tests.expect import raises
from tests.unit.ota.installing import BOARD, NEEDS, PACK, Device, Source, envelope_of
from tests.unit.ota.making import CLASS, digest_of
from tests.unit.ota.packing import raw


def refused(data, **changes):
    """The code; nothing was fetched and no state changed."""
    device = Device()
    for name in changes:
        setattr(device, name, changes[name])
    before = (device.journal.state, device.journal.generation)
    error = raises(CoreletError, device.stage, data)
    assert not device.source.asked and (device.journal.state, device.journal.generation) == before, error.code
    assert error.text.startswith("expected "), error.text
    return error.code


def branch(*flat):
    return cbor.encode(list(flat))


def staged(**changes):
    device = Device()
    device.stage(envelope_of(**changes))
    return device


def test_a_release():
    device = staged()
    assert device.journal.state == TRIAL
    assert device.folder.files["a"].read(36864, len(PACK)) == PACK
    assert [uri for uri, _, _ in device.source.asked] == ["packs/7"] * 3
    device.confirm()
    assert (device.journal.state, device.journal.active) == (IDLE, 0)


def test_the_board_and_the_pack():
    assert refused(envelope_of(class_id=b"x" * 16)) == "class"
    assert refused(envelope_of(vendor=b"x" * 16)) == "class"
    assert refused(envelope_of(shared=(), class_id=None)) == "class", "also where its conditions do not ask"
    assert refused(envelope_of(size=4097)) == "space"
    for name in ("image", "size", "head"):
        assert refused(envelope_of(**{name: None})) == "operation", name


def test_how_the_device_stands():
    situation = install.Situation(255, 1000, 65535, None)
    assert refused(envelope_of(), situation=situation) == "memory"
    assert refused(envelope_of(), situation=install.Situation(255, 1000, None, 29)) == "power"
    device = Device(install.Situation(255, 1000, 65536, 30))
    device.stage(envelope_of())
    assert refused(envelope_of(), situation=install.Situation(0, 1000, None, None)) == "restart", "slot a runs"


def test_needs():
    for needs in (
        {"micropython": [[1], [2]]}, {"cpython": [[3, 12], [4]]}, {"cpython": [[2], [3, 11]]},
        {"cpython": [[3, 11, 2], [3, 11, 2]]}, {"cpython": [[3], [4]], "some-library": [[2, 6], [3]]},
    ):  # fmt: skip
        assert refused(envelope_of(needs=cbor.encode(needs))) == "needs", needs
    assert refused(envelope_of(needs=None)) == "needs"
    missing = install.Board(BOARD.vendor, CLASS, BOARD.slot_bytes, BOARD.interpreter, lambda name: None)
    assert refused(envelope_of(), board=missing) == "needs"
    micro = install.Board(BOARD.vendor, CLASS, BOARD.slot_bytes, ("micropython", [1, 25, 0]), lambda name: None)
    assert refused(envelope_of(), board=micro) == "needs"
    device = Device(board=micro)
    device.stage(envelope_of(needs=cbor.encode({"micropython": [[1, 25], [2]], "some-library": [[9], [10]]})))
    assert device.journal.state == TRIAL, "MicroPython has no packages"


def test_severed_and_absent():
    commands = cbor.encode([20, {21: "packs/7"}, 21, 2, 3, 15])
    data = envelope_of(members={20: [-16, digest_of(commands)]})
    assert refused(data) == "absent"
    fetch = cbor.encode([21, 2])
    assert refused(envelope_of(members={16: [-16, digest_of(fetch)]})) == "absent"
    assert refused(envelope_of(members={20: None})) == "operation"


def test_what_failed_or_is_there():
    device = staged()
    assert raises(CoreletError, device.stage, envelope_of()).code == "current", "on trial"
    for _ in range(3):
        device.disk.run(device.journal.charge())
    device.disk.run(device.journal.give_up(True))
    assert raises(CoreletError, device.stage, envelope_of()).code == "failed_before"
    assert raises(CoreletError, device.stage, envelope_of(floor=1)).code == "failed_before", "another of that number"
    device.stage(envelope_of(8))
    device.confirm()
    assert raises(CoreletError, device.stage, envelope_of(8)).code == "current"


def test_conditions():
    """In the shared sequence, so before anything is written."""
    version = cbor.encode([1, [7]])
    for commands in ((20, {4: 1000}, 4, 15), (4, 15), (5, 15), (20, {5: 1}, 5, 15), (3, 15),
                     (20, {28: version}, 28, 15), (28, 15), (15, [branch(3, 15), branch(5, 15)])):  # fmt: skip
        assert refused(envelope_of(shared=commands)) == "condition", commands
    for commands in ((20, {4: 1001}, 4, 15), (20, {5: 0}, 5, 15), (27, 15),  (15, [branch(3, 15), None])):  # fmt: skip
        assert staged(shared=commands).journal.state == TRIAL, commands
    unknown = install.Situation(255, None, None, None)
    assert refused(envelope_of(shared=(20, {4: 1001}, 4, 15)), situation=unknown) == "condition", "no fresh beacon"


def test_try_each_leaves_no_trace_of_a_branch_that_failed():
    wrong = branch(20, {21: "packs/wrong"}, 3, 15)
    device = staged(install=[20, {21: "packs/7"}, 15, [wrong, branch(25, 15)], 21, 2, 3, 15])
    assert device.source.asked[0][0] == "packs/7"
    device = staged(install=[15, [wrong, branch(20, {21: "packs/9"})], 21, 2, 3, 15])
    assert device.source.asked[0][0] == "packs/9"


def test_commands_that_cannot_be_obeyed():
    for commands, code in (
        ([22, 2], "operation"), ([21, 2], "operation"), ([20, {21: "a", 29: wait(1001)}, 29, 2], "wait"),
        ([23, 2], "condition"), ([3, 15], "condition"), ([25, 15, 21, 2], "operation"),
    ):  # fmt: skip
        device = Device()
        assert raises(CoreletError, device.stage, envelope_of(install=commands)).code == code, commands
        assert device.journal.state == STAGE
    waited = [20, {21: "packs/7", 29: wait(1000)}, 29, 2, 21, 2]
    assert staged(install=waited).journal.state == TRIAL


def wait(time):
    return cbor.encode({5: time})


def test_what_comes_is_not_what_was_signed():
    for at in range(0, len(PACK), 7):
        device = Device()
        device.source.data = PACK[:at] + bytes([PACK[at] ^ 1]) + PACK[at + 1 :]
        assert raises(CoreletError, device.stage, envelope_of()).code in ("head", "segment", "pack", "too_big"), at
        assert device.journal.state == STAGE
        device.disk.sources = [Source()]
        device.stage(envelope_of())
        assert device.journal.state == TRIAL


def test_a_head_larger_than_the_slot():
    """A server that lies about it does not make the device write behind the slot, nor does what was torn there."""
    device = Device()
    device.source.data = raw(b"", b"", b"", 16024, 16024 + 500 * 32768)
    assert raises(CoreletError, device.stage, envelope_of()).code == "head"
    assert len(device.source.asked) == 1
    device.folder.file("a").write(36864, PACK[:8] + (32768).to_bytes(4, "big"))
    device.disk.sources = [Source()]
    device.stage(envelope_of())


def test_a_manifest_that_lies_about_its_pack():
    for changes, code in (({"size": len(PACK) - 1}, "head"), ({"image": cbor.encode([-16, bytes(32)])}, "condition")):
        device = Device()
        assert raises(CoreletError, device.stage, envelope_of(**changes)).code == code
        assert device.journal.state == STAGE
    device = Device()
    data = envelope_of(install=[20, {21: "a"}, 21, 2], members={7: None}, image=cbor.encode([-16, bytes(32)]))
    assert raises(CoreletError, device.stage, data).code == "image", "also where it does not ask itself"


def test_back_and_called_off():
    device = staged()
    device.confirm()
    first = device.machine(envelope_of()).digest
    device.stage(envelope_of(8))
    assert device.disk.run(install.call_off(device.journal, [first])) is False
    eight = device.machine(envelope_of(8)).digest
    assert device.disk.run(install.call_off(device.journal, [eight])) is True and device.journal.state == IDLE
    device.stage(envelope_of(8))
    device.confirm()
    device.source.asked.clear()
    device.disk.run(device.machine(envelope_of()).rollback())
    assert device.journal.state == TRIAL and not device.source.asked
    device.disk.run(device.journal.charge())
    assert device.disk.run(install.call_off(device.journal, [first])) is False, "it runs"
    assert raises(CoreletError, device.disk.run, device.machine(envelope_of(9)).rollback()).code == "not_here"


def test_a_lost_journal_stages_nothing():
    device = staged()
    device.folder.files.pop("journal")
    again = Device()
    again.folder.files.update(device.folder.files)
    assert raises(CoreletError, again.stage, envelope_of(8)).code == "restart"
    assert NEEDS
