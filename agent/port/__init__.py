"""The only place that knows which interpreter and operating system run.

agent/port/contract.py is the contract, as typed Protocols with docstrings; the two folders beside it
hold its bodies; this file is the one switch. `clock`, `files`, `heap`, `net` and `terminal` are loaded at once; the
rest on demand, because an idle device should not pay for a library it is not using.
"""

import sys

from agent.errors import PortError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.port import contract

MICROPYTHON = sys.implementation.name == "micropython"

if MICROPYTHON:
    from agent.port.micropython import clock, files, heap, net, terminal
else:
    from agent.port.cpython import clock, files, heap, net, terminal

__all__ = ["MICROPYTHON", "clock", "files", "heap", "net", "terminal"]


class Absent:
    """Stands for a part whose package is not installed: the device runs without it and says why."""

    def __init__(self, error: ImportError) -> None:
        self._why = str(error)

    def open(self, *_: "Any") -> "Any":
        raise PortError("missing", f"A package is missing ({self._why}): install it and start the device again.")


def crypto() -> "contract.Crypto":
    """SHA-256 family, AES-128-CCM, P-256."""
    if MICROPYTHON:
        from agent.port.micropython import crypto as body
    else:
        from agent.port.cpython import crypto as body
    return body


def codec() -> "contract.Codec":
    """Deterministic, strict CBOR."""
    try:
        if MICROPYTHON:
            from agent.port.micropython import cbor as body
        else:
            from agent.port.cpython import codec as body
    except ImportError as error:
        raise PortError("missing", f"Nothing works without a package that is missing ({error}): install cbor2.")
    return body


def link() -> "contract.LinkModule":
    """MQTT over mutual TLS."""
    try:
        if MICROPYTHON:
            from agent.port.micropython import link as body
        else:
            from agent.port.cpython import link as body
    except ImportError as error:
        return Absent(error)
    return body


def announce() -> "contract.AnnounceModule":
    """Multicast DNS service announcement."""
    try:
        if MICROPYTHON:
            from agent.port.micropython import announce as body
        else:
            from agent.port.cpython import announce as body
    except ImportError as error:
        return Absent(error)
    return body


def health() -> "contract.Health":
    """What the board measures about itself."""
    if MICROPYTHON:
        from agent.port.micropython import health as body
    else:
        from agent.port.cpython import health as body
    return body
