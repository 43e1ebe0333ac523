"""What the operator sees survives whatever a device has said."""

import io
import sys
import time
from typing import Any

import pytest

from tools.gateway import cli
from tools.gateway.command import screen


def test_any_type_can_be_shown() -> None:
    for value in (7, None, b"\xff", {"a": b"x"}, [1], True, 1 << 64, 1.5):
        assert screen.printable(value).isprintable()
    assert screen.printable("a\x1b[2J\u202e\n") == "a?[2J??"
    assert "7" in screen.table(["fw", "name"], [[7, b"\xff"], [None, "x"]])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_rate_has_the_units_of_every_other_amount(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with screen.progress("put x", 10 << 20, True) as tell:
        for step in range(5):
            tell(step << 20)
            time.sleep(0.1)
    shown = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert "MiB/s" in shown and "MB/s" not in shown, shown


def test_ctrl_c_is_130_as_with_the_other_programs(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    def stopped(_options: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "run", stopped)
    assert cli.main(["status"]) == 130 and capsys.readouterr().err == "corelet-core: stopped\n"
