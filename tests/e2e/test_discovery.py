"""Both kinds of device are seen by programs no one here wrote: avahi among namespaces, zeroconf on loopback."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.lan import A, B, C, Lan, run
from tests.programs import ROOT, RUNTIMES, interpreter, switches, until
from tools.gateway.pairing.discovery import Browser, Found

DEVICE = "tests/e2e/announcing_device.py"
GROUP = "224.0.0.251"
POLL_MS = 600
FAST_S = 15.0  # on a busy machine
IDLE_S = 15
WAKE_UPS_PER_S = {"cpython": 2.0, "micropython": 1.0}


@pytest.fixture(scope="module")
def lan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lan]:
    network = Lan()
    try:
        network.start_avahi(tmp_path_factory.mktemp("avahi") / "avahi.sh")
        yield network
    finally:
        network.close()


@contextlib.contextmanager
def device(
    lan: Lan, runtime: str, name: str, folder: Path, where: str = "a", number: int = 7411
) -> "Iterator[tuple[subprocess.Popen[bytes], Path]]":
    """In a namespace, elsewhere than in `a` on its loopback; its host label is its name's letters."""
    host = re.sub(r"[^a-z0-9]+", "-", name.lower()) + f"-{number}"
    log = folder / f"{host}-{runtime}.log"
    words = [*interpreter(runtime), DEVICE, name, host, str(number), "-", str(POLL_MS)]
    process = lan.start(where, words + ([] if where == "a" else ["127.0.0.1"]), log)
    try:
        yield process, log
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(10)


def announced(log: Path) -> str:
    """The latest name in use."""
    names = re.findall(r"^announced (.*) at (.*)$", log.read_text(), re.MULTILINE)
    return names[-1][0] if names else ""


def resolved(lan: Lan, kind: str = "_corelet._tcp") -> list[list[str]]:
    """The fields of avahi-browse's lines about services it could resolve; field 3 is the name."""
    lines = lan.avahi("avahi-browse", "-rpt", kind).splitlines()
    return [line.replace("\\032", " ").split(";") for line in lines if line.startswith("=")]


def names(lan: Lan) -> set[str]:
    return {fields[3] for fields in resolved(lan)}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_avahi_resolves_a_device_and_its_goodbye(lan: Lan, runtime: str, tmp_path: Path) -> None:
    name = f"Seen by avahi {runtime}"
    with device(lan, runtime, name, tmp_path) as (process, log):
        until("its announcement", lambda: announced(log) == name)
        found = [fields for fields in resolved(lan) if fields[3] == name]
        assert {fields[2] for fields in found} == {"IPv4", "IPv6"}
        host = found[0][6]
        assert host == f"seen-by-avahi-{runtime}-7411.local" and found[0][8] == "7411"
        assert '"txtvers=1"' in found[0][9] and '"d=517"' in found[0][9]
        assert A in lan.avahi("avahi-resolve", "-4", "-n", host)
        assert "fe80::" in lan.avahi("avahi-resolve", "-6", "-n", host)
        assert name in {fields[3] for fields in resolved(lan, "_d517._sub._corelet._tcp")}
        assert "_corelet._tcp" in lan.avahi("avahi-browse", "-apt")
        process.send_signal(signal.SIGINT)
        process.wait(10)
        until("its goodbye", lambda: name not in names(lan))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_txt_record_gives_nobody_away(lan: Lan, runtime: str, tmp_path: Path) -> None:
    name = f"Private {runtime}"
    with device(lan, runtime, name, tmp_path) as (_, log):
        until("its announcement", lambda: announced(log) == name)
        txt = next(fields for fields in resolved(lan) if fields[3] == name)[9]
        keys = {item.partition("=")[0] for item in re.findall(r'"([^"]*)"', txt)}
        assert keys == {"txtvers", "id", "ps", "d", "md", "fw", "pv", "ca", "nm"}
        mac = run(*lan.inside("a"), "cat", f"/sys/class/net/{lan.link}/address").strip()
        plain = re.sub(r"[^0-9a-f]", "", txt.lower())
        assert mac.replace(":", "") not in plain and mac not in txt.lower()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_network_of_ipv6_alone(lan: Lan, runtime: str, tmp_path: Path) -> None:
    """A link-local address is all that the device has: avahi and a core find it, with the zone that leads there."""
    name = f"Six {runtime}"
    lan.set_ipv4(False)
    try:
        with device(lan, runtime, name, tmp_path) as (_, log):
            until("its announcement", lambda: announced(log) == name)
            found = [fields for fields in resolved(lan) if fields[3] == name]
            assert [fields[2] for fields in found] == ["IPv6"] and found[0][7].startswith("fe80::"), found
            words = [*lan.inside("b"), *interpreter("cpython"), "tests/e2e/browsing_core.py", name]
            (address,) = run(*words).split()
            assert address.startswith("fe80::") and "%" in address
    finally:
        lan.set_ipv4(True)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_flap_of_the_interface_is_survived(lan: Lan, runtime: str, tmp_path: Path) -> None:
    name = f"Flap {runtime}"
    with device(lan, runtime, name, tmp_path) as (process, log):
        until("its announcement", lambda: announced(log) == name)
        lan.set_link("down")
        try:
            until("its announcement", lambda: "The addresses are now 127.0.0.1" in log.read_text())
        finally:
            lan.set_link("up")
        until("its announcement", lambda: f"The addresses are now {A}" in log.read_text())
        host = f"flap-{runtime}-7411.local"
        until("its address after the flap", lambda: A in lan.avahi("avahi-resolve", "-4", "-n", host, is_checked=False))
        until("its service after the flap", lambda: [name, A] in [[each[3], each[7]] for each in resolved(lan)])
        assert process.poll() is None


@pytest.mark.parametrize("first", RUNTIMES)
@pytest.mark.parametrize("second", RUNTIMES)
def test_a_second_device_with_the_name_gets_a_number(lan: Lan, first: str, second: str, tmp_path: Path) -> None:
    name = f"Twin {first[0]} {second[0]}"
    with device(lan, first, name, tmp_path) as (_, one):
        until("its announcement", lambda: announced(one) == name)
        with device(lan, second, name, tmp_path, number=7412) as (_, other):
            until("the other name", lambda: announced(other) == name + "-2")
            until("both in avahi", lambda: {name, name + "-2"} <= names(lan))
            assert announced(one) == name


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_name_that_avahi_has_is_left_to_it(lan: Lan, runtime: str, tmp_path: Path) -> None:
    name = f"Taken {runtime}"
    words = [*lan.in_avahi(), "avahi-publish", "-s", name, "_corelet._tcp", "80"]
    publisher = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until("avahi's own service", lambda: name in names(lan))
        with device(lan, runtime, name, tmp_path) as (_, log):
            until("its announcement", lambda: announced(log) == name + "-2")
    finally:
        publisher.terminate()
        publisher.wait(10)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_another_network_is_not_answered(lan: Lan, runtime: str, tmp_path: Path) -> None:
    name = f"Shy {runtime}"

    def ask(where: str, target: str, own: str) -> str:
        words = [*lan.inside(where), *interpreter("cpython"), str(ROOT / "tests/e2e/mdns_query.py"), target, own]
        return run(*words).strip()

    with device(lan, runtime, name, tmp_path) as (_, log):
        until("its announcement", lambda: announced(log) == name)
        knock = f"import socket; socket.create_connection(({A!r}, 9), 5)"
        with pytest.raises(subprocess.CalledProcessError) as refused:
            run(*lan.inside("c"), *interpreter("cpython"), "-c", knock)
        assert "ConnectionRefusedError" in refused.value.stderr, "the way there is open"
        assert int(ask("b", GROUP, B)) > 30, "a neighbour that knows no mDNS is answered"
        assert ask("c", A, C) == "nothing"


def test_an_idle_device_sleeps(lan: Lan, tmp_path: Path) -> None:
    """Context switches of all threads, counted from outside, on a silent network (each has a loopback of its own)."""
    with contextlib.ExitStack() as stack:
        running = {}
        for where, runtime in zip("bc", RUNTIMES, strict=True):
            one = device(lan, runtime, f"Idle {runtime}", tmp_path, where)
            running[runtime] = stack.enter_context(one)
        for _, log in running.values():
            until("its announcement", lambda log=log: announced(log) != "")
        time.sleep(4)
        before = {runtime: switches(process.pid) for runtime, (process, _) in running.items()}
        time.sleep(IDLE_S)
        for runtime, (process, _) in running.items():
            per_s = (switches(process.pid) - before[runtime]) / IDLE_S
            # The device under test looks at its interfaces more often than a real one, which costs 1000 / POLL_MS.
            assert per_s - 1000 / POLL_MS < WAKE_UPS_PER_S[runtime], (runtime, per_s)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_core_finds_a_device_on_loopback(runtime: str, tmp_path: Path) -> None:
    """Also with other programs on port 5353; the window's opening is seen, and so is the goodbye."""
    name, window, log = f"Loop {runtime} {os.getpid()}", tmp_path / "window", tmp_path / "log"
    host = f"loop-{runtime}-{os.getpid()}"
    words = [*interpreter(runtime), DEVICE, name, host, "7411", str(window), "1000", "127.0.0.1"]

    async def main() -> None:
        browser = Browser(["127.0.0.1"])
        await browser.start()
        with log.open("wb") as file:
            process = subprocess.Popen(words, cwd=ROOT, stdout=file, stderr=file)
        try:
            found = await sees(browser, name, lambda each: each is not None and each.txt["ps"] == "0")
            assert found is not None and found.host == host + ".local"
            assert (found.addresses, found.port) == (["127.0.0.1"], 7411)
            assert name in [each.instance for each in browser.by_discriminator(517)]
            assert name not in [each.instance for each in browser.by_discriminator(518)]
            window.touch()
            await sees(browser, name, lambda each: each is not None and each.txt["ps"] == "1")
            process.send_signal(signal.SIGINT)
            await sees(browser, name, lambda each: each is None)
        finally:
            process.terminate()
            process.wait(10)
            await browser.close()

    asyncio.run(main())


async def sees(browser: Browser, name: str, is_right: Callable[[Found | None], bool]) -> Found | None:
    deadline = time.monotonic() + FAST_S
    while True:
        found = next((each for each in browser.found() if each.instance == name), None)
        if is_right(found):
            return found
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.1)
