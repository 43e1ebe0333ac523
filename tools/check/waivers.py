"""Legitimate code that a rule takes for something else: rows with a reason, not holes in the rule.

A row that no longer hides a finding is itself a finding.
"""

from typing import NamedTuple


class Waiver(NamedTuple):
    """Hides findings of `rule` in `path` whose text contains `found`."""

    path: str
    rule: str
    found: str
    reason: str


WAIVERS: tuple[Waiver, ...] = (
    Waiver(
        "agent/__main__.py",
        "import-dynamic",
        "__import__(module",
        "what a command does is loaded when it is asked for; the table names only functions of agent",
    ),
    Waiver(
        "agent/core/relay/allocations.py",
        "mp-slots",
        "__slots__",
        "2,000 allocations on CPython: a row with slots is half as big; MicroPython reads over it",
    ),
    Waiver(
        "agent/core/relay/permissions.py",
        "mp-slots",
        "__slots__",
        "2,000 allocations on CPython: a row with slots is half as big; MicroPython reads over it",
    ),
    Waiver(
        "agent/port/cpython/lean.py",
        "import-work",
        "try:",
        "paho has to be imported while the optional library that it would load is hidden, and shown again after",
    ),
    Waiver(
        "boards/loader.py",
        "import-dynamic",
        "__import__('boards.'",
        "a board profile is a data file chosen by its name, which is checked against the list of profiles before",
    ),
    Waiver(
        "boards/loader.py",
        "probe",
        "except ImportError",
        "asks whether the data file of a board is in this image, not which interpreter runs",
    ),
)
