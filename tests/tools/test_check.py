"""Every rule of tools/check has a snippet that must be found and one that must not."""

from pathlib import Path

import pytest

from tools.check import __main__ as command
from tools.check import floors, programs, sizes, text
from tools.check.rules import RULES
from tools.check.source import Finding, Source
from tools.check.waivers import Waiver

CORE = "agent/core/thing.py"
SERVICE = "agent/service/thing.py"
PORT = "agent/port/micropython/thing.py"


def caught(exceptions: str, then: str = "pass") -> str:
    return f"try:\n    f()\nexcept {exceptions}:\n    {then}"


def within(statement: str, head: str = "def f(x):") -> str:
    return f"{head}\n    {statement}"


# rule, path, what must be found, what must not
CASES = (
    ("floor", "agent/wire/thing.py", "from agent.core import link", "from agent.errors import PeerError"),
    ("floor", CORE, "from agent import port", "from agent.wire import http"),
    ("floor", CORE, "from agent.port import clock", "if False:\n    from agent.port import clock"),
    ("floor", "agent/errors.py", "import agent.limits", "from collections import namedtuple"),
    ("floor", "agent/app.py", "from tools.gateway import ca", "from agent.service import http"),
    ("floor", "boards/schema.py", "from agent import app", "from agent.errors import UsageError"),
    ("floor", "ota/boot.py", "from agent.errors import PeerError", "from ota import slots"),
    ("floor", "tools/gateway/thing.py", "from tests import expect", "from agent.core import link"),
    ("floor", "agent/__init__.py", "from agent import app", '__version__ = "1"'),
    ("floor-sibling", "agent/core/link.py", "from agent.core.pairing import prover", "from agent.core import machine"),
    ("floor-sibling", "agent/core/relay/a.py", "from agent.core.shards import store", "from agent.core.relay import b"),
    ("floor-stdlib", CORE, "import asyncio", "import hashlib"),
    ("floor-stdlib", "agent/wire/thing.py", "from time import time", "import struct"),
    ("floor-stdlib", SERVICE, "import socket", "import asyncio"),
    ("floor-library", SERVICE, "import cbor2", "from agent import port"),
    ("floor-library", "agent/port/cpython/thing.py", "import numpy", "import cbor2"),
    ("type-only", SERVICE, "from agent.port import contract", "if False:\n    from agent.port import contract"),
    ("import-relative", "tools/thing.py", "from . import other", "from tools import other"),
    ("import-dynamic", SERVICE, "def f():\n    return __import__('json')", "import json"),
    ("import-work", CORE, "print(1)", '"""Text."""\nLIMIT = 3'),
    ("import-work", CORE, "for x in (1, 2):\n    y = x", "def f():\n    for x in (1, 2):\n        y = x"),
    ("unit-pytest", "tests/unit/test_thing.py", "import pytest", "from tests.expect import raises"),
    ("probe", SERVICE, caught("ImportError"), caught("OSError")),
    ("probe", "agent/app.py", "import sys\nx = sys.implementation.name", "import sys\nx = sys.argv"),
    ("probe", SERVICE, "x = hasattr(y, 'z')", "x = y.z"),
    ("except-wide", SERVICE, caught("Exception"), caught("OSError")),
    ("except-wide", SERVICE, caught(""), caught("BaseException", "raise")),
    ("mp-match", CORE, "match x:\n    case 1:\n        pass", "if x == 1:\n    pass"),
    ("mp-except-star", CORE, caught("OSError").replace("except", "except*"), caught("OSError")),
    ("mp-positional-only", CORE, "def f(a, /, b): pass", "def f(a, *, b): pass"),
    ("mp-unpack", CORE, "x = [*a, 1]", "x = f(*a, *b)"),
    ("mp-unpack", CORE, "x = {**a}", "x = f(**a, **b)"),
    ("mp-unpack", CORE, "def f():\n    return *a, 1", "a, *b = c"),
    ("mp-async-generator", CORE, "async def f():\n    yield 1", "def f():\n    yield 1"),
    ("mp-async-comprehension", CORE, "async def f():\n    return [x async for x in y]", "x = [y for y in z]"),
    ("mp-async-comprehension", CORE, within("[await x for x in y]", "async def f():"), "x = [y for y in z]"),
    ("mp-with-parentheses", CORE, "with (a as b, c as d):\n    pass", "with a as b, c as d:\n    pass"),
    ("mp-with-parentheses", CORE, "with (\n    a as b,\n):\n    pass", "with (a) as b:\n    pass"),
    ("mp-fstring-adjacent", CORE, 'x = f"{a}" "b"', 'x = "a" "b"'),
    ("mp-fstring-adjacent", CORE, 'x = ("a"\n     f"{b}")', 'x = "a" + f"{b}"'),
    ("mp-fstring", CORE, 'x = f"{a!a}"', 'x = f"{a!r}{b=}"'),
    ("mp-fstring", CORE, 'x = rf"{a}"', 'x = r"a"'),
    ("mp-unicode-name", CORE, 'x = "\\N{BULLET}"', 'x = "\\u2022"'),
    ("mp-slice-step", CORE, "x = data[::2]", "x = data[1:2]"),
    ("mp-mangled", CORE, within("x.__y = 1"), within("x._y = x.__len__()")),
    ("mp-multiple-inheritance", CORE, "class A(B, C): pass", "class A(B): pass"),
    ("mp-class-keyword", CORE, "class A(B, key=1): pass", "class A(B): pass"),
    ("mp-builtin-base", CORE, "class A(int): pass", "class A(Exception): pass"),
    ("mp-slots", CORE, "class A:\n    __slots__ = ('x',)", "class A:\n    x = 1"),
    ("mp-dunder", CORE, "class A:\n    def __del__(self): pass", "class A:\n    def __len__(self): pass"),
    ("mp-decorator", CORE, "@table[0]\ndef f(): pass", "@staticmethod\ndef f(): pass"),
    ("mp-raise-from", CORE, "raise A() from b", "raise A(str(b))"),
    ("mp-type-value", CORE, "Address = tuple[str, int]", "def f(a: list[int]) -> int | None: pass"),
    ("mp-type-value", CORE, "Maybe = int | None", "flags = a | b"),
    ("mp-module", CORE, "import functools", "import struct"),
    ("mp-module", PORT, "import os.path", "import os"),
    ("mp-module", CORE, "from typing import Any", "if False:\n    from typing import Any"),
    ("mp-module-name", SERVICE, "import asyncio\nx = asyncio.Queue", "import asyncio\nx = asyncio.Event"),
    ("mp-module-name", CORE, "from hashlib import sha512", "from hashlib import sha256"),
    ("mp-module-name", PORT, "import os\nos.fsync(1)", "import os\nos.remove('a')"),
    ("mp-builtin", CORE, "x = format(1, 'x')", "x = '{}'.format(1)"),
    ("mp-exception", PORT, caught("FileNotFoundError"), caught("OSError")),
    ("mp-exception", CORE, "raise TimeoutError()", "raise PortError('timeout', 'x')"),
    ("mp-method", CORE, "x = a.removeprefix('b')", "x = a.startswith('b')"),
    ("mp-method", CORE, "x = a.bit_length()", "x = a.to_bytes(4, 'big')"),
    ("mp-method", CORE, "x = deque()", "x = deque((), 10)"),
    ("mp-keyword", CORE, "x = a.split(maxsplit=1)", "x = a.split('b', 1)"),
    ("mp-keyword", CORE, "x = int.from_bytes(a, 'big', signed=True)", "x = int.from_bytes(a, 'big')"),
    ("mp-keyword", PORT, "x = open('a', encoding='utf-8')", "x = open('a', 'rb')"),
    ("mp-keyword", CORE, "x = a.decode('utf-8', 'replace')", "x = a.decode('utf-8')"),
    ("mp-keyword", CORE, "x = deque((), maxlen=3)", "x = deque((), 3)"),
    ("mp-attribute", CORE, "x = a.__doc__", "x = a.__name__"),
    ("mp-attribute", PORT, "x = error.strerror", "x = error.errno"),
    ("mp-attribute", CORE, "x.__class__ = B", "y = x.__class__"),
    ("mp-bytearray", CORE, "x = bytearray()\ndel x[:3]", "x = []\ndel x[:3]"),
    ("mp-bytearray", CORE, "x = bytearray()\ndef f():\n    x.clear()", "x = {}\ndef f():\n    x.clear()"),
    ("mp-bytearray", CORE, "x = deque((), 3)\nx.rotate(1)", "x = deque((), 3)\nx.append(1)"),
    ("mp-bool-int", CORE, within("isinstance(x, int)"), within("isinstance(x, int) and x is not True")),
    ("mp-bool-int", CORE, within("isinstance(x, (str, int))"), within("type(x) is int")),
    ("mp-pow", CORE, "x = pow(a, -1, m)", "x = pow(a, m - 2, m)"),
    ("mp-struct", CORE, "x = struct.pack('=H', 1)", "x = struct.pack('>H', 1)"),
    ("mp-struct", CORE, "x = struct.unpack('<?', a)", "x = struct.unpack('<B', a)"),
    ("mp-format", CORE, "x = '{0.y}'.format(a)", "x = '{0} {1:x}'.format(a, b)"),
    ("size-file", CORE, "x = 1\n" * 301, "x = 1\n" * 300),
    ("size-file", "tools/thing.py", "x = 1\n" * 401, "x = 1\n" * 400),
    ("size-file", "tools/test", "true\n" * 401, "true\n" * 400),
    ("size-function", CORE, "def f():\n" + "    a()\n" * 40, "def f():\n" + "    a()\n" * 39),
    ("size-parameters", CORE, "def f(a, b, c, d, e, f, *, g): pass", "def f(self, b, c, d, e, *, f, **g): pass"),
    ("size-readme", "README.md", "x\n" * 201, "x\n" * 200),
    ("name-module", "agent/core/utils.py", "x = 1", None),
    ("name-module", "tools/helpers/thing.py", "x = 1", None),
    ("name-top-level", "scripts/thing.py", "x = 1", None),
    ("text-machine-path", "README.md", "cd /home" + "/somebody/corelet", "cd corelet; ls .work/venv /var/lib/corelet"),
    ("text-machine-path", "tools/thing.py", "x = '/ro" + "ot/checkout/x'", "x = '~/ro" + "ot/x' + f'{x}/ro" + "ot/x'"),
    ("text-registry-host", "setup.cfg", "index = https://pypi" + ".org/simple", "url = https://example.org/"),
    ("text-registry-host", "tools/thing.sh", "pip install --extra-index" + "-url x y", "pip install y"),
)  # fmt: skip

# Judged on the whole tree, by tests of their own below.
WHOLE_TREE = {"size-device", "waiver-unused", "syntax"}


def found(path: str, snippet: str) -> set[str]:
    return {finding.rule for finding in command.lint(Source.parse(path, snippet))}


@pytest.mark.parametrize(("rule", "path", "bad", "good"), CASES, ids=[f"{case[0]}-{n}" for n, case in enumerate(CASES)])
def test_rule(rule: str, path: str, bad: str, good: str | None) -> None:
    assert rule in found(path, bad)
    if good is not None:
        assert rule not in found(path, good)


def test_every_rule_has_a_case() -> None:
    assert {case[0] for case in CASES} | WHOLE_TREE == set(RULES)


def test_good_snippets_are_what_a_file_may_be() -> None:
    assert not found(
        "agent/core/good.py",
        '"""Text."""\n\nimport struct\n\n\ndef pack(n: int) -> bytes:\n    return struct.pack(">H", n)\n',
    )


@pytest.mark.parametrize("path", ["tools/thing.py", "tests/unit/test_thing.py", "agent/port/cpython/thing.py"])
def test_subset_binds_only_what_runs_on_micropython(path: str) -> None:
    assert not {rule for rule in found(path, "x = [*a, b.removeprefix('c')]") if rule.startswith("mp-")}


def test_annotations_and_type_checking_blocks_are_not_run() -> None:
    snippet = within("import typing", "if False:") + "\n"
    snippet += within("x: dict[str, int | None]", "class A:") + "\n"
    snippet += within("y: list[int] = []", "def f(a: 'list[int]') -> tuple[int, ...]:")
    assert not found(CORE, snippet)


def test_longest_prefix_decides_the_floor() -> None:
    for module, name in (
        ("agent.app", "4 app"),
        ("agent.core.x", "2 core"),
        ("agent.port.x", "port, shared"),
        ("ota.x", "ota"),
    ):
        floor = floors.floor_of(module)
        assert floor and floor.name == name
    assert floors.floor_of("elsewhere") is None


def test_a_finding_reads_as_promised() -> None:
    line = command.show(Finding("agent/core/link.py", 7, "mp-match", "Match"))
    assert line == "agent/core/link.py:7: mp-match: Match; instead: if/elif"
    (finding,) = (one for one in command.lint(Source.parse(CORE, "\nx = a.zfill(3)")) if one.rule == "mp-method")
    assert command.show(finding) == f"{CORE}:2: mp-method: .zfill(); instead: a %-format"


def test_lines_that_ship_to_a_board_leave_the_other_interpreter_out() -> None:
    sources = [Source.parse(path, "x = 1\n" * 10) for path in ("agent/a.py", "agent/port/cpython/a.py", "tools/a.py")]
    assert sizes.device_lines(sources) == {"CPython": 20, "MicroPython": 10}
    assert not sizes.check_device(sources)
    long = Source.parse("agent/a.py", "x = 1\n" * (sizes.DEVICE_LINES_MAX + 1))
    assert sizes.check_device([long])[0].rule == "size-device"


def test_slot_back_ends_ship_only_to_boards_that_name_one() -> None:
    one = Source.parse("ota/backends/one.py", "x = 1\n" * 10)
    assert sizes.device_lines([one]) == {"CPython": 0, "MicroPython": 0} and sizes.backend_lines([one]) == 10
    long = Source.parse("ota/backends/one.py", "x = 1\n" * (sizes.BACKEND_LINES_MAX + 1))
    assert sizes.check_device([long])[0].rule == "size-device"


def test_the_place_of_the_checkout_is_found(tmp_path: Path) -> None:
    source = Source.parse("README.md", f"a\nlook at {tmp_path}/README.md\n")
    assert [(one.line, one.rule) for one in text.check_root(source, tmp_path)] == [(2, "text-machine-path")]


def make_tree(folder: Path, files: dict[str, str]) -> None:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)


def run_ours(folder: Path) -> dict[str, list[str]]:
    reported: dict[str, list[str]] = {}
    command.run_ours(folder, reported.__setitem__)
    return reported


def test_waivers_hide_and_must_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_tree(tmp_path, {"agent/core/a.py": "x = y[::2]\nx = z.zfill(3)\n", "tools/b.py": "def broken(:\n"})
    rows = (
        Waiver("agent/core/a.py", "mp-slice-step", "::2", "a list"),
        Waiver("agent/core/a.py", "mp-match", "", "gone since"),
    )
    monkeypatch.setattr(command, "WAIVERS", rows)
    reported = run_ours(tmp_path)
    assert reported["subset: syntax"] == []
    assert len(reported["subset: calls"]) == 1 and "zfill" in reported["subset: calls"][0]
    assert len(reported["waivers"]) == 1 and "waiver for mp-match" in reported["waivers"][0]
    assert len(reported["syntax"]) == 1 and "tools/b.py:1: syntax:" in reported["syntax"][0]


def test_a_program_that_finds_something_fails(tmp_path: Path) -> None:
    make_tree(tmp_path, {"a.py": "import os\n", "pyproject.toml": ""})
    is_clean, output = programs.run(programs.PROGRAMS[0], tmp_path)
    assert not is_clean and "F401" in output
    (tmp_path / "a.py").write_text("x = 1\n")
    assert programs.run(programs.PROGRAMS[0], tmp_path)[0]
