"""Default routes of /proc/net/route, and small datagrams."""

import asyncio

from agent import port
from agent.errors import PortError
from agent.port import net, routes
from tests.expect import raises

HEAD = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"


def line(name, destination, gateway, flags, metric, mask):
    """Addresses as numbers of this machine's order; all of ours have little-endian ones."""
    return f"{name}\t{destination}\t{gateway}\t{flags}\t0\t0\t{metric}\t{mask}\t0\t0\t0\n"


def test_parse():
    lines = [
        HEAD,
        line("wlan0", "00000000", "0107A8C0", "0003", 600, "00000000"),
        line("eth0", "00000000", "FE00000A", "0003", 100, "00000000"),
        line("ppp0", "00000000", "00000000", "0001", 0, "00000000"),  # no gateway: a line to one other end
        line("eth0", "0000000A", "FE00000A", "0003", 0, "00FFFFFF"),  # not the default
        line("eth0", "0007A8C0", "00000000", "0001", 0, "00FFFFFF"),
        "torn\n",
    ]
    assert routes.parse(lines) == [("eth0", "10.0.0.254"), ("wlan0", "192.168.7.1")]
    assert routes.parse([]) == [] and routes.parse([HEAD]) == []


def test_parse6():
    none, own = "0" * 32, "fd" + "0" * 29 + "1"
    rest = " 00000003 00000000 "
    lines = [
        none + " 00 " + none + " 00 " + own + " 00000400" + rest + "00000003     eth0\n",
        none + " 00 " + none + " 00 fe80" + "0" * 27 + "1 00000100" + rest + "00450003    wlan0\n",
        none + " 00 " + none + " 00 " + none + " ffffffff" + rest + "00200200       lo\n",
        own + " 40 " + none + " 00 " + own + " 00000100" + rest + "00000003     eth0\n",
        "torn\n",
    ]
    assert routes.parse6(lines) == [("wlan0", "fe80::1%wlan0"), ("eth0", "fd00::1")]
    assert routes.parse6([]) == []


def test_gateways_of_this_machine():
    for name, host in routes.gateways():
        assert name and host.count(".") == 3


def test_datagrams():
    async def main():
        udp = port.udp()
        one = udp.open("127.0.0.1")
        one.send(b"lost", "127.0.0.1", 9)  # nobody is there, and nobody is told
        try:
            raises(PortError, udp.open, "192.0.2.1")
            other = udp.open("127.0.0.1")
            error = None
            try:
                await net.wait_for(other.receive(), 50)
            except PortError as caught:
                error = caught
            assert error is not None and error.code == "timeout"
            other.close()
        finally:
            one.close()

    asyncio.run(main())
