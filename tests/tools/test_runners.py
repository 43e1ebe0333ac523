"""The runners themselves: a failure must not look like success."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e import needs
from tests.sim import run as sim
from tools.check.__main__ import ROOT

PASSING = "def test_one():\n    pass\n\n\nasync def test_two():\n    pass\n"


def run(*command: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture(params=["python", "micropython"])
def interpreter(request: pytest.FixtureRequest) -> str:
    return sys.executable if request.param == "python" else needs.program("micropython")


def run_file(interpreter: str, folder: Path, text: str) -> tuple[str, int]:
    """(last line, exit status) of tests/run.py on one file in an empty folder."""
    (folder / "test_it.py").write_text(text)
    done = run(interpreter, str(ROOT / "tests/run.py"), "test_it.py", folder=folder)
    return done.stdout.splitlines()[-1], done.returncode


def test_run_counts_functions_and_coroutines(interpreter: str, tmp_path: Path) -> None:
    assert run_file(interpreter, tmp_path, PASSING) == ("2 passed, 0 failed", 0)


@pytest.mark.parametrize(
    "bad",
    [
        "def test_bad():\n    assert False\n",
        "async def test_bad():\n    assert False\n",
        "def test_bad():\n    raise SystemExit(0)\n",
    ],
)
def test_run_reports_a_failure(interpreter: str, tmp_path: Path, bad: str) -> None:
    assert run_file(interpreter, tmp_path, PASSING + bad) == ("2 passed, 1 failed", 1)


@pytest.mark.parametrize("text", ["x = 1\n", "import nowhere_at_all\n", "def broken(:\n"])
def test_run_takes_nothing_for_a_failure(interpreter: str, tmp_path: Path, text: str) -> None:
    assert run_file(interpreter, tmp_path, text) == ("0 passed, 1 failed", 1)


def run_each(folder: Path, *texts: str) -> subprocess.CompletedProcess[str]:
    """tests/each.py on files in a folder that has tests/run.py."""
    (folder / "tests").mkdir()
    (folder / "tests/run.py").write_text((ROOT / "tests/run.py").read_text())
    names = []
    for number, text in enumerate(texts):
        names.append(f"test_{number}.py")
        (folder / names[-1]).write_text(text)
    return run(sys.executable, str(ROOT / "tests/each.py"), needs.program("micropython"), *names, folder=folder)


def test_each_sums(tmp_path: Path) -> None:
    done = run_each(tmp_path, PASSING, PASSING)
    assert (done.stdout.splitlines()[-1], done.returncode) == ("4 passed, 0 failed", 0)


def test_each_takes_a_crash_and_a_full_heap_for_failures(tmp_path: Path) -> None:
    full = "def test_full():\n    x = bytearray(200_000)\n"
    killed = "import sys\n\n\ndef test_killed():\n    print('2 passed, 0 failed')\n    sys.atexit(1)\n"
    done = run_each(tmp_path, PASSING, full, killed, "import os\nos.system('kill -9 $PPID')\n")
    assert done.returncode == 1
    assert done.stdout.count("FAILED test_") >= 3 and "status -9" in done.stdout
    assert "memory allocation failed" in done.stdout


def test_a_scenario_that_fails_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(name: str, seed: int) -> str:
        raise AssertionError("it does not hold")

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["run.py"])
    monkeypatch.setattr(sim, "run", broken)
    assert sim.main() == 1
    assert "counting 1 FAILED AssertionError it does not hold" in capsys.readouterr().out


def test_a_scenario_that_is_not_there_is_told(interpreter: str) -> None:
    done = run(interpreter, "tests/sim/run.py", "nothing:7")
    assert done.returncode == 2 and "there is no scenario nothing; there are: " in done.stdout and not done.stderr


def run_both(micropython: str) -> subprocess.CompletedProcess[str]:
    return run("env", "CORELET_FULL=", sys.executable, "-m", "tests.sim.both", micropython, "counting")


def test_both_interpreters_must_leave_the_same_traces(tmp_path: Path) -> None:
    done = run_both(needs.program("micropython"))
    assert (done.stdout.splitlines()[-1], done.returncode) == ("8 passed, 0 failed", 0)
    other = tmp_path / "other"
    for script, failures in (("echo counting 1 00; echo counting 2 0", 2), ("exit 0", 1), ("echo so; kill -9 $$", 2)):
        other.write_text(f"#!/bin/sh\n{script}\n")
        other.chmod(0o755)
        done = run_both(str(other))
        assert (done.stdout.splitlines()[-1], done.returncode) == (f"8 passed, {failures} failed", 1), done.stdout


def test_an_absent_program_skips_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "")
    with pytest.raises(pytest.skip.Exception, match="apt install the-package"):
        needs.program("no-such-program", "the-package")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="failure in CI"):
        needs.program("no-such-program", "the-package")
    with pytest.raises(pytest.fail.Exception, match="no_such_module"):
        needs.module("no_such_module")
    assert needs.program("sh").endswith("/sh")


@pytest.mark.parametrize("name", ["test", "bench", "demo"])
def test_commands_have_help_with_an_example(name: str) -> None:
    done = run(f"tools/{name}", "--help")
    assert done.returncode == 0 and "example:" in done.stdout.lower() and not done.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["test", "nothing"], "no part named nothing; the parts are: check unit-cpython"),
        (["test", "check", "--nothing"], "no option --nothing; see: tools/test --help"),
        (["bench", "idle", "nothing"], "nothing to measure named nothing; there are: idle"),
        (["demo", "--nothing"], "no option --nothing; see: tools/demo --help"),
        (["demo", "/nothing/here"], "'/nothing/here' is no file that can be read"),
        (["demo", "x" * 5000], "is no file that can be read"),
        (["demo", ""], "'' is no file that can be read"),
        (["demo", "tools/demo", "tools/test"], "one FILE at most"),
        (["demo", "--broker"], "--broker takes auto, mosquitto or embedded, not ''"),
        (["demo", "--broker=rabbit"], "not 'rabbit'"),
    ],
)
def test_a_wrong_word_is_told_before_anything_is_made(words: list[str], told: str, tmp_path: Path) -> None:
    for name in ("environment", "test", "bench", "demo"):
        (tmp_path / "tools" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "tools" / name).write_bytes((ROOT / "tools" / name).read_bytes())
    (tmp_path / "tests/bench").mkdir(parents=True)
    (tmp_path / "tests/bench/bench_idle.py").touch()
    done = run("sh", f"tools/{words[0]}", *words[1:], folder=tmp_path)
    assert done.returncode == 2 and told in done.stderr and done.stderr.count("\n") == 1 and not done.stdout
    assert not (tmp_path / ".work").exists()


def test_the_parts_are_listed() -> None:
    assert run("tools/test", "--list").stdout.count("\n") == 9


@pytest.mark.parametrize("name", ["tools/environment", "tools/test", "tools/bench", "tools/demo", ".ci/run"])
def test_scripts_parse(name: str) -> None:
    assert run("bash" if name.startswith(".ci") else "sh", "-n", name).returncode == 0
    assert os.access(ROOT / name, os.X_OK) == (name != "tools/environment")
