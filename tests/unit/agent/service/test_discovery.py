"""Discovery: which addresses are announced, and when."""

import asyncio

from agent.errors import PortError
from agent.port.options import Service
from agent.service.discovery import Discovery, choose, label

LO = ("lo", "127.0.0.1", 8)
HOME = ("eth0", "192.168.1.7", 24)
HOME_6 = ("eth0", "fe80::7", 64)
WIFI = ("wlan0", "10.0.0.9", 8)


class Net:
    def __init__(self, found: list[tuple[str, str, int]]) -> None:
        self.found = found

    def interfaces(self) -> list[tuple[str, str, int]]:
        return self.found


class Journal:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, source: str, text: str) -> None:
        self.lines.append(text)

    warning = error = info


class Announcer:
    def __init__(self, module: "Module", service: Service) -> None:
        self.instance = service.instance + module.suffix
        self.trouble = ""
        self._module = module
        self._said = module.said

    async def start(self) -> None:
        if self._module.fails:
            raise PortError("port_busy", "Port 5353 is in use.")
        self._said.append("start")

    async def update(self, txt: list[tuple[str, str]], subtypes: list[str]) -> None:
        self._said.append((txt, subtypes))

    async def set_addresses(self, addresses: list[str]) -> None:
        self._said.append(addresses)

    async def close(self) -> None:
        self._said.append("close")


class Module:
    def __init__(self) -> None:
        self.said: list[object] = []
        self.suffix = ""
        self.fails = False
        self.opened: list[Service] = []

    def open(self, service: Service) -> Announcer:
        self.opened.append(service)
        return Announcer(self, service)


def make(found: list[tuple[str, str, int]], only: list[str] | None = None) -> "tuple[Discovery, Module, Net, Journal]":
    module, net, journal = Module(), Net(found), Journal()
    service = Service("_corelet._tcp", "Attic", "box", 7411, only or [], [], [])
    discovery = Discovery(module, net, journal, lambda: ([("txtvers", "1")], ["_pair"]), service)
    discovery.poll_ms, discovery.damp_ms = 10, 10
    return discovery, module, net, journal


async def watch(discovery: Discovery, seconds: float) -> "asyncio.Task[None]":
    task = asyncio.create_task(discovery.run())
    await asyncio.sleep(seconds)
    return task


def test_labels():
    assert label("Attic Pi") == "Attic Pi"
    assert label("a.b\x1b[0m\x7f") == "a b [0m"
    assert label("\n") == "Corelet"
    assert len(label("é" * 100).encode()) == 62


def test_loopback_only_when_there_is_nothing_else():
    assert choose([LO, HOME, HOME_6], []) == ["192.168.1.7", "fe80::7"]
    assert choose([LO, ("lo", "::1", 128)], []) == ["127.0.0.1"]
    assert choose([LO, HOME], ["127.0.0.1"]) == ["127.0.0.1"]
    assert choose([LO, HOME], ["10.9.9.9"]) == []
    assert choose([("", "10.8.0.2", 32)], []) == []


def test_announces_what_is_described():
    async def main() -> None:
        discovery, module, _, journal = make([LO, HOME])
        task = await watch(discovery, 0.05)
        (service,) = module.opened
        assert service.addresses == ["192.168.1.7"] and service.txt == [("txtvers", "1")]
        assert module.said == ["start"] and not journal.lines
        await discovery.refresh()
        assert module.said[1:] == [([("txtvers", "1")], ["_pair"])]
        await discovery.close()
        await task
        assert module.said[-1] == "close" and len(module.opened) == 1

    asyncio.run(main())


def test_a_change_that_lasts_is_followed():
    async def main() -> None:
        discovery, module, net, _ = make([HOME])
        task = await watch(discovery, 0.05)
        net.found = [HOME, WIFI]
        await asyncio.sleep(0.1)
        assert module.said == ["start", ["10.0.0.9", "192.168.1.7"]]
        net.found = []
        await asyncio.sleep(0.1)
        assert module.said[2:] == [[]]
        task.cancel()

    asyncio.run(main())


def test_a_flicker_is_not_followed():
    async def main() -> None:
        discovery, module, net, _ = make([HOME])
        discovery.damp_ms = 100
        task = await watch(discovery, 0.03)
        net.found = [WIFI]
        await asyncio.sleep(0.05)
        net.found = [HOME]
        await asyncio.sleep(0.4)
        assert module.said == ["start"]
        task.cancel()

    asyncio.run(main())


def test_a_network_that_refuses_is_one_line_and_tried_again():
    async def main() -> None:
        discovery, module, _, journal = make([HOME])
        module.fails = True
        task = await watch(discovery, 0.1)
        assert journal.lines == ["Port 5353 is in use."] and len(module.opened) > 2
        module.fails = False
        await asyncio.sleep(0.05)
        assert module.said[-1] == "start"
        task.cancel()

    asyncio.run(main())


def test_a_link_in_trouble_is_opened_again_now_and_then():
    async def main() -> None:
        discovery, module, _, journal = make([HOME])
        task = await watch(discovery, 0.03)
        discovery._announcer.trouble = "Nothing can be sent."
        await asyncio.sleep(0.3)
        assert journal.lines == ["Nothing can be sent."]
        retries = module.said[1:]
        assert 2 <= len(retries) <= 6 and retries[0] == ["192.168.1.7"]
        task.cancel()

    asyncio.run(main())


def test_a_taken_name_is_told():
    async def main() -> None:
        discovery, module, _, journal = make([HOME])
        module.suffix = "-2"
        task = await watch(discovery, 0.05)
        assert discovery.instance == "Attic-2" and "Attic-2" in journal.lines[0]
        task.cancel()

    asyncio.run(main())


def test_no_network_is_told_and_waited_for():
    async def main() -> None:
        discovery, module, net, journal = make([])
        task = await watch(discovery, 0.05)
        assert len(journal.lines) == 1 and not module.opened
        net.found = [HOME]
        await asyncio.sleep(0.05)
        assert module.said == ["start"]
        task.cancel()

    asyncio.run(main())
