"""The MicroPython subset: what the parser refuses or the compiler ignores. One small walker per rule."""

import ast
import io
import tokenize
from collections.abc import Iterator

from tools.check import micropython
from tools.check.source import Finding, Source

# Node type -> rule, where the type alone says it.
NODES: dict[type[ast.AST], str] = {ast.Match: "mp-match", ast.TryStar: "mp-except-star"}

# CPython only, or never imported.
EXEMPT = ("agent.port.cpython", "ota.port.cpython", "agent.port.contract", "agent.port.relaying")

_STRING_TOKENS = {"STRING", "FSTRING_START"}
_SILENT_TOKENS = {"NL", "COMMENT", "INDENT", "DEDENT"}


def check(source: Source) -> list[Finding]:
    if not source.is_on_device or source.is_in(*EXEMPT):
        return []
    findings = list(_check_tokens(source))
    for node in source.live_nodes():
        for rule, found in _check_node(source, node):
            findings.append(source.finding(node, rule, found))
    return findings


def _check_node(source: Source, node: ast.AST) -> Iterator[tuple[str, str]]:
    rule = NODES.get(type(node))
    if rule:
        yield rule, type(node).__name__
    if isinstance(node, ast.ClassDef):
        yield from _check_class(node)
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield from _check_function(node)
    elif isinstance(node, ast.With | ast.AsyncWith) and _is_parenthesised(source, node):
        yield "mp-with-parentheses", "with (...)"
    elif isinstance(node, ast.Raise) and node.cause is not None:
        yield "mp-raise-from", "raise ... from ..."
    else:
        yield from _check_expression(node)


def _check_expression(node: ast.AST) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.List | ast.Tuple | ast.Set) and isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
        if any(isinstance(part, ast.Starred) for part in node.elts):
            yield "mp-unpack", ast.unparse(node)
    elif isinstance(node, ast.Dict) and None in node.keys:
        yield "mp-unpack", ast.unparse(node)
    elif isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        if any(part.is_async for part in node.generators) or any(isinstance(n, ast.Await) for n in ast.walk(node)):
            yield "mp-async-comprehension", "async or await in a comprehension"
    elif isinstance(node, ast.Slice) and node.step is not None:
        yield "mp-slice-step", ast.unparse(node)
    elif isinstance(node, ast.FormattedValue):
        if node.conversion == ord("a") or any(isinstance(part, ast.Lambda) for part in ast.walk(node.value)):
            yield "mp-fstring", "!a or a lambda in an f-string"
    elif isinstance(node, ast.Attribute) and _is_mangled(node.attr):
        yield "mp-mangled", node.attr
    elif isinstance(node, ast.Subscript) and ast.unparse(node.value) in ("list", "dict", "tuple", "set", "type"):
        yield "mp-type-value", ast.unparse(node)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr) and "None" in _sides(node):
        yield "mp-type-value", ast.unparse(node)


def _check_class(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    if len(node.bases) > 1:
        yield "mp-multiple-inheritance", f"class {node.name} has {len(node.bases)} bases"
    if node.keywords:
        yield "mp-class-keyword", f"class {node.name}(..., {node.keywords[0].arg}=...)"
    for base in node.bases:
        if ast.unparse(base) in micropython.BASES:
            yield "mp-builtin-base", f"class {node.name}({ast.unparse(base)})"
    for part in ast.walk(node):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store) and part.id == "__slots__":
            yield "mp-slots", f"__slots__ in class {node.name}"
        elif isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef) and part.name in micropython.DUNDERS:
            yield "mp-dunder", f"{node.name}.{part.name}"


def _check_function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[str, str]]:
    if node.args.posonlyargs:
        yield "mp-positional-only", f"def {node.name}(..., /)"
    if _is_mangled(node.name):
        yield "mp-mangled", node.name
    if isinstance(node, ast.AsyncFunctionDef) and any(isinstance(part, ast.Yield) for part in own_nodes(node)):
        yield "mp-async-generator", f"yield in async def {node.name}"
    for decorator in node.decorator_list:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        if not isinstance(target, ast.Name | ast.Attribute):
            yield "mp-decorator", "@" + ast.unparse(decorator)


def own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function without those of functions inside it."""
    for child in ast.iter_child_nodes(function):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from own_nodes(child)


def _is_mangled(name: str) -> bool:
    return name.startswith("__") and not name.endswith("__")


def _sides(node: ast.BinOp) -> tuple[str, str]:
    return ast.unparse(node.left), ast.unparse(node.right)


def _is_parenthesised(source: Source, node: ast.With | ast.AsyncWith) -> bool:
    """`with (a as b, c as d):`; but not `with (a):`, which is an expression."""
    first = node.items[0].context_expr
    lines = source.lines[node.lineno - 1 : first.lineno]
    lines[-1] = lines[-1][: first.col_offset]
    is_open = "(" in "\n".join(lines)[node.col_offset if len(lines) == 1 else 0 :]
    last = node.items[-1].optional_vars
    if not is_open or (last is None and len(node.items) == 1):
        return False
    if last is None:
        return True
    rest = source.lines[(last.end_lineno or 1) - 1][last.end_col_offset :].strip()
    return not rest.startswith(":")


def _check_tokens(source: Source) -> Iterator[Finding]:
    """Neighbours that the AST has already joined."""
    before = ""
    depth = 0
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        kind = tokenize.tok_name[token.type]
        depth += (kind == "FSTRING_START") - (kind == "FSTRING_END")
        if kind in _STRING_TOKENS and depth <= 1:
            prefix = token.string[: token.string.find(token.string[-1])].lower()
            if before and "f" in before + prefix:
                yield Finding(source.path, token.start[0], "mp-fstring-adjacent", "two strings side by side")
            if "f" in prefix and "r" in prefix:
                yield Finding(source.path, token.start[0], "mp-fstring", "a raw f-string")
            if "\\N{" in token.string and "r" not in prefix:
                yield Finding(source.path, token.start[0], "mp-unicode-name", "\\N{...}")
            before = prefix or "-"
        elif kind not in _SILENT_TOKENS and depth == 0 and kind != "FSTRING_END":
            before = ""
