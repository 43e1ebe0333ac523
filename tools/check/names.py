"""Names of modules that say nothing, and the fixed top level."""

from tools.check.source import Finding, Source

DRAWERS = ("util", "utils", "helper", "helpers", "common", "misc", "base", "manager", "managers", "stuff", "tools_")

TOP_LEVEL = ("agent", "boards", "ota", "tests", "tools", "README.md", "setup.cfg", "pyproject.toml")


def check(source: Source) -> list[Finding]:
    findings = []
    for part in source.path.split("/"):
        if part.partition(".")[0] in DRAWERS:
            findings.append(Finding(source.path, 1, "name-module", f"a module or folder named {part}"))
    top = source.path.partition("/")[0]
    if top not in TOP_LEVEL and not top.startswith("."):
        findings.append(Finding(source.path, 1, "name-top-level", f"{top} at the top level"))
    return findings
