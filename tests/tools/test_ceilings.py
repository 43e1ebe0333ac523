"""`corelet limits` on the state of a device that does not run: what it shows, keeps and refuses.
Here, because a command with all that it loads is more than 128 KiB; tests/e2e/test_device.py has both interpreters."""

import os
from types import SimpleNamespace
from typing import Any

from agent import __main__ as command
from agent import ceilings, port, start
from agent.errors import PortError, UsageError
from boards import loader
from tests.expect import raises


def folder() -> str:
    made = "/tmp/corelet-ceilings-" + os.urandom(6).hex()
    port.files.make_folder(made + "/owner")
    return made


def most_of(at: str) -> dict[str, int]:
    return loader.choose("", port.health().board_evidence(), port.files.total_bytes(at) // 1024)[2]


def call(name: str, at: str, *words: str) -> command.Call:
    return command.Call(name, list(words), {"--state": at})


def row(at: str, name: str) -> tuple[dict[str, Any], str]:
    answer, lines = ceilings.show(call("limits", at))
    line = [line for line in lines if line.startswith("  " + name + " ")][0]
    return [each for each in answer["ceilings"] if each["ceiling"] == name][0], line


def test_the_owner_lowers_it_for_good_and_takes_it_back() -> None:
    at = folder()
    most = most_of(at)["shard_bps"]
    assert row(at, "shard_bps")[0]["in_force"] == most
    answer, lines = ceilings.set_one(call("limits set", at, "shard_bps", "64000"))
    assert answer["in_force"] == 64000 and lines == ["shard_bps is 64000 bit/s from the next start on."]
    found, line = row(at, "shard_bps")
    assert (found["in_force"], found["owner"], found["machine"]) == (64000, 64000, most)
    assert f"64000 bit/s; yours, the board allows {most}" in line
    assert b'"shard_bps": 64000' in port.files.read(at + "/owner/settings.json", 8192)
    assert ceilings.set_one(call("limits set", at, "shard_bps", "board"))[0]["in_force"] == most
    assert row(at, "shard_bps")[0]["owner"] is None
    port.files.remove_tree(at)


def test_what_the_board_does_not_allow_changes_nothing() -> None:
    at = folder()
    most = most_of(at)["relay_bps"]
    ceilings.set_one(call("limits set", at, "relay_bps", "1000"))
    for value in (str(most + 1), "-1", "1e3", "1.5", "", "9" * 30, "\u0661"):
        error = raises(UsageError, ceilings.set_one, call("limits set", at, "relay_bps", value))
        assert (
            f"relay_bps is '{value}'; allowed: a whole number 0..{most} bit/s" in error.text and "board" in error.text
        )
    for value in ("5", "board"):
        error = raises(UsageError, ceilings.set_one, call("limits set", at, "speed", value))
        assert "no ceiling 'speed'" in error.text and "relay_bps" in error.text
    assert row(at, "relay_bps")[0]["in_force"] == 1000
    port.files.remove_tree(at)


def test_where_there_never_was_a_device() -> None:
    at = "/tmp/corelet-nowhere-" + os.urandom(6).hex()
    assert raises(PortError, ceilings.show, call("limits", at)).code == "not_found"
    assert raises(PortError, ceilings.set_one, call("limits set", at, "log_bytes", "8192")).code == "not_found"
    assert not port.files.exists(at)


def test_no_work_where_a_required_ceiling_is_held_by_nobody() -> None:
    for required, sizes in (("log_bytes", (7, 9)), ("process_count", (0, 0))):
        device: Any = SimpleNamespace(missing=[], most={"shard_bytes": 7, "allocations": 9})
        ceilings = {"shard_bytes": 7, "allocations": 9, "log_bytes": 8192, "process_count": 4}
        start._hold(device, {"backends_denied": (), "ceilings_required": (required,)}, ceilings)
        assert (ceilings["shard_bytes"], ceilings["allocations"]) == sizes
        assert device.most == {"shard_bytes": sizes[0], "allocations": sizes[1]}, "no owner can lift it"
        assert device.levels == dict.fromkeys(ceilings, "self") | {"process_count": "none"}
        device.settings, device.ceilings = {"relay": "on"}, ceilings | {"relay_bps": 1}
        assert bool(start.refusal(device)) == (sizes == (0, 0))
        told = [each for each, why in device.missing if why.endswith(": process_count")]
        assert told == ([] if sizes[0] else ["shards"])
