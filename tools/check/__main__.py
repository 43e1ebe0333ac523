"""The one check command: `python -m tools.check [--ours]`.

Our lints (tables in this folder), then ruff, ruff format and mypy. Prints `path:line: rule: what was found; what to
write instead`, a summary, and last `N passed, N failed` (checks, not findings); exit status 1 when one failed.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tools.check import calls, floors, names, probing, programs, sizes, syntax, text
from tools.check.rules import RULES
from tools.check.source import Finding, Source
from tools.check.waivers import WAIVERS, Waiver

ROOT = Path(__file__).resolve().parent.parent.parent

LINTS: tuple[tuple[str, Callable[[Source], list[Finding]]], ...] = (
    ("floors", floors.check),
    ("probing", probing.check),
    ("subset: syntax", syntax.check),
    ("subset: calls", calls.check),
    ("sizes", sizes.check),
    ("names", names.check),
    ("text", text.check),
)


def tracked_paths(root: Path) -> list[str]:
    """What git tracks or would add; without git, every file outside hidden folders."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        listed = [str(path.relative_to(root)) for path in root.rglob("*") if "/." not in f"/{path.relative_to(root)}"]
    return sorted(path for path in set(listed) if path and (root / path).is_file() and "__pycache__" not in path)


def read_sources(root: Path) -> tuple[list[Source], list[Finding]]:
    """Every text file, and findings for Python that does not parse."""
    sources, findings = [], []
    for path in tracked_paths(root):
        try:
            sources.append(Source.parse(path, (root / path).read_text()))
        except UnicodeDecodeError:
            continue
        except SyntaxError as error:
            findings.append(Finding(path, error.lineno or 1, "syntax", error.msg))
    return sources, findings


def lint(source: Source) -> list[Finding]:
    """All of our lints on one file, before waivers."""
    return [finding for _, check in LINTS for finding in check(source)]


def hidden_by(finding: Finding, waivers: tuple[Waiver, ...]) -> Waiver | None:
    for waiver in waivers:
        if (waiver.path, waiver.rule) == (finding.path, finding.rule) and waiver.found in finding.found:
            return waiver
    return None


def show(finding: Finding) -> str:
    instead = finding.instead or RULES[finding.rule]
    return f"{finding.path}:{finding.line}: {finding.rule}: {finding.found}; instead: {instead}"


def run_ours(root: Path, report: Callable[[str, list[str]], None]) -> None:
    sources, broken = read_sources(root)
    used: set[Waiver] = set()

    def told(findings: list[Finding]) -> list[str]:
        lines = []
        for finding in findings:
            waiver = hidden_by(finding, WAIVERS)
            if waiver:
                used.add(waiver)
            else:
                lines.append(show(finding))
        return lines

    report("syntax", told(broken))
    for name, check in LINTS:
        report(name, told([finding for source in sources for finding in check(source)]))
    report("place of the checkout", told([one for source in sources for one in text.check_root(source, root)]))
    report("what ships to a board", told(sizes.check_device(sources)))
    unused = [Finding(row.path, 1, "waiver-unused", f"waiver for {row.rule}") for row in WAIVERS if row not in used]
    report("waivers", [show(finding) for finding in unused])
    for board, lines in sizes.device_lines(sources).items():
        print(f"{'':26}{lines} of {sizes.DEVICE_LINES_MAX} lines of code ship to a {board} board")
    more = sizes.backend_lines(sources)
    print(f"{'':26}{more} of {sizes.BACKEND_LINES_MAX} more to a board that names a slot back end")
    print(f"{'':26}{sizes.data_lines(sources)} lines of data beside them: the marks of all boards and one profile")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tools.check",
        description="Our lints, ruff and mypy.",
        epilog="example: python -m tools.check --ours",
    )
    parser.add_argument("--ours", action="store_true", help="only our own lints (a second instead of a minute)")
    chosen = parser.parse_args(arguments)
    results: list[bool] = []

    def report(name: str, lines: list[str]) -> None:
        results.append(not lines)
        for line in lines:
            print(line)
        print(f"{name:<26}{'ok' if not lines else f'FAILED: {len(lines)} findings'}", flush=True)

    run_ours(ROOT, report)
    for program in () if chosen.ours else programs.PROGRAMS:
        is_clean, output = programs.run(program, ROOT)
        report(program.name, [] if is_clean else output.splitlines() or ["it failed without a word"])
        if not is_clean:
            print(f"{'':26}to repair: {program.repair}")
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
