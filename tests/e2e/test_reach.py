"""Devices behind a home router are reached from outside: Debian's miniupnpd maps their ports, by each of its three
protocols; and routers that lie, flood or stand behind another router."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.lan import run
from tests.e2e.router import DEVICE, DEVICE6, EXTERNAL, METHODS, PEER, Router
from tests.programs import ROOT, RUNTIMES, Program, interpreter, until

SCRIPT = "tests/e2e/reaching_device.py"
UDP, TCP = ("udp", 3478, f"{DEVICE}:3478"), ("tcp", 3479, f"{DEVICE}:3479")
IS_FULL = os.environ.get("CORELET_FULL") == "1"
# Each method; in the sample with one interpreter each.
WAYS = [
    (runtime, method) for at, method in enumerate(METHODS) for runtime in (RUNTIMES if IS_FULL else (RUNTIMES[at % 2],))
]
LONG_S = 3600
SHORT_S = 4
FLOOD_S = 6


@pytest.fixture
def router(tmp_path: Path) -> Iterator[Router]:
    made = Router(tmp_path)
    try:
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def device(router: Router, runtime: str, lifetime_s: int, *more: str) -> Iterator[Program]:
    words = [SCRIPT, str(lifetime_s), "500", "17:3478", "6:3479", *more]
    with Program(f"device-{runtime}", router.inside("home") + interpreter(runtime) + words, router.folder) as program:
        yield program


def latest(program: Program) -> str:
    """Its latest word about its state."""
    return (["", *[line for line in program.lines if line.startswith("state ")]])[-1]


def is_mapped(program: Program, method: str, address: str = EXTERNAL) -> None:
    state = f"state mapped at 3478={address}:3478 3479={address}:3479 because"
    try:
        until("that state", lambda: state in latest(program) and latest(program).endswith(f"by {method}"), 30)
    except AssertionError as error:
        raise AssertionError(f"{error}: {state} by {method}\n{program.text}") from None


@pytest.mark.parametrize(("runtime", "method"), WAYS)
def test_each_method_maps_renews_and_removes(router: Router, runtime: str, method: str) -> None:
    router.start(method)
    with device(router, runtime, SHORT_S) as program:
        program.says("state trying")
        is_mapped(program, method)
        assert router.mapped() == {UDP, TCP}
        router.arrives(program, "first", EXTERNAL, 3478)
        told = program.text.count("state ")
        time.sleep(2 * SHORT_S)  # it would have ended twice
        assert router.mapped() == {UDP, TCP}
        router.arrives(program, "second", EXTERNAL, 3478)
        assert program.text.count("state ") == told, "a renewal changes nothing"
        program.send(signal.SIGINT)
        program.says("goodbye")
        until("the removal", lambda: not router.mapped(), 1)


@pytest.mark.parametrize(("runtime", "method"), WAYS)
def test_a_router_that_restarts_or_gets_another_address(router: Router, runtime: str, method: str) -> None:
    router.start(method)
    with device(router, runtime, LONG_S) as program:
        is_mapped(program, method)
        time.sleep(4)  # so that its epoch goes back by more than the rule's two seconds
        router.restart(method)
        until("the mappings again", lambda: router.mapped() == {UDP, TCP})
        router.set_external("11.22.33.2")
        is_mapped(program, method, "11.22.33.2")
        router.arrives(program, "moved", "11.22.33.2", 3478)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_pinholes_for_ipv6_are_opened_renewed_and_closed(router: Router, runtime: str) -> None:
    router.add_ipv6()
    router.start("PCP")
    router.send("nobody hears it", DEVICE6, 3478)
    with device(router, runtime, SHORT_S, "ipv6") as program:
        until("the pinholes", lambda: router.pinholes() == {("udp", 3478), ("tcp", 3479)})
        router.arrives(program, "first", DEVICE6, 3478)
        time.sleep(2 * SHORT_S)  # it would have ended twice
        assert router.pinholes() == {("udp", 3478), ("tcp", 3479)} and "nobody hears" not in program.text
        router.arrives(program, "second", DEVICE6, 3478)
    router.restart("PCP")
    with device(router, runtime, LONG_S, "ipv6") as program:
        until("the pinholes", lambda: len(router.pinholes()) == 2)
        program.send(signal.SIGINT)
        program.says("goodbye")
        until("the removal", lambda: not router.pinholes(), 3)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_order_of_the_methods(router: Router, runtime: str) -> None:
    router.start(*METHODS)
    with device(router, runtime, LONG_S) as program:
        is_mapped(program, "PCP")
        router.restart("NAT-PMP", "UPnP")
        is_mapped(program, "NAT-PMP")
        router.restart("UPnP")
        is_mapped(program, "UPnP")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_without_a_mapping_it_says_what_to_do(router: Router, runtime: str) -> None:
    router.start()
    with device(router, runtime, LONG_S) as program:
        told = program.says("state blocked")
        assert told.endswith("no router answers when asked to map ports; switch on UPnP or NAT-PMP in the router")


@pytest.mark.parametrize(("runtime", "method"), [way for way in WAYS if way[1] != "PCP"])
def test_a_router_that_maps_nothing_tells_its_address(router: Router, runtime: str, method: str) -> None:
    """PCP tells it only with a mapping. Refused by NAT-PMP, miniupnpd tries all ports for seconds: kept from it."""
    router.rule = ""
    router.start(method)
    if method == "NAT-PMP":
        rule = ["udp", "dport", "5351", "udp", "length", ">", "10", "drop"]
        run(*router.inside("router"), router.nft, "insert", "rule", "inet", "filter", "unserved", *rule)
    with device(router, runtime, LONG_S) as program:
        assert ("refuses to map" if method == "UPnP" else "no router answers") in program.says("state blocked", 30)
        assert f"router {EXTERNAL}\n" in program.text and router.mapped() == set()
        router.set_external("11.22.33.2")
        program.says("router 11.22.33.2", 30)


@pytest.mark.parametrize("address", ["100.64.0.1", "10.9.8.1"] if IS_FULL else ["100.64.0.1"])
@pytest.mark.parametrize("method", METHODS)
def test_a_router_behind_another_router(router: Router, method: str, address: str) -> None:
    router.set_external(address)
    router.start(method)
    runtime = RUNTIMES[METHODS.index(method) % 2]
    with device(router, runtime, LONG_S) as program:
        told = program.says("state blocked")
        shown = address if method == "PCP" else "0.0.0.0"  # noqa: S104 (miniupnpd tells nothing else)
        assert f"no public address of its own ({shown}): another router, or the provider's, stands in front" in told
        assert router.mapped() == set()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_nonsense_and_floods_change_nothing(router: Router, runtime: str) -> None:
    router.filter(*METHODS)
    words = [*router.inside("router"), sys.executable, str(ROOT / "tests/e2e/bad_router.py"), PEER, str(FLOOD_S)]
    bait = [*router.inside("outside"), sys.executable, "-u", "-c", _BAIT.format(PEER)]
    with Program("bait", bait, router.folder) as listener, Program("bad", words, router.folder) as bad:
        listener.says("ready")
        bad.says("ready")
        with device(router, runtime, LONG_S) as program:
            program.says("state blocked", 40)
            rss = program.rss_kib()
            bad.says("done", 60)
            assert "sent somebody elsewhere" in bad.text, "the foreign place was offered"
            assert program.rss_kib() - rss < 1024
            odd = [int(line.split()[1]) for line in program.lines if line.startswith("odd ")]
            assert odd[-1] > 100, program.text + bad.text
            assert "state mapped" not in program.text and "somebody came" not in listener.text
            bad.stop(signal.SIGTERM)
            router.start("PCP")
            is_mapped(program, "PCP")


_BAIT = """
import socket
sock = socket.create_server(({0!r}, 8080))
print("ready")
while True:
    conn, _ = sock.accept()
    print("somebody came")
    conn.close()
"""
