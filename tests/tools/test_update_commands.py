"""What `corelet-core release` and `corelet-core rollout` send and show; the core behind them is made up."""

import base64
import json

import pytest

from agent.errors import CoreletError
from tests.tools.test_rollout_rules import Fleet
from tools.gateway import cli
from tools.gateway.command import update_commands
from tools.gateway.updates.report import told


class Client:
    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    def ask(self, method, path, content=None, **_):
        self.asked.append((method, path, json.loads(content) if content else None))
        return self.answer


def typed(capsys, answer, *words):
    """(what was asked, what was printed)."""
    client, options = Client(answer), cli.parser().parse_args(words)
    assert getattr(update_commands, words[0])(client, options) == 0
    return client.asked, capsys.readouterr().out


def test_a_roll_out_is_drawn_as_bars(capsys):
    fleet = Fleet(20, sample=5)
    fleet.pass_time()
    fleet.updated(*fleet.orders)
    fleet.pass_time(900)
    fleet.updated(*fleet.orders[:6])
    fleet.refuse(fleet.orders[6], "image\x1b[2J")
    fleet.pass_time()
    value = told(fleet.rollout, {fleet.orders[6]: "attic"})
    asked, said = typed(capsys, {"rollout": value}, "rollout", "status")
    lines = said.splitlines()
    assert asked == [("GET", "/rollout", None)]
    assert lines[0] == "release 8 (abababababababab): the roll-out goes on"
    assert lines[1] == "  canary     10 %  [########################]  over: 2 of 2 updated"
    assert lines[2] == "  wave 1     50 %  [############!!!>>>>>>>>>]  open: 4 of 8 updated, 1 failed"
    assert lines[3] == "  wave 2    100 %  [........................]  not yet: 0 of 10 updated"
    assert "the open wave waits for 3 without an outcome" in said and "\x1b" not in said
    assert any(line.startswith("attic") and "failed" in line and "image" in line for line in lines)
    asked, said = typed(capsys, {"rollout": value}, "rollout", "status", "--json")
    assert json.loads(said)["rollout"]["counts"]["updated"] == 6
    assert len(json.loads(said)["rollout"]["devices"]) == 20
    assert "nothing was rolled out yet" in typed(capsys, {"rollout": {}}, "rollout", "status")[1]


def test_what_is_sent(capsys, tmp_path):
    for name in ("envelope", "pack", "root-1", "root-2", "yes"):
        (tmp_path / name).write_bytes(name.encode())
    at = lambda name: str(tmp_path / name)  # noqa: E731
    words = ["release", "add", at("envelope"), "--pack", at("pack"), "--root", at("root-1"), "--root", at("root-2")]
    answer = {"sequence": 7, "digest": "ab" * 32, "trouble": "", "root": 2}
    asked, said = typed(capsys, answer, *words, "--approval", at("yes"))
    coded = lambda *names: [base64.b64encode(name.encode()).decode() for name in names]  # noqa: E731
    body = {"envelope": coded("envelope")[0], "pack": coded("pack")[0], "roots": coded("root-1", "root-2")}
    assert asked == [("POST", "/releases", body | {"approvals": coded("yes")})] and "ab" * 32 in said
    words = ["rollout", "start", "abab", "--canary", "2%", "--abort-at", "5%", "--sample", "9"]
    asked, _ = typed(capsys, {"rollout": {}}, *words)
    assert asked[0][2] == {
        "digest": "abab", "canary": "2%", "waves": "", "soak": "", "abort_at": "5%", "deadline": "", "sample": 9,
    }  # fmt: skip
    assert typed(capsys, {"rollout": {}}, "rollout", "abort")[0] == [("POST", "/rollout/abort", None)]
    row = {"sequence": 7, "digest": "ab" * 32, "bytes": 2048, "signatures": 2, "approvals": 0, "rollout": "done"}
    said = typed(capsys, {"releases": [row | {"trouble": ""}]}, "release", "ls")[1]
    assert said.splitlines()[1].split() == ["7", "ab" * 8, "2.0", "KiB", "2", "0", "done", "ready"]


@pytest.mark.parametrize("words", [["release", "add"], ["release", "x"], ["rollout", "start"], ["rollout", "stop"]])
def test_wrong_words(words):
    with pytest.raises(CoreletError) as wrong:
        getattr(update_commands, words[0])(Client({}), cli.parser().parse_args(words))
    assert wrong.value.code == "usage" and "there are:" in wrong.value.text


def test_a_file_that_is_not_there(tmp_path):
    options = cli.parser().parse_args(["release", "add", str(tmp_path / "none")])
    with pytest.raises(CoreletError) as missing:
        update_commands.release(Client({}), options)
    assert missing.value.code == "file"
