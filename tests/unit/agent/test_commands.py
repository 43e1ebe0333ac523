"""The owner's commands without a running device: what they say, refuse, and read from the state."""

import os

from agent import __main__ as command
from agent import commands, port
from agent import words as rows
from agent.errors import PortError, UsageError
from tests.expect import raises

CORE = "0123456789abcdef"


def folder():
    made = "/tmp/corelet-commands-" + os.urandom(6).hex()
    port.files.make_folder(made)
    return made


def call(name, at, *words, **options):
    known = {"--" + key: "yes" for key in options}
    known["--state"] = at
    return command.Call(name, list(words), known)


def test_logs_of_a_device_that_does_not_run():
    at = folder()
    assert raises(PortError, commands.logs, call("logs", at)).code == "not_running"
    port.files.make_folder(at + "/logs")
    assert commands.logs(call("logs", at)) == ({"lines": []}, [])
    port.files.append(at + "/logs/1.log", b"# corelet log, segment 3\nfirst\n\xc3\n")
    port.files.append(at + "/logs/0.log", b"# corelet log, segment 4\nsecond\nthird")
    lines = ["first", "(a line that is damaged)", "second", "third"]
    assert commands.logs(call("logs", at)) == ({"lines": lines}, lines)
    kept, commands.LOG_TAIL_BYTES = commands.LOG_TAIL_BYTES, 8
    assert commands.logs(call("logs", at))[1] == [lines[1], lines[3]]  # of a line that is not whole, nothing
    commands.LOG_TAIL_BYTES = kept
    port.files.remove_tree(at)


def test_what_deletes_asks_first():
    at = folder()
    port.files.make_folder(at + "/cores/" + CORE)
    kept, port.terminal.is_terminal = port.terminal.is_terminal, lambda: False
    alone, commands._reset = commands._reset, lambda folder: {"restarted": False, "folder": folder}
    try:
        error = raises(UsageError, commands.reset, call("reset", at))
        assert error.code == "unsure" and "pairing with 1 core and every shard" in error.text
        assert "are lost" in error.text and error.text.endswith(": corelet reset --yes")
        for core in ("", CORE[:15], CORE + "0", CORE[:15] + "G", "../cores/" + CORE[:7]):
            assert raises(UsageError, commands.leave, call("leave", at, core)).code == "usage"
        error = raises(UsageError, commands.leave, call("leave", at, CORE))
        assert "deletes every shard" in error.text and error.text.endswith(f": corelet leave {CORE} --yes")
        assert port.files.exists(at + "/cores/" + CORE)
        assert commands.reset(call("reset", at, yes=True))[0] == {"restarted": False, "folder": at}
    finally:
        commands._reset = alone
        port.terminal.is_terminal = kept
        port.files.remove_tree(at)


def test_a_device_of_somebody_else():
    """What the connect said is made a sentence: whose it is, and what to type."""

    async def denied(net, where, request):
        raise PortError("denied", "choose a port above 1023")

    async def absent(net, where, request):
        raise PortError("not_running", "no device runs")

    at = folder()
    kept, commands.control.ask = commands.control.ask, denied
    system, commands.SYSTEM_FOLDER = commands.SYSTEM_FOLDER, at
    try:
        error = raises(PortError, commands.status, call("status", "/tmp/a b"))
        assert error.text.endswith(": sudo corelet status --state '/tmp/a b'") and "another user's" in error.text
        assert "port" not in error.text
        commands.control.ask = absent
        mine = command.Call("status", [], {})
        mine.folder = "/nowhere"
        assert raises(PortError, commands.status, mine).text.endswith(f": sudo corelet status --state {at}")
        assert raises(PortError, commands.status, call("status", "/x")).text == "no device runs"
    finally:
        commands.control.ask, commands.SYSTEM_FOLDER = kept, system
        port.files.remove_tree(at)


def test_every_row_has_its_function():
    for row in rows.COMMANDS:
        module, _, name = row[4].rpartition(".")
        if module == "agent.commands":
            assert callable(getattr(commands, name)), row[4]
