"""The paired devices as they are now: what the registry knows of each, joined with what its link says.

Up or down is the link's word with its age, never discovery's. It decides nothing about shards.
Bounds: of one device CHANGES_BURST changes at once, then one in CHANGES_S: each wakes the repairs and is logged.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from agent import port
from agent.core.known import Presence
from tools.gateway.addresses import usable_addresses, usable_port
from tools.gateway.audits.reputation import Reputation
from tools.gateway.links.links import Allowance
from tools.gateway.objects.shards import Target
from tools.gateway.objects.stripes import SLOTS
from tools.gateway.registry.registry import Registry
from tools.gateway.registry.tables import Device

KEPT_S = 5.0
TARGETS_S = 0.1
NUMBER_MAX = (1 << 63) - 1
TEXT_CHARS_MAX = 80
CHANGES_BURST = 10
CHANGES_S = 30.0
DOUBLED_S = 3600.0


class Fleet:
    """`presence(device id)` is the link's view, or None when it has never been heard of since the start."""

    def __init__(self, registry: Registry, presence: Callable[[str], Presence | None]) -> None:
        self._registry = registry
        self._presence = presence
        self._devices: dict[str, Device] = {}
        self._kept: dict[str, int] = {}
        self._reputations: dict[str, Reputation] = {}
        self._kept_at = -KEPT_S
        self._targets: dict[str, Target] = {}
        self._targets_at = 0.0
        self._sessions: dict[str, tuple[Any, ...]] = {}
        self._news: dict[str, Allowance] = {}
        self.reload()

    def reload(self) -> None:
        """The registry's devices have changed, or what is thought of them."""
        self._devices = {device.id: device for device in self._registry.devices()}
        self._kept_at, self._targets_at = -KEPT_S, 0.0

    def is_known(self, device_id: str) -> bool:
        """Whether this device may speak with the core."""
        device = self._devices.get(device_id)
        return device is not None and device.state == "paired"

    def targets(self) -> dict[str, Target]:
        """Every paired device as the shard client needs it; the same answer for TARGETS_S: it is asked often."""
        now = time.monotonic()
        if now - self._kept_at >= KEPT_S:
            self._kept, self._kept_at = self._registry.kept_bytes(), now
            self._reputations = self._registry.reputations()
        if now - self._targets_at >= TARGETS_S:
            paired = [device for device in self._devices.values() if device.state == "paired"]
            self._targets, self._targets_at = {device.id: self._target(device) for device in paired}, now
        return self._targets

    def _target(self, device: Device) -> Target:
        presence = self._presence(device.id)
        birth = _birth(presence)
        data_port = usable_port(birth.get("data"))
        reputation = self._reputations.get(device.id, Reputation(device.id, 0))
        free_bytes = max(0, _number(birth.get("quota")) - self._used(device.id, presence))
        return Target(
            device=device.id,
            name=device.name,
            addresses=usable_addresses(birth.get("addresses"), device.address),
            port=data_port,
            boot=_number(birth.get("boot")),
            slots=tuple(slot for slot in SLOTS if slot in _listed(birth.get("slots"))),
            free_bytes=free_bytes if reputation.takes_more and not birth.get("leaving") else 0,
            link_secret=device.link_secret,
            is_up=bool(presence and presence.is_up and data_port),
            is_trusted=reputation.is_trusted,
            is_leaving=bool(birth.get("leaving")),
        )

    def _used(self, device_id: str, presence: Presence | None) -> int:
        """The device's own word, or what we know to be there when that is more: telemetry comes once a minute."""
        telemetry = presence.telemetry if presence else {}
        reported = _number(telemetry.get("used", _birth(presence).get("used")))
        return max(reported, self._kept.get(device_id, 0))

    def up(self) -> list[str]:
        """Ids of devices whose link is up."""
        return [device for device, target in self.targets().items() if target.is_up]

    def confessions(self, device_id: str) -> list[str]:
        """Names of shards, in hex, or their beginnings, that the device says it found rotten."""
        presence = self._presence(device_id)
        return list(presence.telemetry.get("confessed", [])) if presence is not None else []

    def changes(self) -> list[tuple[str, bool]]:
        """(device, whether it is up) for each that came, went or started again since the last call. One that does so
        without end is heard of in its turn."""
        changed = []
        for device in self._devices:
            presence = self._presence(device)
            is_up = bool(presence and presence.is_up)
            birth = _birth(presence)
            session = (is_up, _number(birth.get("boot")), _number(birth.get("session"))) if is_up else (False,)
            news = self._news.setdefault(device, Allowance(CHANGES_BURST, CHANGES_S))
            if self._sessions.get(device, (False,)) != session and news.take():
                self._sessions[device] = session
                changed.append((device, is_up))
        for device in [device for device in self._news if device not in self._devices]:
            del self._news[device]
            self._sessions.pop(device, None)
        return changed

    def warnings(self) -> list[str]:
        """Devices whose identity two boards seem to share; the core cannot tell which of them was first."""
        found = []
        for device in self._devices.values():
            presence = self._presence(device.id)
            if presence is None or presence.doubled_at is None:
                continue
            age_s = (port.clock.now_ms() - presence.doubled_at) / 1000
            if age_s < min(DOUBLED_S, time.time() - device.added):  # what was before its pairing is over
                found.append(
                    f"two boards speak as {device.name} (a copied SD card, or a backup that was put back): if there "
                    "are two, run corelet reset on one and pair it anew; if one is not yours, forget this device"
                )
        return found

    def listed(self) -> list[dict[str, Any]]:
        """For `corelet-core devices`."""
        self._kept, self._kept_at = self._registry.kept_bytes(), time.monotonic()
        waiting = self._registry.job_counts()
        shards = self._registry.shard_counts()
        return [
            self._line(device)
            | {
                "shards": shards.get(device.id, 0),
                "waiting": waiting.get((device.id, "put"), 0) + waiting.get((device.id, "delete"), 0),
            }
            for device in self._devices.values()
        ]

    def _line(self, device: Device) -> dict[str, Any]:
        presence = self._presence(device.id)
        birth = _birth(presence)
        target = self._target(device)
        seen_at = presence.seen_at if presence else None
        return {
            "id": device.id,
            "name": device.name,
            "board": device.board,
            "fw": _text(birth.get("fw")) or device.fw,
            "runtime": _text(birth.get("runtime")),
            "state": device.state,
            "up": target.is_up,
            "leaving": target.is_leaving,
            "seen_s": None if seen_at is None else round((port.clock.now_ms() - seen_at) / 1000, 1),
            "addresses": list(target.addresses),
            "quota": _number(birth.get("quota")),
            "used": self._used(device.id, presence),
            "paired_s": max(0, int(time.time()) - device.added),
            "telemetry": _shown(presence.telemetry) if presence else {},
        }


def _birth(presence: Presence | None) -> Mapping[str, Any]:
    return presence.birth if presence else {}


def _number(value: Any) -> int:
    """What a device says, as a number we can reckon with."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= NUMBER_MAX else 0


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _text(value: Any) -> str:
    return value[:TEXT_CHARS_MAX] if isinstance(value, str) and value.isprintable() else ""


def _shown(telemetry: Mapping[str, Any]) -> dict[str, Any]:
    """What of it JSON can say; a device may send anything."""
    return {str(key): shown for key, value in telemetry.items() if (shown := _plain(value)) is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return _shown(value)
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    is_plain = isinstance(value, str | bool) or (isinstance(value, int | float) and abs(value) <= NUMBER_MAX)
    return value if is_plain else None
