"""Invariant: importing any module of ours has no effect: no thread, no socket, no file, no output, no child process.
And what runs on a board can be imported by MicroPython."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e import needs
from tests.programs import RUNTIMES, interpreter
from tools.check.__main__ import ROOT, tracked_paths

MODULES = [
    path[:-3].replace("/", ".").removesuffix(".__init__")
    for path in tracked_paths(ROOT)
    if path.endswith(".py") and path.startswith(("agent/", "boards/", "ota/", "tools/"))
]
ON_DEVICE = [
    name
    for name in MODULES
    if not name.startswith(("tools", "agent.port.cpython", "ota.port.cpython"))
    and name not in ("agent.port.contract", "agent.port.relaying")
]

# Bodies of the port that may need what only MicroPython has; it imports them all, below.
MICROPYTHON_ONLY = "agent.port.micropython."

# Runs in a child: each module is imported in a fork of it that has the libraries already, which is ten times as fast.
# Audit hooks see what the interpreter is asked to do, whoever asks; reading is what importing is.
CHILD = """
import importlib, json, os, sys, threading
OURS = ("agent", "boards", "ota", "tools")
effects = []

def see(event, arguments):
    if event == "open":
        mode = arguments[1] if isinstance(arguments[1], str) else "r"
        if set(mode) & set("wax+") and "__pycache__" not in str(arguments[0]):
            effects.append(f"open {arguments[0]} {mode}")
    elif event in ("socket.bind", "socket.connect", "socket.sendto", "socket.getaddrinfo"):
        effects.append(event)
    elif event in ("os.mkdir", "os.remove", "os.rename", "os.chmod", "os.system", "subprocess.Popen", "os.fork"):
        if "__pycache__" not in str(arguments):
            effects.append(f"{event} {arguments}")
    elif event == "_thread.start_new_thread":
        effects.append(event)

def imported(name):
    missing = None
    sys.addaudithook(see)
    try:
        importlib.import_module(name)
    except ImportError as error:
        missing = str(error)
    if threading.active_count() != 1:
        effects.append("threads")
    import asyncio
    if asyncio._get_running_loop() is not None:
        effects.append("a loop")
    return missing, effects, os.listdir()

def libraries(names):
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    return [name for name in sys.modules if name.split(".")[0] not in OURS and name not in names]

def forked(function, argument):
    reading, writing = os.pipe()
    if not os.fork():
        with open(writing, "w") as file:
            json.dump(function(argument), file)
        os._exit(0)
    os.close(writing)
    with open(reading) as file:
        answer = json.load(file)
    os.wait()
    return answer

sys.dont_write_bytecode = True
names = json.load(sys.stdin)
for library in forked(libraries, names):
    try:
        importlib.import_module(library)
    except Exception:
        continue
assert not set(OURS) & set(sys.modules)
print(json.dumps({name: forked(imported, name) for name in names}))
"""
Found = dict[str, tuple[str | None, list[str], list[str]]]


def import_in_child(names: list[str], folder: Path) -> Found:
    """name -> (what could not be imported, effects, files there afterwards)."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        input=json.dumps(names),
        cwd=folder,
        env={"PYTHONPATH": f"{ROOT}:{folder}", "PATH": "/usr/bin:/bin"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr and done.stdout.count("\n") == 1, f"one printed {done.stdout!r} {done.stderr!r}"
    found: Found = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    return import_in_child(MODULES, tmp_path_factory.mktemp("imports"))


@pytest.mark.parametrize("name", MODULES)
def test_import_has_no_effect(name: str, found: Found) -> None:
    missing, effects, files = found[name]
    assert missing is None or name.startswith(MICROPYTHON_ONLY), missing
    assert not effects and not files


@pytest.mark.parametrize("source", ["open('made', 'w')", "import socket\nsocket.socket().bind(('127.0.0.1', 0))"])
def test_an_effect_is_seen(source: str, tmp_path: Path) -> None:
    (tmp_path / "effective.py").write_text(source)
    assert import_in_child(["effective"], tmp_path)["effective"][1]


def test_a_thread_is_seen(tmp_path: Path) -> None:
    (tmp_path / "busy.py").write_text("import threading, time\nthreading.Thread(target=time.sleep, args=(1,)).start()")
    assert import_in_child(["busy"], tmp_path)["busy"][1]


def test_micropython_imports_what_runs_on_a_board(tmp_path: Path) -> None:
    micropython = needs.program("micropython")
    lines = ["import sys", f"sys.path.insert(0, {str(ROOT)!r})", *[f"import {name}" for name in ON_DEVICE]]
    (tmp_path / "all.py").write_text("\n".join([*lines, "print('imported')"]))
    command = [micropython, "-X", "heapsize=2m", "all.py"]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.stdout == "imported\n", done.stdout + done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["all.py"]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_device_without_an_update_has_no_verifier_in_its_heap(runtime: str) -> None:
    program = "import sys, agent.app\nprint(*sorted([name for name in sys.modules if name.startswith('ota')]))"
    command = [*interpreter(runtime), "-c", program]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    shared = {"ota", "ota.errors", "ota.cbor", "ota.p256"}
    assert done.stdout.split() and set(done.stdout.split()) <= shared, done.stdout + done.stderr
