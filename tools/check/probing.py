"""Who may ask which interpreter runs, and who may catch everything."""

import ast
from collections.abc import Iterator

from tools.check.source import Finding, Source

# The only places that know the interpreter and the operating system.
PROBES_ALLOWED = ("agent.port", "ota.port")

# `attribute` as written, or the name of a function called.
PROBES = ("sys.implementation", "sys.platform", "os.name", "os.uname")
PROBE_CALLS = ("hasattr",)
PROBE_EXCEPTIONS = ("ImportError", "ModuleNotFoundError")

WIDE = ("Exception", "BaseException")
WIDE_ALLOWED = ("agent.service.supervisor",)


def check(source: Source) -> list[Finding]:
    return list(_check(source)) if source.is_on_device else []


def _check(source: Source) -> Iterator[Finding]:
    may_probe = source.is_in(*PROBES_ALLOWED)
    for node in source.live_nodes():
        if isinstance(node, ast.ExceptHandler):
            for name in caught_names(node):
                if name in PROBE_EXCEPTIONS and not may_probe:
                    yield source.finding(node, "probe", f"except {name}")
                if name in WIDE and not source.is_in(*WIDE_ALLOWED) and not _only_cleans_up(node):
                    yield source.finding(node, "except-wide", f"except {name}")
        elif may_probe:
            continue
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in PROBES:
            yield source.finding(node, "probe", ast.unparse(node))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in PROBE_CALLS:
            yield source.finding(node, "probe", ast.unparse(node))


def caught_names(handler: ast.ExceptHandler) -> list[str]:
    """The exceptions of one handler, as written; a bare except is BaseException."""
    if handler.type is None:
        return ["BaseException"]
    parts = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return [ast.unparse(part) for part in parts]


def _only_cleans_up(handler: ast.ExceptHandler) -> bool:
    """Ends with a bare `raise`, so nothing is swallowed."""
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None
