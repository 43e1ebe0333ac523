"""The devices' relays as the core sees them: which can be reached, how loaded they are, and credentials for them.

    relays.issue("alice", 3600, is_lan=False)  ->  {"iceServers": [{"urls", "username", "credential"}, ...], "ttl"}

Each device's TURN REST secret follows from its link secret, so nothing is handed over, and a device that is forgotten
or has left is out at once. A client gets CHOSEN devices, the least loaded first: peak-EWMA of the round trip x
(allocations of ours in flight + 1), so that it survives the loss of one. Outside the devices' network only those
addresses are named that answered a STUN Binding from here; the device is told which did (its dial-back).
Bounds: URLS_EACH_MAX addresses of one device for UDP, TCP and TLS, one probe of each in PROBE_EVERY_S, at once
ASKED_AT_ONCE of all of them and ASKED_OF_ONE of one device's. Each device is asked by itself: one that hangs keeps no
other one waiting.
"""

import asyncio
import hashlib
import hmac
import logging
import math
import os
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from agent.core.known import Presence
from agent.core.relay.credentials import core_secret, rest_password
from agent.errors import CoreletError, LimitError, PeerError, UsageError
from agent.port import contract
from tools.gateway.addresses import parsed, usable_addresses
from tools.gateway.registry.registry import Registry
from tools.gateway.registry.tables import Device, RelayKey
from tools.gateway.relays import probes

CHOSEN = 2
URLS_EACH_MAX = 2
PROBE_EVERY_S = 30.0
TICK_S = 1.0
DECAY_S = 60.0
MISSES_MAX = 2
ASKED_AT_ONCE = 64
ASKED_OF_ONE = 4
TELL_S = 10.0
TTL_S = (60, 86_400)
TTL_DEFAULT_S = 3600
USER = re.compile(r"[A-Za-z0-9._@-]{1,64}")
KEY_PREFIX = "ck_"

LOG = logging.getLogger("corelet.relays")
Probe = Callable[[str, int, str, str], Awaitable[float | None]]
Command = Callable[[str, str, dict[str, Any], float], Awaitable[dict[str, Any]]]


class Way(NamedTuple):
    """One address of a relay. `transport`: "udp", "tcp" or "tls". `name`: in the certificate, where there is one;
    clients verify it, so they must come by it."""

    host: str
    port: int
    transport: str
    is_lan: bool
    name: str = ""

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.transport == "tls":
            return f"turns:{self.name or host}:{self.port}?transport=tcp"
        return f"turn:{host}:{self.port}?transport={self.transport}"


@dataclass
class Answer:
    """What the probes of one way have shown. `rtt_s`: a peak counts at once and fades (peak-EWMA)."""

    rtt_s: float | None = None
    misses: int = 0
    at: float = -math.inf

    def hear(self, seconds: float | None, now: float) -> None:
        if seconds is None:
            self.misses += 1
        elif self.rtt_s is None or seconds > self.rtt_s or self.misses > MISSES_MAX:
            self.rtt_s, self.misses = seconds, 0
        else:
            weight = math.exp(-(now - self.at) / DECAY_S)
            self.rtt_s, self.misses = self.rtt_s * weight + seconds * (1 - weight), 0
        self.at = now

    @property
    def is_there(self) -> bool:
        return self.rtt_s is not None and self.misses < MISSES_MAX


@dataclass
class Known:
    """One device's relay. `handed_out`: credentials since its last telemetry."""

    answers: dict[Way, Answer] = field(default_factory=dict)
    handed_out: int = 0
    telemetry: Any = None
    told: tuple[Any, ...] = ()
    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(ASKED_OF_ONE))


class Relays:
    """`presence(device)` and `command(device, op, body, seconds)`: as Links has them."""

    def __init__(
        self, registry: Registry, crypto: contract.Crypto, presence: Callable[[str], Presence | None], command: Command
    ) -> None:
        self.probe: Probe = probes.measure
        self._registry = registry
        self._crypto = crypto
        self._presence = presence
        self._command = command
        self._known: dict[str, Known] = {}
        self._places = asyncio.Semaphore(ASKED_AT_ONCE)
        self._asking: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Ask, listen, write down; until cancelled."""
        try:
            while True:
                self._begin()
                await asyncio.sleep(TICK_S)
        finally:
            for task in self._asking.values():
                task.cancel()
            await asyncio.gather(*self._asking.values(), return_exceptions=True)

    async def look(self) -> None:
        """One turn to its end: every way that is due is asked."""
        self._begin()
        await asyncio.gather(*self._asking.values())

    def _begin(self) -> None:
        """A turn of every device whose last one is over."""
        self._asking = {device: task for device, task in self._asking.items() if not task.done()}
        paired = {device.id: device for device in self._registry.paired()}
        for gone in set(self._known) - set(paired):
            del self._known[gone]
        for device in paired.values():
            self._hear(device)
            if device.id not in self._asking:
                self._asking[device.id] = asyncio.create_task(self._attend(device, self._known[device.id]))

    def _hear(self, device: Device) -> None:
        """Its birth and telemetry."""
        known, presence = self._known.setdefault(device.id, Known()), self._presence(device.id)
        ways = _ways(device, presence)
        if list(known.answers) != ways:
            known.answers = {way: known.answers.get(way, Answer()) for way in ways}
        if presence is not None and presence.telemetry is not known.telemetry:
            known.telemetry, known.handed_out = presence.telemetry, 0
            told = presence.telemetry.get("relay")
            if told:
                packets, size = told["packets_up"] + told["packets_down"], told["bytes_up"] + told["bytes_down"]
                self._registry.note_relayed(device.id, packets, size)

    async def _attend(self, device: Device, known: Known) -> None:
        """What is due for one device. What it makes fail, even by a defect of ours, concerns nobody else."""
        try:
            await self._ask(device, known)
        except Exception:
            LOG.exception("the relay of %s could not be asked", device.name)
            await asyncio.sleep(PROBE_EVERY_S)

    async def _ask(self, device: Device, known: Known) -> None:
        now = time.monotonic()
        due = [way for way, answer in known.answers.items() if now - answer.at >= self._pause(answer)]

        async def ask(way: Way) -> None:
            async with known.places, self._places:
                seconds = await self.probe(way.host, way.port, way.transport, way.name)
            if way in known.answers:
                known.answers[way].hear(seconds, time.monotonic())

        await asyncio.gather(*[ask(way) for way in due])
        await self._tell(device, known)

    @staticmethod
    def _pause(answer: Answer) -> float:
        return TICK_S if answer.misses == 1 else PROBE_EVERY_S  # one that was lost is asked again at once

    async def _tell(self, device: Device, known: Known) -> None:
        """The dial-back's result, when it is another, or the device has started anew."""
        presence = self._presence(device.id)
        there = [way for way, answer in known.answers.items() if answer.is_there and way.transport != "tls"]
        rows = [[way.host, way.port, way.transport] for way in there]
        if presence is None or not presence.is_up or not known.answers or known.told == (presence.born, rows):
            return
        known.told = (presence.born, rows)
        try:
            await self._command(device.id, "relay", {"reachable": rows}, TELL_S)
        except PeerError as error:  # an older device does not know the word
            LOG.info("device %s does not take the result of the dial-back: %s", device.id, error.text)
        except CoreletError:
            known.told = ()

    def load(self, device: str, is_lan: bool) -> float | None:
        """Smaller is better; None when no client could reach it."""
        known, presence = self._known.get(device), self._presence(device)
        if known is None or presence is None or not presence.is_up:
            return None
        seconds = [known.answers[way].rtt_s or 0.0 for way in self._open(known, is_lan)]
        return min(seconds) * (self._in_flight(known) + 1) if seconds else None

    @staticmethod
    def _in_flight(known: Known) -> int:
        told = (known.telemetry or {}).get("relay") or {}
        return int(told.get("allocations", 0)) + known.handed_out

    @staticmethod
    def _open(known: Known, is_lan: bool) -> list[Way]:
        found = [way for way, answer in known.answers.items() if answer.is_there and (is_lan or not way.is_lan)]
        found.sort(key=lambda way: (way.is_lan, ("udp", "tcp", "tls").index(way.transport)))
        kinds = [way.transport for way in found]
        return [way for at, way in enumerate(found) if kinds[:at].count(way.transport) < URLS_EACH_MAX]

    def issue(self, user: str, ttl_s: int, is_lan: bool) -> dict[str, Any]:
        """Credentials of `user` for CHOSEN devices. UsageError("user", "ttl"), LimitError("no_relay")."""
        if not USER.fullmatch(user):
            raise UsageError("user", "a user has 1 to 64 letters, digits and . _ @ -, such as alice or 4711")
        if not TTL_S[0] <= ttl_s <= TTL_S[1]:
            raise UsageError("ttl", f"credentials live {TTL_S[0]} to {TTL_S[1]} seconds")
        devices = {device.id: device for device in self._registry.paired()}
        loads = {each: load for each in devices if (load := self.load(each, is_lan)) is not None}
        if not loads:
            raise LimitError("no_relay", self._nothing(is_lan))
        username = f"{int(time.time()) + ttl_s}:{user}"
        servers = []
        for device_id in sorted(loads, key=lambda each: (loads[each], each))[:CHOSEN]:
            known = self._known[device_id]
            known.handed_out += 1
            secret = core_secret(self._crypto, devices[device_id].link_secret)
            password = rest_password(self._crypto, secret, username.encode()).decode()
            urls = [way.url for way in self._open(known, is_lan)]
            servers.append({"urls": urls, "username": username, "credential": password})
        return {"iceServers": servers, "ttl": ttl_s}

    def _nothing(self, is_lan: bool) -> str:
        if not is_lan and any(self._open(known, True) for known in self._known.values()):
            text = "no device can be reached from outside its network; for clients in that network ask with --lan"
            return text + " (a key: relay key new NAME --lan)"
        return "no device with a relay can be reached now: corelet-core relay list says why"

    def listed(self) -> list[dict[str, Any]]:
        """For `corelet-core relay list`."""
        relayed = self._registry.relayed()
        return [
            {"id": device.id, "name": device.name} | self.about(device.id, relayed)
            for device in self._registry.paired()
        ]

    def about(self, device_id: str, relayed: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
        """What is known of one device's relay, for the lists. `relayed`: as the registry has it."""
        known, presence = self._known.get(device_id, Known()), self._presence(device_id)
        is_up = bool(presence and presence.is_up)
        told = (known.telemetry or {}).get("relay") or {}
        packets, size = relayed.get(device_id, (0, 0))
        ways = [
            {
                "url": way.url,
                "scope": "lan" if way.is_lan else "wan",
                "is_reachable": answer.is_there and is_up,
                "rtt_ms": None if answer.rtt_s is None else round(answer.rtt_s * 1000, 2),
            }
            for way, answer in known.answers.items()
        ]
        return {
            "is_up": is_up,
            "ways": ways,
            "in_flight": self._in_flight(known),
            "allocations": told.get("allocations", 0),
            "packets": packets,
            "bytes": size,
            "refused": told.get("refused", {}),
            "users": told.get("users", []),
        }

    def summary(self) -> dict[str, int]:
        """For `corelet-core status`."""
        lines = self.listed()
        reached = [line for line in lines if any(way["is_reachable"] for way in line["ways"])]
        outside = [line for line in lines if any(way["is_reachable"] and way["scope"] == "wan" for way in line["ways"])]
        totals = {name: sum(line[name] for line in lines) for name in ("allocations", "packets", "bytes")}
        return {"relays": len(reached), "from_outside": len(outside)} | totals

    # Keys of applications

    def new_key(self, name: str, is_lan: bool) -> str:
        """Shown once. UsageError("key_name")."""
        if not USER.fullmatch(name):
            raise UsageError("key_name", "a key's name has 1 to 64 letters, digits and . _ @ -")
        key = KEY_PREFIX + os.urandom(32).hex()
        self._registry.add_relay_key(RelayKey(name, hashlib.sha256(key.encode()).digest(), is_lan, int(time.time())))
        return key

    def find_key(self, key: str) -> RelayKey | None:
        """Whose it is; compared in constant time."""
        digest = hashlib.sha256(key.encode()).digest()
        found = [each for each in self._registry.relay_keys() if hmac.compare_digest(each.digest, digest)]
        return found[0] if found else None


def _ways(device: Device, presence: Presence | None) -> list[Way]:
    """Where its birth says that the relay is; only addresses that the core may connect to."""
    ways: list[Way] = []
    if presence is None:
        return ways
    tls = presence.birth.get("relay_tls", "")
    for host, udp, tcp, scope in presence.birth.get("relay", []):
        known = str(parsed(host))
        if known in usable_addresses([host], device.address):
            ways += [Way(known, udp, "udp", scope == "lan")] if udp else []
            ways += [Way(known, tcp, "tcp", scope == "lan")] if tcp else []
            ways += [Way(known, tcp, "tls", scope == "lan", tls.strip("*"))] if tcp and tls else []
    return ways
