"""The core connects to what a home network uses, and never to what a crafted birth makes of it."""

import pytest

from tools.gateway.addresses import ADDRESSES_MAX, usable_addresses, usable_port
from tools.gateway.objects.shards import _url

HOME = "192.168.1.20"


@pytest.mark.parametrize("named", ["192.168.1.21", "10.0.0.1", "100.64.0.7", "fd00::1", "2001:db8::1", "8.8.8.8"])
def test_unicast_is_fine(named):
    assert usable_addresses([named], HOME) == (HOME, named)


@pytest.mark.parametrize(
    "named",
    [
        "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "0.0.0.0", "0.0.0.1", "::", "224.0.0.1", "ff02::1",
        "240.0.0.1", "255.255.255.255", "169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "fe80::1%eth0",
        "2001:db8::1%]@localhost:80?admin=1&x=", "localhost", "192.168.1.1:80", "", 2130706433, b"\x7f\0\0\1", None,
    ],
)  # fmt: skip
def test_everything_else_is_left_out(named):
    assert usable_addresses([named], HOME) == (HOME,)


@pytest.mark.parametrize("named", [5, None, "10.0.0.1", {"10.0.0.1": 1}])
def test_what_is_no_list(named):
    assert usable_addresses(named, HOME) == (HOME,)


def test_loopback_only_when_paired_over_loopback():
    assert usable_addresses(["127.0.0.1"], "127.0.0.1") == ("127.0.0.1",)
    assert usable_addresses(["::1"], "localhost") == ("::1",)
    assert usable_addresses(["127.0.0.1"], "") == ()


def test_the_paired_address_may_be_link_local():
    assert usable_addresses(["169.254.3.4"], "169.254.3.4") == ("169.254.3.4",)


def test_canonical_and_bounded():
    assert usable_addresses(["2001:DB8:0::1", "2001:db8::1"], HOME) == (HOME, "2001:db8::1")
    assert len(usable_addresses([f"10.0.0.{each}" for each in range(1, 99)], HOME)) == ADDRESSES_MAX + 1


@pytest.mark.parametrize("port,wanted", [(1, 1), (65535, 65535), (0, 0), (65536, 0), (-1, 0), (True, 0), ("80", 0)])
def test_ports(port, wanted):
    assert usable_port(port) == wanted


def test_url_is_built_of_parts():
    assert str(_url("2001:db8::1", 7412, "/shards/ab")) == "http://[2001:db8::1]:7412/shards/ab"
    for address, port in (
        ("2001:db8::1%]@localhost:80?x=", 7412),
        ("a@b", 7412),
        ("10.0.0.1", 0),
        ("10.0.0.1", 1 << 16),
    ):
        with pytest.raises(ValueError, match="usable"):
            _url(address, port, "/shards/ab")
