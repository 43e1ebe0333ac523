"""The core's eyes and its own sign on the network: devices that announce `_corelet._tcp` are kept in a bounded list,
and the core itself is announced as `_corelet-core._tcp` (design section 4).

Everything here comes from whoever is on the network and proves nothing: names and TXT values are stripped of escape
sequences, markup and control characters, and cut; whether a device is up is the link's word, never this list's.
Bounds: FOUND_MAX devices, of which one of the address that has the most gives way, by chance: who invents hundreds must
not be able to choose whom he pushes out. RESOLVING_MAX look-ups at a time.
"""

import asyncio
import ipaddress
import logging
import random
import re
import time
from collections import Counter
from typing import Any, NamedTuple

from zeroconf import BadTypeInNameException, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo

from agent.errors import PortError
from agent.port.cpython import net
from agent.port.cpython.announce import Announcer
from agent.port.options import Service
from agent.service.discovery import DAMP_MS, POLL_MS, choose, label

LOG = logging.getLogger("corelet.discovery")

DEVICE_KIND = "_corelet._tcp"
CORE_KIND = "_corelet-core._tcp"
FOUND_MAX = 500
RESOLVING_MAX = 8
RESOLVE_MS = 3000
ADDRESSES_MAX = 16
TXT_KEYS_MAX = 16
TEXT_CHARS_MAX = 64

_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b.?|\x9b[0-?]*[ -/]*[@-~]")
_TAGS = re.compile(r"<[^<>]*>")
_TXT_KEY = re.compile(r"[a-z0-9]{1,9}")


class Found(NamedTuple):
    """One device, as it describes itself. `addresses` carry a zone (%2) where they need one."""

    instance: str
    host: str
    addresses: list[str]
    port: int
    txt: dict[str, str]
    seen_unix: int

    def listed(self) -> dict[str, Any]:
        """For `corelet-core discover`."""
        return {
            "name": self.txt.get("nm") or self.instance,
            "instance": self.instance,
            "id": self.txt.get("id", ""),
            "board": self.txt.get("md", ""),
            "fw": self.txt.get("fw", ""),
            "addresses": list(self.addresses),
            "port": self.port,
            "window": {"0": "closed", "1": "open", "2": "owned"}.get(self.txt.get("ps", ""), "unknown"),
            "seen_s": max(0, round(time.time() - self.seen_unix)),
        }


def clean(text: str) -> str:
    """Harmless on a terminal and on a page, and at most TEXT_CHARS_MAX characters."""
    text = _TAGS.sub("", _ESCAPES.sub("", text))
    # Not printable: control, format (which includes the bidirectional overrides), separators of lines.
    kept = [letter for letter in text if letter.isprintable() and letter not in '<>&"`\\']
    return "".join(kept).replace("'", "\u2019").strip()[:TEXT_CHARS_MAX]


def core_service(core_id: str, name: str, port: int) -> Service:
    """What a core announces: its broker's port and nothing about its owner."""
    txt = [("txtvers", "1"), ("id", core_id), ("pv", "1"), ("nm", label(name)[:32])]
    return Service(CORE_KIND, label(name), "corelet-core-" + core_id[:8], port, [], txt, [])


def _is_usable(address: str) -> bool:
    parsed = ipaddress.ip_address(address)
    return not (parsed.is_multicast or parsed.is_unspecified or parsed.is_reserved)


def _describe(info: AsyncServiceInfo, instance: str) -> Found:
    txt: dict[str, str] = {}
    for key, value in list(info.decoded_properties.items())[:TXT_KEYS_MAX]:
        if _TXT_KEY.fullmatch(key.lower()):
            txt[key.lower()] = clean(value or "")
    addresses = [address for address in info.parsed_scoped_addresses() if _is_usable(address)][:ADDRESSES_MAX]
    host = clean((info.server or "").rstrip("."))
    return Found(clean(instance), host, addresses, info.port or 0, txt, int(time.time()))


class Browser:
    """`only`: the only addresses to speak on (--listen). `core`: core_service(...) to announce, or None."""

    def __init__(self, only: list[str] | None = None, core: Service | None = None) -> None:
        self._only = only or []
        self._core = core
        self._announcer: Announcer | None = None
        self._browser: AsyncServiceBrowser | None = None
        self._found: dict[str, Found] = {}
        self._resolving: dict[str, asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(RESOLVING_MAX)
        self._follower: asyncio.Task[None] | None = None
        self.refused = 0  # names that are none, or came while FOUND_MAX others were being looked up

    async def start(self) -> None:
        """PortError when no network can be used; the core works without (add devices by address)."""
        addresses = choose(net.interfaces(), self._only)
        if not addresses:
            raise PortError("multicast", "There is no network for discovery; add devices by address.")
        service = self._core or Service(CORE_KIND, "browser", "browser", 0, [], [], [])
        self._announcer = Announcer(service._replace(addresses=addresses), hears_all=True)
        await (self._announcer.start() if self._core else self._announcer.listen())
        if self._announcer.zeroconf is not None:
            kind = DEVICE_KIND + ".local."
            self._browser = AsyncServiceBrowser(self._announcer.zeroconf.zeroconf, kind, handlers=[self._changed])
        self._follower = net.spawn(self._follow(addresses))

    def found(self) -> list[Found]:
        """Those that have said an address and a port, by name. One that has changed its name is there once."""
        found = {
            (each.txt.get("id") or each.instance, each.txt.get("d"), tuple(each.addresses), each.port): each
            for each in self._found.values()
            if each.addresses and each.port
        }
        return sorted(found.values())

    def by_discriminator(self, discriminator: int) -> list[Found]:
        return [each for each in self.found() if each.txt.get("d") == str(discriminator)]

    async def close(self) -> None:
        """Goodbye for the core; the list is empty afterwards."""
        tasks = [*self._resolving.values(), *([self._follower] if self._follower else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._browser is not None:
            await self._browser.async_cancel()
        if self._announcer is not None:
            await self._announcer.close()
        self._found.clear()

    async def _follow(self, addresses: list[str]) -> None:
        """zeroconf goes deaf when interfaces change and nobody tells it."""
        while True:
            await asyncio.sleep(POLL_MS / 1000)
            seen = choose(net.interfaces(), self._only)
            if seen == addresses or self._announcer is None:
                continue
            await asyncio.sleep(DAMP_MS / 1000)
            if choose(net.interfaces(), self._only) == seen:
                try:
                    await self._announcer.set_addresses(seen)
                    addresses = seen
                except PortError as error:
                    LOG.warning("%s", error.text)

    # zeroconf passes these by keyword.
    def _changed(self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        # zeroconf takes the goodbye of a subtype's pointer ("no window is open any more") for that of the device.
        is_gone = zeroconf.cache.current_entry_with_name_and_alias(service_type, name) is None
        if state_change is ServiceStateChange.Removed and is_gone:
            self._found.pop(name, None)
            if name in self._resolving:
                self._resolving.pop(name).cancel()
            return
        try:
            info = AsyncServiceInfo(service_type, name)
        except BadTypeInNameException:  # control characters in it, or too long: nothing can be asked about it
            self.refused += 1
            return
        if info.load_from_cache(zeroconf):
            self._keep(name, info)
        elif len(self._resolving) >= FOUND_MAX:
            self.refused += 1
        elif name not in self._resolving:
            task = self._resolving[name] = asyncio.get_running_loop().create_task(self._resolve(zeroconf, name, info))
            task.add_done_callback(lambda done: self._resolved(name, done))

    def _resolved(self, name: str, done: "asyncio.Task[None]") -> None:
        if self._resolving.get(name) is done:
            del self._resolving[name]
        if not done.cancelled() and (error := done.exception()) is not None:
            LOG.warning("the description of %s was not understood: %s", clean(name), error)

    async def _resolve(self, zeroconf: Zeroconf, name: str, info: AsyncServiceInfo) -> None:
        async with self._slots:
            if await info.async_request(zeroconf, RESOLVE_MS):
                self._keep(name, info)

    def _keep(self, name: str, info: AsyncServiceInfo) -> None:
        self._found.pop(name, None)
        if len(self._found) >= FOUND_MAX:
            hosts = Counter(_host(each) for each in self._found.values())
            most = max(hosts.values())
            del self._found[random.choice([key for key, each in self._found.items() if hosts[_host(each)] == most])]  # noqa: S311
        self._found[name] = _describe(info, name.removesuffix("." + info.type))


def _host(found: Found) -> str:
    return found.addresses[0] if found.addresses else ""
