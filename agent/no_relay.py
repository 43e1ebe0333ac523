"""In place of agent/relays.py where this start of the device has no relay, so that a small heap need not hold it."""

from agent.errors import PeerError

if False:
    from typing import Any


class NoRelay:
    """`why`: the refusal. Methods as in Relays."""

    def __init__(self, why: str) -> None:
        self._why = why

    def changed(self) -> None:
        """The cores are others now."""

    def moved(self) -> None:
        """The addresses are others now."""

    def prove(self, _: "Any") -> "dict[str, Any]":
        raise PeerError("relay", "relay: " + self._why)

    def offers(self) -> "list[list[Any]]":
        return []

    def tls(self) -> str:
        return ""

    def telemetry(self, _: str) -> "dict[str, Any]":
        return {}

    def status(self) -> "dict[str, Any]":
        return {"on": False, "why": self._why, "port": 0, "offers": [], "proofs": [], "reach": ""}
