"""What no tracked file may say: where somebody's checkout is, and which hosts packages come from."""

import re
from pathlib import Path

from tools.check.source import Finding, Source

# Rule, pattern. Written so that this file does not match itself.
PATTERNS = (
    ("text-machine-path", re.compile(r"(?<![\w.~$}-])/(?:work|Users|home/(?!\*)[\w.-]+|root)/[\w.]")),
    ("text-machine-path", re.compile(r"(?<![\w.~$}-])/tmp/(?:[\w.-]+/)?(?:bin|venv|v)/")),
    (
        "text-registry-host",
        re.compile(
            r"\b(?:pypi[.]org|pythonhosted[.]org|npmjs[.]org|crates[.]io|deb[.]debian[.]org|proxy[.]golang[.]org|ghcr[.]io)"
        ),
    ),
    ("text-registry-host", re.compile(r"--(?:extra-)?index[-]url|--find[-]links|--trusted[-]host")),
)


def check(source: Source) -> list[Finding]:
    findings = []
    for number, line in enumerate(source.lines, 1):
        for rule, pattern in PATTERNS:
            match = pattern.search(line)
            if match:
                findings.append(Finding(source.path, number, rule, match.group().strip()))
    return findings


def check_root(source: Source, root: Path) -> list[Finding]:
    """The place of this very checkout, wherever it is."""
    place = f"{root}/"
    return [
        Finding(source.path, number, "text-machine-path", place)
        for number, line in enumerate(source.lines, 1)
        if len(root.parts) > 2 and place in line
    ]
