"""The words of the command line; whole runs are in tests/e2e/test_ota_verify.py."""

from ota import __main__ as command
from ota.errors import LimitError, UsageError
from tests.expect import raises


def test_words():
    words = ["verify", "FILE", "--key", "a", "--threshold", "2", "--key", "b"]
    assert command.arguments(words) == ("verify", "FILE", ["a", "b"], 2)
    assert command.arguments(["--key", "a", "verify", "FILE"]) == ("verify", "FILE", ["a"], 0)
    assert command.arguments(["inspect", "FILE"]) == ("inspect", "FILE", [], 0)


def test_wrong_words():
    for words in (
        [], ["verify"], ["verify", "FILE"], ["verify", "FILE", "--key"], ["verify", "FILE", "FILE", "--key", "a"],
        ["install", "FILE", "--key", "a"], ["inspect"], ["inspect", "FILE", "--all"],
        ["inspect", "FILE", "--threshold"],
        ["verify", "FILE", "--key", "a", "--threshold", "0"], ["verify", "FILE", "--key", "a", "--threshold", "-1"],
        ["verify", "FILE", "--key", "a", "--threshold", "x"], ["verify", "FILE", "--key", "a", "--threshold", "100"],
    ):  # fmt: skip
        assert raises(UsageError, command.arguments, words).code == "usage", words


def test_files():
    name = "tests/vectors/data/suit/keys.json"
    with open(name, "rb") as file:
        data = file.read()
    assert command.read(name, 4096) == data
    assert command.read(name, len(data)) == data
    assert raises(LimitError, command.read, name, len(data) - 1).code == "too_big"
    assert raises(UsageError, command.read, "tests/no-such-file", 1).code == "file"
    assert raises(UsageError, command.run, ["verify", name, "--key", "tests/no-such-file"]).code == "file"
    assert raises(UsageError, command.run, ["verify", name, "--key", name]).code == "key"
