"""In place of agent/relays.py where this start of the device has no relay, so that a small heap need not hold it."""

from agent import port
from agent.errors import PeerError

if False:
    from typing import Any

    from agent.device import Device
    from agent.relays import Relays


def relays_of(device: "Device") -> "Relays | NoRelay":
    """A Relays, or why there is none."""
    why = refusal(device)
    if why:
        return NoRelay(why)
    from agent.relays import Relays

    return Relays(device)


def refusal(device: "Device") -> str:
    """Why it is not to run, as a sentence; "" when it is."""
    choice, kib = device.settings["relay"], port.heap.kib()
    if choice == "off":
        return "switched off by the owner (relay in owner/settings.json)"
    if not device.ceilings["allocations"] or not device.ceilings["relay_bps"]:
        return "a ceiling of 0 leaves no room for it"
    if choice == "auto" and 0 < kib < port.heap.RELAY_KIB:
        wanted = f"needs a heap of {port.heap.RELAY_KIB} KiB and has {kib} KiB"
        return wanted + '; "relay": "on" in owner/settings.json tries it all the same'
    return ""


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
