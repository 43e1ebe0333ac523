"""The MicroPython subset: names, methods and arguments that are absent there or answer differently."""

import ast
import re
from collections.abc import Iterator

from tools.check import micropython
from tools.check.floors import imports
from tools.check.probing import caught_names
from tools.check.source import Finding, Source
from tools.check.syntax import EXEMPT

_BOOLS = ("True", "False", "(True, False)", "(False, True)", "bool")
_ERROR_MODES = ("'strict'", "'replace'", "'ignore'", "'backslashreplace'", "'surrogateescape'")
_FIELD = re.compile(r"\{\w*[.\[]")


def check(source: Source) -> list[Finding]:
    if not source.is_on_device or source.is_in(*EXEMPT):
        return []
    findings = [*_check_imports(source), *_check_bool(source), *_check_bytearrays(source)]
    for node in source.live_nodes():
        if isinstance(node, ast.Call):
            findings += _check_call(source, node)
        elif isinstance(node, ast.Attribute):
            findings += _check_attribute(source, node)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in micropython.BUILTINS_ABSENT:
            findings.append(source.finding(node, "mp-builtin", node.id))
        elif isinstance(node, ast.ExceptHandler):
            for name in caught_names(node):
                if name in micropython.EXCEPTIONS_ABSENT:
                    findings.append(source.finding(node, "mp-exception", f"except {name}"))
        elif isinstance(node, ast.Raise) and node.exc is not None:
            name = ast.unparse(node.exc.func if isinstance(node.exc, ast.Call) else node.exc)
            if name in micropython.EXCEPTIONS_ABSENT:
                findings.append(source.finding(node, "mp-exception", f"raise {name}"))
    return findings


def _check_imports(source: Source) -> Iterator[Finding]:
    for node, name in imports(source):
        top, _, rest = name.partition(".")
        if top in micropython.MODULES_ABSENT or name.startswith("os.path"):
            yield source.finding(node, "mp-module", f"import of {top if top != 'os' else 'os.path'}")
        elif isinstance(node, ast.ImportFrom) and not _has_name(top, rest.partition(".")[0]):
            yield source.finding(node, "mp-module-name", f"from {top} import {rest}")


def _has_name(module: str, name: str) -> bool:
    return module not in micropython.MODULE_NAMES or name in micropython.MODULE_NAMES[module].split()


def _check_attribute(source: Source, node: ast.Attribute) -> Iterator[Finding]:
    if isinstance(node.value, ast.Name) and not _has_name(node.value.id, node.attr):
        yield source.finding(node, "mp-module-name", f"{node.value.id}.{node.attr}")
    if node.attr in micropython.ATTRIBUTES:
        yield source.finding(node, "mp-attribute", f".{node.attr}")
    elif node.attr == "__class__" and isinstance(node.ctx, ast.Store):
        yield source.finding(node, "mp-attribute", "assignment to .__class__")


def _check_call(source: Source, node: ast.Call) -> Iterator[Finding]:
    called = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
    if isinstance(node.func, ast.Attribute) and called in micropython.METHODS:
        yield source.finding(node, "mp-method", f".{called}()", micropython.METHODS[called])
    refused = micropython.KEYWORDS.get(called, "").split()
    for keyword in node.keywords:
        if keyword.arg in refused:
            yield source.finding(node, "mp-keyword", f"{called}({keyword.arg}=...)")
    if called in ("encode", "decode") and any(ast.unparse(argument) in _ERROR_MODES for argument in node.args):
        yield source.finding(node, "mp-keyword", ast.unparse(node))
    if called == "pow" and len(node.args) == 3 and ast.unparse(node.args[1]).startswith("-"):
        yield source.finding(node, "mp-pow", ast.unparse(node))
    if called == "deque" and len(node.args) < 2:
        yield source.finding(node, "mp-method", ast.unparse(node), "deque((), bound)")
    if called in micropython.STRUCT_CALLS and node.args:
        yield from _check_struct(source, node.args[0])
    if called == "format" and isinstance(node.func, ast.Attribute) and _FIELD.search(ast.unparse(node.func.value)):
        yield source.finding(node, "mp-format", ast.unparse(node.func.value))


def _check_struct(source: Source, argument: ast.expr) -> Iterator[Finding]:
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        refused = [letter for letter in argument.value if letter in micropython.STRUCT_REFUSED]
        if refused:
            yield source.finding(argument, "mp-struct", f"format {argument.value!r} has {refused[0]!r}")


def _check_bool(source: Source) -> Iterator[Finding]:
    """isinstance(x, int) in a function that nowhere looks whether x is a bool."""
    for function in source.live_nodes():
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            questions = [(node, *_type_question(node)) for node in ast.walk(function)]
            known = {subject for _, subject, kinds in questions if "bool" in kinds}
            for node, subject, kinds in questions:
                if "int" in kinds and subject not in known:
                    yield source.finding(node, "mp-bool-int", ast.unparse(node))


def _type_question(node: ast.AST) -> tuple[str, list[str]]:
    """What is asked about, and which types: ("x", ["int"]) for isinstance(x, int), ["bool"] for `x is True`."""
    if isinstance(node, ast.Compare) and ast.unparse(node.comparators[0]) in _BOOLS:
        asked = node.left
        if isinstance(asked, ast.Call) and ast.unparse(asked.func) == "type" and asked.args:
            asked = asked.args[0]
        return ast.unparse(asked), ["bool"]
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance" and len(node.args) == 2:
        return ast.unparse(node.args[0]), re.findall(r"\w+", ast.unparse(node.args[1]))
    return "", []


def _check_bytearrays(source: Source) -> Iterator[Finding]:
    """What a name that is given a bytearray, or a deque, somewhere in this file cannot do."""
    kinds: dict[str, str] = {}
    for node in source.live_nodes():
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
            kind = ast.unparse(node.value.func).rpartition(".")[2]
            if kind in ("bytearray", "deque"):
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    kinds[ast.unparse(target)] = kind
    for node in source.live_nodes():
        if isinstance(node, ast.Delete):
            for target in node.targets:
                if isinstance(target, ast.Subscript) and kinds.get(ast.unparse(target.value)) == "bytearray":
                    yield source.finding(node, "mp-bytearray", ast.unparse(node))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            kind = kinds.get(ast.unparse(node.func.value), "")
            refused = {"bytearray": micropython.BYTEARRAY_METHODS, "deque": micropython.DEQUE_METHODS}.get(kind, [])
            if node.func.attr in refused:
                yield source.finding(node, "mp-bytearray", f"{kind}.{node.func.attr}()")
