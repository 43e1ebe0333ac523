"""One file as the lints see it, and what a lint returns.

Paths are relative to the checkout, with "/". A lint is a function `check(source) -> list[Finding]`; whether it
concerns a file is decided by the tables, from the path and the dotted module name.
"""

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field

ON_DEVICE = ("agent", "boards", "ota")


@dataclass(frozen=True)
class Finding:
    """`found`: what is there. `instead`: what to write; empty = the rule's own text (rules.py)."""

    path: str
    line: int
    rule: str
    found: str
    instead: str = ""


@dataclass
class Source:
    """`module`: "agent.wire.http"; a package's own file is "agent.wire.__init__". `tree`: None unless Python."""

    path: str
    text: str
    module: str = ""
    tree: ast.Module | None = None
    # ids of the nodes inside `if False:` and inside annotations: no interpreter runs them
    _quiet: set[int] = field(default_factory=set)

    @classmethod
    def parse(cls, path: str, text: str) -> "Source":
        """Raises SyntaxError for Python that CPython itself refuses."""
        source = cls(path, text)
        if path.endswith(".py"):
            source.module = path[:-3].replace("/", ".")
            source.tree = ast.parse(text)
            source._quiet = {id(node) for part in _quiet_parts(source.tree) for node in ast.walk(part)}
        return source

    @property
    def lines(self) -> list[str]:
        return self.text.split("\n")

    @property
    def line_count(self) -> int:
        return self.text.count("\n") + (not self.text.endswith("\n") and self.text != "")

    @property
    def code_line_count(self) -> int:
        """Lines that an interpreter compiles: neither blank, comment nor docstring (those cost a board nothing)."""
        if self.tree is None:
            return self.line_count
        silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
        lines: set[int] = set()
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type not in silent:
                lines.update(range(token.start[0], token.end[0] + 1))
        for node in self.nodes():
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[0] if node.body else None
                if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and ast.get_docstring(node):
                    lines -= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
        return len(lines)

    @property
    def is_on_device(self) -> bool:
        return self.is_in(*ON_DEVICE)

    def is_in(self, *modules: str) -> bool:
        """Is this module one of these, or inside one of them?"""
        return any(is_inside(self.module, name) for name in modules)

    def nodes(self) -> Iterator[ast.AST]:
        """Every node, also annotations and `if False:`."""
        return ast.walk(self.tree) if self.tree else iter(())

    def live_nodes(self) -> Iterator[ast.AST]:
        """Every node that an interpreter runs."""
        return (node for node in self.nodes() if id(node) not in self._quiet)

    def finding(self, node: ast.AST, rule: str, found: str, instead: str = "") -> Finding:
        return Finding(self.path, getattr(node, "lineno", 1), rule, found, instead)


def is_inside(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def _quiet_parts(tree: ast.Module) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("False", "TYPE_CHECKING", "typing.TYPE_CHECKING"):
            yield from node.body
        elif isinstance(node, ast.AnnAssign):
            yield node.annotation
        elif isinstance(node, ast.arg) and node.annotation:
            yield node.annotation
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns:
            yield node.returns
