"""Keeps this device findable: what it announces, and on which addresses (design section 4).

Drives a contract.Announcer. Interfaces are polled every POLL_MS; a change counts when it has lasted DAMP_MS, because
a Wi-Fi that comes back changes its addresses several times. A network that refuses is one line in the journal and is
tried again. Not a browser: a device looks for nobody.
"""

import asyncio

from agent.errors import PortError

if False:
    from typing import Any, Callable

    from agent.port import contract
    from agent.port.options import Service

POLL_MS = 10000
DAMP_MS = 3000
DAMP_TURNS_MAX = 10
RETRY_TURNS = 6  # polls with the same trouble, until its interfaces are opened again
ADDRESSES_MAX = 16
LABEL_BYTES_MAX = 63


def label(name: str) -> str:
    """A name as one DNS-SD label. No control characters, and no dots: zeroconf would split the label there."""
    text = "".join([" " if letter == "." or ord(letter) < 32 or ord(letter) == 127 else letter for letter in name])
    text = text.strip() or "Corelet"
    while len(text.encode()) > LABEL_BYTES_MAX:
        text = text[:-1]
    return text


def choose(found: list[tuple[str, str, int]], only: list[str]) -> list[str]:
    """Addresses to announce. Loopback only when `only` says so, or when there is nothing else."""
    there = [address for _, address, _ in found]
    if only:
        return [address for address in only if address in there]
    outer = [address for name, address, _ in found if name and name != "lo" and not address.startswith("127.")]
    return sorted(outer)[:ADDRESSES_MAX] or [address for address in there if address == "127.0.0.1"]


class Discovery:
    """`service`: options.Service whose addresses, when there are any, are the only ones used (--listen); `describe()`
    gives (txt, subtypes) for now and is asked again at each refresh()."""

    def __init__(
        self,
        module: "contract.AnnounceModule",
        net: "contract.Net",
        journal: "Any",
        describe: "Callable[[], tuple[list[tuple[str, str]], list[str]]]",
        service: "Service",
    ) -> None:
        self._module = module
        self._net = net
        self._journal = journal
        self._describe = describe
        self._service = service
        self._only = list(service.addresses)
        self._addresses: list[str] = []
        self._announcer: contract.Announcer | None = None
        self._is_started = False
        self._is_closed = False
        self._troubled_turns = 0
        self._said = ""
        self.on_moved: Callable[[], None] | None = None  # the addresses changed
        self.poll_ms = POLL_MS
        self.damp_ms = DAMP_MS

    @property
    def instance(self) -> str:
        """The name in use; others may have had the wanted one."""
        return self._announcer.instance if self._announcer else self._service.instance

    @property
    def addresses(self) -> list[str]:
        return list(self._addresses)

    async def run(self) -> None:
        """Until cancelled or closed. The supervisor may call it again."""
        while not self._is_closed:
            await self._follow()
            await asyncio.sleep(self.poll_ms / 1000)

    async def _follow(self) -> None:
        now = choose(self._net.interfaces(), self._only)
        if self._is_started and now == self._addresses:
            await self._retry()
            return
        if self._is_started:
            now = await self._settle(now)
        try:
            await self._apply(now)
        except PortError as error:
            self._say(error.text)

    async def _retry(self) -> None:
        """What does not work may work later: a program that held the port ends, a cable is plugged in."""
        if self._announcer is None:
            return
        self._say(self._announcer.trouble)
        self._troubled_turns = self._troubled_turns + 1 if self._announcer.trouble else 0
        if self._troubled_turns >= RETRY_TURNS:
            self._troubled_turns = 0
            try:
                await self._announcer.set_addresses(self._addresses)
            except PortError as error:
                self._say(error.text)

    async def _settle(self, seen: list[str]) -> list[str]:
        for _ in range(DAMP_TURNS_MAX):
            await asyncio.sleep(self.damp_ms / 1000)
            now = choose(self._net.interfaces(), self._only)
            if now == seen:
                break
            seen = now
        return seen

    async def _apply(self, addresses: list[str]) -> None:
        if self._is_started and self._announcer is not None:
            if addresses != self._addresses:
                await self._announcer.set_addresses(addresses)
                self._journal.info("discovery", "The addresses are now " + (", ".join(addresses) or "none") + ".")
                if self.on_moved is not None:
                    self.on_moved()
        elif addresses:
            await self._drop()
            txt, subtypes = self._describe()
            service = self._service
            kind = type(service)
            self._announcer = self._module.open(
                kind(service.kind, label(service.instance), service.host, service.port, addresses, txt, subtypes)
            )
            await self._announcer.start()
            self._is_started = True
            if self._announcer.instance != label(service.instance):
                self._journal.warning("discovery", f"The name was taken; this device is {self._announcer.instance}.")
        self._addresses = addresses
        self._say(self._announcer.trouble if self._announcer else "There is no network to be found on yet.")

    def _say(self, trouble: str) -> None:
        """Once for each new sentence."""
        if trouble and trouble != self._said:
            self._journal.warning("discovery", trouble)
        self._said = trouble

    async def refresh(self) -> None:
        """The pairing window opened or closed, or the device has an owner now."""
        if self._announcer is not None and self._is_started:
            txt, subtypes = self._describe()
            await self._announcer.update(txt, subtypes)

    async def close(self) -> None:
        """Goodbye, for good."""
        self._is_closed = True
        await self._drop()

    async def _drop(self) -> None:
        if self._announcer is not None:
            old, self._announcer, self._is_started = self._announcer, None, False
            await old.close()
