"""Who may import whom, as data. Read from the top; the longest matching module prefix counts.

Not imports, so not seen here: what arrives as an argument. `if False:` blocks are exempt.
"""

import ast
import sys
from collections.abc import Iterator
from typing import NamedTuple

from tools.check.source import Finding, Source, is_inside

ANY = ("*",)


class Floor(NamedTuple):
    """`modules`: who stands here. `ours`, `stdlib`, `libraries`: what they may import (and what is inside)."""

    name: str
    modules: tuple[str, ...]
    ours: tuple[str, ...]
    stdlib: tuple[str, ...]
    libraries: tuple[str, ...] = ()


_FLOOR_0 = ("agent.errors", "agent.limits", "boards.ceilings", "boards.schema")
_FLOOR_1 = (*_FLOOR_0, "agent.wire")
_FLOOR_2 = (*_FLOOR_1, "agent.core")
_FLOOR_3 = (*_FLOOR_2, "agent.service", "agent.port", "boards.loader", "ota")
# The bodies that stage-0 and the port of MicroPython share.
_SHARED = ("ota.cbor", "ota.p256")

_VALUES = ("binascii", "collections", "hashlib", "struct")
_MACHINES = (*_VALUES, "heapq", "array")
_DRIVERS = (*_MACHINES, "asyncio", "json", "gc")
_MICROPYTHON = (*_DRIVERS, "errno", "io", "os", "random", "select", "socket", "sys", "time")
_MICROPYTHON_ONLY = ("cryptolib", "deflate", "micropython", "tls", "uctypes", "vfs")
_DEVICE_LIBRARIES = ("paho", "zeroconf", "ifaddr", "cbor2", "Crypto", "psutil", "segno")

FLOORS = (
    Floor("agent/__init__", ("agent.__init__", "agent.core.__init__", "agent.wire.__init__"), (), ()),
    Floor(
        "0 errors, limits, boards", ("agent.errors", "agent.limits"), ("agent.errors", "ota.errors"), ("collections",)
    ),
    Floor("0 boards", ("boards",), ("boards", "agent.errors", "agent.limits"), ("collections",)),
    Floor("1 wire", ("agent.wire",), _FLOOR_1, _VALUES),
    Floor("2 core", ("agent.core",), _FLOOR_2, _MACHINES),
    Floor("3 service", ("agent.service",), _FLOOR_3, _DRIVERS),
    Floor("4 app", ("agent",), ("agent", "boards", "ota"), (*_DRIVERS, "sys")),
    Floor(
        "port, shared",
        ("agent.port",),
        ("agent.port", "agent.errors", *_SHARED),
        (*_VALUES, "errno", "os", "socket", "sys"),
    ),
    Floor("port contract", ("agent.port.contract", "agent.port.relaying"), (), ("typing",)),
    Floor(
        "port, CPython",
        ("agent.port.cpython",),
        ("agent.errors", "agent.wire", "agent.port"),
        ANY,
        _DEVICE_LIBRARIES,
    ),
    Floor(
        "port, MicroPython",
        ("agent.port.micropython",),
        ("agent.errors", "agent.wire", "agent.port", *_SHARED),
        _MICROPYTHON,
        _MICROPYTHON_ONLY,
    ),
    # Stage-0 must work when the slot that holds agent/ is torn: nothing of ota imports agent.
    Floor(
        "ota, world",
        ("ota.__main__", "ota.boot", "ota.client", "ota.follow", "ota.founding", "ota.mount", "ota.source"),
        ("ota",),
        ANY,
    ),
    Floor("ota, port", ("ota.port",), ("ota",), ANY, _MICROPYTHON_ONLY),
    Floor("ota", ("ota",), ("ota",), _MACHINES),
    Floor("tools", ("tools",), ("agent", "boards", "ota", "tools"), ANY, ANY),
    Floor("tests", ("tests",), ("agent", "boards", "ota", "tools", "tests"), ANY, ANY),
)

# Families within a floor that do not know each other.
APART = ("agent.core.pairing", "agent.core.relay", "agent.core.shards")

# Never imported at run time on a device.
TYPE_ONLY = ("agent.port.contract", "agent.port.relaying")

OURS = ("agent", "boards", "ota", "tools", "tests")

_STDLIB = frozenset(sys.stdlib_module_names)


def floor_of(module: str) -> Floor | None:
    """The floor with the longest prefix of `module`."""
    matches = [(len(name), floor) for floor in FLOORS for name in floor.modules if is_inside(module, name)]
    return max(matches, key=lambda match: match[0])[1] if matches else None


def imports(source: Source) -> Iterator[tuple[ast.Import | ast.ImportFrom, str]]:
    """(node, dotted name) of each import that runs; `from a import b` is "a.b", because b may be a module."""
    for node in source.live_nodes():
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                yield node, f"{node.module}.{alias.name}"


def check(source: Source) -> list[Finding]:
    floor = floor_of(source.module)
    findings = list(_check_shape(source))
    if floor is None or source.tree is None:
        return findings
    for node, name in imports(source):
        top = name.partition(".")[0]
        if top in OURS:
            findings += _check_ours(source, floor, node, name)
        elif top in _STDLIB:
            if not _is_allowed(top, floor.stdlib):
                findings.append(source.finding(node, "floor-stdlib", f"{top} imported on floor {floor.name!r}"))
        elif not _is_allowed(top, floor.libraries):
            findings.append(source.finding(node, "floor-library", f"{top} imported on floor {floor.name!r}"))
        if source.is_in("tests.unit") and top == "pytest":
            findings.append(source.finding(node, "unit-pytest", "pytest imported"))
    return findings


def _check_ours(source: Source, floor: Floor, node: ast.AST, name: str) -> Iterator[Finding]:
    if source.is_on_device and any(is_inside(name, only) for only in TYPE_ONLY):
        yield source.finding(node, "type-only", f"{name} imported at run time")
    elif not _is_allowed(name, floor.ours):
        yield source.finding(node, "floor", f"{name} imported on floor {floor.name!r}")
    else:
        for folder in APART:
            if is_inside(name, folder) and floor_of(source.module) is floor_of(folder) and not source.is_in(folder):
                yield source.finding(node, "floor-sibling", f"{name} imported from {source.module}")


def _check_shape(source: Source) -> Iterator[Finding]:
    for node in source.live_nodes():
        if isinstance(node, ast.ImportFrom) and node.level:
            yield source.finding(node, "import-relative", "." * node.level + (node.module or ""))
        elif isinstance(node, ast.Call) and _is_dynamic_import(source, node):
            yield source.finding(node, "import-dynamic", ast.unparse(node))
    if source.is_on_device and source.tree:
        for statement in source.tree.body:
            if not isinstance(statement, _QUIET_STATEMENTS) and not _is_docstring(statement):
                yield source.finding(statement, "import-work", ast.unparse(statement).partition("\n")[0])


# What may stand at the left edge of a module on a device.
_QUIET_STATEMENTS = (
    ast.Import,
    ast.ImportFrom,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Assign,
    ast.AnnAssign,
    ast.If,
)


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_dynamic_import(source: Source, node: ast.Call) -> bool:
    return (
        source.is_on_device
        and not source.is_in("agent.port", "ota.port")
        and ast.unparse(node.func) in ("__import__", "importlib.import_module")
    )


def _is_allowed(name: str, allowed: tuple[str, ...]) -> bool:
    return "*" in allowed or any(is_inside(name, prefix) for prefix in allowed)
