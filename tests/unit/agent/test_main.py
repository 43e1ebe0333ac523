"""The words a person types: what they mean, and the exit status of wrong ones."""

import sys

from agent import __main__ as command
from agent import port, usage
from agent import words as rows
from agent.errors import UsageError
from tests.expect import raises


def test_words_and_options():
    words, options = rows.parse(["leave", "--state", "/s", "abc", "--json"])
    assert words == ["leave", "abc"] and options == {"--state": "/s", "--json": "yes"}
    assert rows.parse([]) == ([], {})
    assert rows.parse(["up", "--name", "--json"]) == (["up"], {"--name": "--json"})
    assert rows.parse(["up", "--port", "1", "--port", "2"])[1] == {"--port": "2"}
    assert rows.parse(["up", "--name=a=b", "--json", "x=y"]) == (["up", "x=y"], {"--name": "a=b", "--json": "yes"})


def test_wrong_options_say_where_help_is():
    for arguments, part in (
        (["--colour"], "no option --colour"),
        (["up", "--name"], "--name needs a value"),
        (["reset", "--state", ""], "--state needs a value"),
        (["reset", "--state="], "--state needs a value"),
        (["status", "--json=yes"], "no option --json=yes"),
        (["-x"], "-x"),
    ):
        error = raises(UsageError, rows.parse, arguments)
        assert error.code == "usage" and part in error.text and "corelet --help" in error.text


def test_wrong_words_say_what_there_is():
    for words, options, part in (
        (["frobnicate"], {}, "up, status, pair-window, leave"),
        (["leave"], {}, "leave takes CORE; 'nothing' came"),
        (["leave", "a", "b"], {}, "'a b' came"),
        (["up", "now"], {}, "'now' came"),
        (["status", "please"], {}, "takes no further word; 'please' came; see: corelet status --help"),
        (["status"], {"--name": "x"}, "status has no option --name; see: corelet status --help"),
        (["relay"], {"--state": "x"}, "relay has no option --state; see: corelet relay --help"),
    ):
        error = raises(UsageError, command.run, words, options)
        assert error.code == "usage" and part in error.text, error.text


def test_a_row_is_all_there_is_to_say_of_a_command():
    kinds = rows.takes_value(rows.COMMON)
    for row in rows.COMMANDS:
        words, options, line, example, function = row
        name = rows.name_of(row)
        assert 1 <= len(name.split()) <= 2 and words.startswith(name), words
        assert example.startswith(name + " ") or example == name, example
        assert len(line) <= 60 and line[0] == line[0].lower() and not line.endswith("."), line
        for option, is_valued in rows.takes_value(options).items():
            assert kinds.setdefault(option, is_valued) is is_valued, option  # one meaning in all rows
        assert function.startswith("agent.") and function.count(".") == 2, function


def test_two_words_make_a_command_too():
    kept = rows.COMMANDS
    rows.COMMANDS = (
        ("limits", "", "the limits", "limits", "agent.commands.limits"),
        ("limits set NAME VALUE", "--json", "lower one", "limits set connections 4", "agent.commands.limits_set"),
    )
    try:
        assert rows.find(["limits"]) is rows.COMMANDS[0]
        assert rows.find(["limits", "set", "a", "1"]) is rows.COMMANDS[1]
        assert rows.name_of(rows.COMMANDS[1]) == "limits set"
        assert "takes NAME VALUE; 'a' came" in raises(UsageError, command.run, ["limits", "set", "a"], {}).text
    finally:
        rows.COMMANDS = kept


def test_help_fits_80_columns_and_names_every_command_and_option():
    text = "\n".join(usage.overview(rows.COMMANDS))
    for row in rows.COMMANDS:
        lines = usage.explained(row, rows.split(row[1]))
        assert "\n  " + row[0] in text and row[2] in text
        assert [option for option in rows.split(row[1]) if "[" + option + "]" not in " ".join(lines)] == []
        told = " ".join(lines[lines.index("") :])
        assert row[0] == "relay" or [name for name in rows.takes_value(row[1]) if name not in told] == []
        assert lines[-1].startswith("Example: ") and lines[-1].endswith(" " + row[3])
        assert [line for line in lines if len(line) > 80 and not line.startswith("Example")] == []
    assert [line for line in usage.overview(rows.COMMANDS) if len(line) > 80] == []
    assert command.run([], {"--help": "yes"}) == 0 and command.run(["up"], {"-h": "yes"}) == 0
    assert command.run([], {}) == 2 and command.run([], {"--version": "yes"}) == 0


def test_a_hint_can_be_typed_as_it_stands():
    here = port.terminal.program()
    call = command.Call("status", [], {"--state": "/tmp/a b", "--json": "yes"})
    assert call.typed("start it with: corelet up") == f"start it with: {here} up --state '/tmp/a b'"
    assert call.typed("see: corelet up --help") == f"see: {here} up --help"
    assert call.typed("there: corelet-core pair K7QX-3M9D-4TPH") == "there: corelet-core pair K7QX-3M9D-4TPH"
    assert call.typed("a plain line") == "a plain line"
    assert command.Call("status", [], {"--state": "it's"}).typed("x: corelet up").endswith(" up --state 'it'\\''s'")
    assert command.Call("status", [], {}).typed("x: corelet up") == f"x: {here} up"
    leave = command.Call("leave", ["a1"], {"--state": "/s", "--json": "yes"})
    assert leave.typed("again: " + leave.again("--yes")) == f"again: {here} leave a1 --yes --state /s"
    assert leave.typed("so: sudo " + leave.again("--state /s")) == f"so: sudo {here} leave a1 --state /s"


def exit_status(error):
    """Of main() when a command ends with `error`."""

    def run(words, options):
        raise error

    kept, arguments = command.run, sys.argv[1:]
    sys.argv[1:] = ["up"]
    command.run = run
    try:
        return command.main()
    finally:
        command.run = kept
        sys.argv[1:] = arguments


def test_exit_status():
    from agent.errors import LimitError, PeerError, PortError

    assert exit_status(UsageError("usage", "wrong words")) == 2
    assert exit_status(UsageError("board", "no such board")) == 1
    for error in (PortError("disk_full", "full"), PeerError("control", "junk"), LimitError("busy", "busy")):
        assert exit_status(error) == 1
    assert exit_status(MemoryError()) == 1
    assert exit_status(KeyboardInterrupt()) == 130
    assert exit_status(EOFError()) == 130
