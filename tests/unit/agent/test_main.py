"""The words a person types: what they mean, and the exit status of wrong ones."""

import sys

from agent import __main__ as command
from agent.errors import UsageError
from tests.expect import raises


def test_words_and_options():
    words, options = command.parse(["leave", "--state", "/s", "abc", "--json"])
    assert words == ["leave", "abc"] and options == {"--state": "/s", "--json": "yes"}
    assert command.parse([]) == ([], {})
    assert command.parse(["up", "--name", "--json"]) == (["up"], {"--name": "--json"})
    assert command.parse(["up", "--port", "1", "--port", "2"])[1] == {"--port": "2"}


def test_wrong_options_say_where_help_is():
    for arguments, part in (
        (["--colour"], "no option --colour"),
        (["up", "--name"], "--name needs a value"),
        (["reset", "--state", ""], "--state needs a value"),
        (["-x"], "-x"),
    ):
        error = raises(UsageError, command.parse, arguments)
        assert error.code == "usage" and part in error.text and "corelet --help" in error.text


def test_wrong_words_say_what_there_is():
    for words, part in (
        (["frobnicate"], "up, status, pair-window, leave"),
        (["leave"], "corelet status"),
        (["leave", "a", "b"], "one core's id"),
        (["up", "now"], "not 'now'"),
        (["status", "please"], "not 'please'"),
    ):
        error = raises(UsageError, command.run, words, {})
        assert error.code == "usage" and part in error.text, error.text


def test_help_names_every_command_and_option():
    for word in command.COMMANDS + command.VALUES + ("--json",):
        assert word in command.USAGE, word
    assert command.run([], {"--help": "yes"}) == 0
    assert command.run(["up"], {"-h": "yes"}) == 0
    assert command.run([], {}) == 2


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
