"""The only place that knows which interpreter and operating system run.

agent/port/contract.py is the contract, as typed Protocols with docstrings; the two folders beside it
hold its bodies; this file is the one switch. `clock`, `files`, `heap`, `net` and `terminal` are loaded at once; the
rest on demand, because an idle device should not pay for a library it is not using.
"""

import sys
from os import getenv

from agent.errors import PortError

if False:
    from typing import Any

    from agent.port import contract, relaying

MICROPYTHON = sys.implementation.name == "micropython"

if MICROPYTHON:
    from agent.port.micropython import clock, files, heap, net, terminal
else:
    from agent.port.cpython import clock, files, heap, net, terminal

__all__ = ["MICROPYTHON", "clock", "files", "getenv", "heap", "net", "terminal"]


class Absent:
    """Stands for a part whose package is not installed: the device runs without it and says why."""

    def __init__(self, error: ImportError) -> None:
        self._why = str(error)

    def open(self, *_: "Any") -> "Any":
        raise PortError("missing", f"A package is missing ({self._why}): install it and start the device again.")


def _body(name: str) -> "Any":
    """The module of this interpreter; for a package that is missing, one that says so when it is opened."""
    folder = "micropython" if MICROPYTHON else "cpython"
    try:
        return __import__("agent.port." + folder + "." + name, None, None, ["*"])
    except ImportError as error:
        return Absent(error)


def crypto() -> "contract.Crypto":
    """SHA-256 family, AES-128-CCM, P-256."""
    return _body("crypto")  # type: ignore[no-any-return]


def codec() -> "contract.Codec":
    """Deterministic, strict CBOR."""
    if MICROPYTHON:
        from ota import cbor

        return cbor
    body = _body("codec")
    if isinstance(body, Absent):
        body.open()  # nothing works without it
    return body  # type: ignore[no-any-return]


def link() -> "contract.LinkModule":
    """MQTT over mutual TLS."""
    return _body("link")  # type: ignore[no-any-return]


def dial() -> "contract.DialModule":
    """Streams to a core, over mutual TLS."""
    return _body("tls" if MICROPYTHON else "dial")  # type: ignore[no-any-return]


def announce() -> "contract.AnnounceModule":
    """Multicast DNS service announcement."""
    return _body("announce")  # type: ignore[no-any-return]


def health() -> "contract.Health":
    """What the board measures about itself."""
    return _body("health")  # type: ignore[no-any-return]


def udp() -> "contract.UdpModule":
    """Small questions and answers in datagrams."""
    return _body("udp")  # type: ignore[no-any-return]


def pump() -> "relaying.PumpModule":
    """The relay's data path."""
    if MICROPYTHON:
        from agent.port.micropython import pump as body
    else:
        from agent.port.cpython import pump as body
    return body


def lane() -> "Any":
    """The fast lane of HTTP (service/hot.py)."""
    return _body("lane")


def streams() -> "relaying.StreamsModule":
    """TCP of the relay to peers, and TLS to its clients. PortError("missing") on MicroPython."""
    if MICROPYTHON:
        raise PortError("missing", "The relay speaks TCP to peers, and TLS, only with CPython; leave them out.")
    from agent.port.cpython import peers

    return peers
