"""Tables fit a terminal of 80 columns, however long the names and large the figures are."""

import argparse
from pathlib import Path
from typing import Any

import pytest

from tools.gateway.command import commands, object_commands

NAME = "a-name-that-is-as-long-as-a-name-may-be"
HUGE = (1 << 40) - 1
DEVICE = {
    "name": NAME, "id": "0123456789abcdef", "up": False, "state": "paired", "seen_s": 3540.0,
    "used": HUGE, "quota": HUGE, "shards": 123456, "waiting": 12345,
    "reputation": {"score": 1.0, "trusted": True, "takes_more": True},
}  # fmt: skip
LOST = {"score": 0.5, "trusted": False, "takes_more": False}
AUDIT = {
    "name": NAME, "device": "0123456789abcdef", "problem": "", "missing": 1234567, "strays": 12345,
    "outcomes": {"ok": 32, "lost": 96, "corrupt": 96}, "reputation": DEVICE["reputation"],
}  # fmt: skip
FOUND = {
    "name": NAME, "instance": NAME, "board": "raspberry-pi-zero-2w", "window": "closed", "port": 65535,
    "seen_s": 3540.0, "addresses": ["2001:db8:1111:2222:3333:4444:5555:6666", "192.168.100.200"],
}  # fmt: skip
OBJECT = {"name": NAME, "id": "0123456789abcdef", "size": HUGE, "shards": 123456, "k": 10, "n": 16, "created": 0.0}
ANSWERS = {
    "/devices": {"devices": [DEVICE]},
    "/audits": {"audits": [AUDIT, AUDIT | {"missing": -1, "reputation": LOST | {"trusted": True}}]},
    "/discovered": {"found": [FOUND]},
    "/health": {"objects": [OBJECT | {"survives": losses, "of": 6, "reasons": [NAME * 3]} for losses in (-12, 0, 6)]},
    "/objects": {"objects": [OBJECT | {"survives": losses} for losses in (-12, 0, 1, 12)]},
}


class Client:
    def ask(self, _method: str, path: str, _content: bytes = b"") -> Any:
        return ANSWERS[path]


WANTED = [("devices", "01234567"), ("discover", "192.168.100.200:65535"), ("ls", "NOT READABLE"),
          ("objects", "CANNOT BE READ"), ("audit", "mute")]  # fmt: skip


@pytest.mark.parametrize(("command", "wanted"), WANTED)
def test_rows_fit_80_columns(command: str, wanted: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    options = argparse.Namespace(json=False, state=tmp_path, health=True, device="")
    known = commands.COMMANDS | {"objects": object_commands.objects}
    assert known[command](Client(), options) == (command == "audit")  # type: ignore[arg-type]
    lines = capsys.readouterr().out.splitlines()
    assert wanted in "\n".join(lines)
    assert [line for line in lines if len(line) > 80] == []
