"""The policy table: of each range the first and the last address and their neighbours; lists; our own addresses."""

from agent.core.relay.policy import NEVER4, NEVER6, REFUSED4, REFUSED6, Policy, home

PUBLIC = b"\x08\x08\x08\x08"
PUBLIC6 = b"\x26\x06" + bytes(14)
ALL = [(bytes(4), 0), (bytes(16), 0)]

# first, last, reason; written independently of the table in policy.py, from the IANA registries.
RANGES = (
    ("0.0.0.0", "0.255.255.255", "unspecified"),
    ("10.0.0.0", "10.255.255.255", "private"),
    ("100.64.0.0", "100.127.255.255", "shared"),
    ("127.0.0.0", "127.255.255.255", "loopback"),
    ("169.254.0.0", "169.254.255.255", "link_local"),
    ("172.16.0.0", "172.31.255.255", "private"),
    ("192.0.0.0", "192.0.0.255", "reserved"),
    ("192.0.2.0", "192.0.2.255", "documentation"),
    ("192.88.99.0", "192.88.99.255", "wrapped"),
    ("192.168.0.0", "192.168.255.255", "private"),
    ("198.18.0.0", "198.19.255.255", "benchmarking"),
    ("198.51.100.0", "198.51.100.255", "documentation"),
    ("203.0.113.0", "203.0.113.255", "documentation"),
    ("224.0.0.0", "239.255.255.255", "multicast"),
    ("240.0.0.0", "255.255.255.254", "reserved"),
    ("255.255.255.255", "255.255.255.255", "multicast"),
)
# The same, as hex of the first bytes; the rest is zeros for the first and ones for the last.
RANGES6 = (
    ("0" * 32, "0" * 32, "unspecified"),
    ("0" * 31 + "1", "0" * 31 + "1", "loopback"),
    ("0" * 24, "0" * 24, "wrapped"),  # IPv4-compatible; its two first addresses are the rows above
    ("0" * 20 + "ffff", "0" * 20 + "ffff", "wrapped"),
    ("0" * 16 + "ffff0000", "0" * 16 + "ffff0000", "wrapped"),
    ("0064ff9b0000000000000000", "0064ff9b0000000000000000", "wrapped"),
    ("0064ff9b0001", "0064ff9b0001", "wrapped"),
    ("0100000000000000", "0100000000000000", "reserved"),
    ("20010000", "20010000", "wrapped"),
    ("200100020000", "200100020000", "benchmarking"),
    ("2001000100000000", "20010001ffffffff", "reserved"),  # IETF protocols: what is beside Teredo and benchmarking
    ("200100020001", "200101ff", "reserved"),  # ORCHID, ORCHIDv2 and the rest
    ("20010db8", "20010db8", "documentation"),
    ("2002", "2002", "wrapped"),
    ("3fff0", "3fff0", "documentation"),
    ("fc", "fd", "private"),
    ("fe8", "feb", "link_local"),
    ("fec", "fef", "private"),
    ("ff", "ff", "multicast"),
    ("1", "1", "reserved"),
    ("4", "f7", "reserved"),
    ("5f00", "5f00", "reserved"),
)


def ip4(text: str) -> bytes:
    return bytes([int(part) for part in text.split(".")])


def ip6(text: str, filler: str) -> bytes:
    return bytes.fromhex(text + filler * (32 - len(text)))


def reason(ip: bytes) -> str:
    return Policy([], [], []).may_reach((ip, 5000))


def moved(ip: bytes, by: int) -> bytes:
    limit = 1 << 8 * len(ip)
    return ((int.from_bytes(ip, "big") + by) % limit).to_bytes(len(ip), "big")


def is_listed(ip: bytes) -> bool:
    for first, last, _ in RANGES:
        if len(ip) == 4 and ip4(first) <= ip <= ip4(last):
            return True
    for first, last, _ in RANGES6:
        if len(ip) == 16 and ip6(first, "0") <= ip <= ip6(last, "f"):
            return True
    return len(ip) == 16 and ip[0] >> 5 != 1


def test_ranges() -> None:
    """First, last, one before, one after."""
    for first, last, expected in RANGES:
        low, high = ip4(first), ip4(last)
        assert reason(low) == expected and reason(high) == expected, first
        for beside in (moved(low, -1), moved(high, 1)):
            assert (reason(beside) != "") == is_listed(beside), first


def test_ranges6() -> None:
    for first, last, expected in RANGES6:
        low, high = ip6(first, "0"), ip6(last, "f")
        if first != "0" * 24:
            assert reason(low) == expected, first
        assert reason(high) == expected, (first, reason(high))
        for beside in (moved(low, -1), moved(high, 1)):
            assert (reason(beside) != "") == is_listed(beside), (first, beside)


def test_neighbours_that_are_public() -> None:
    """So that the table refuses no more than it must."""
    for text in ("1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
                 "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0",
                 "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255"):  # fmt: skip
        assert reason(ip4(text)) == "", text
    for first in ("2000", "20010200", "20010db7", "20010db9", "2003", "2606", "3ffe", "3fff1"):
        assert reason(ip6(first, "0")) == "" and reason(ip6(first, "f")) == "", first


def test_private_in_other_clothes() -> None:
    """IPv4-mapped, -compatible, -translated, both NAT64, 6to4, Teredo, with private and with public addresses in them:
    IPv4 has one form here."""
    for inner in (b"\x0a\0\0\1", b"\x7f\0\0\1", b"\xc0\xa8\0\1", b"\xa9\xfe\xa9\xfe", PUBLIC):
        for wrapped in (
            bytes(10) + b"\xff\xff" + inner,
            bytes(12) + inner,
            bytes(8) + b"\xff\xff\0\0" + inner,
            b"\x00\x64\xff\x9b" + bytes(8) + inner,
            b"\x00\x64\xff\x9b\x00\x01" + inner[:2] + b"\0" + inner[2:] + bytes(5),
            b"\x20\x02" + inner + bytes(10),
            b"\x20\x01\0\0" + inner + bytes(8),
        ):
            assert reason(wrapped) == "wrapped", wrapped


def test_ports() -> None:
    policy = Policy([(b"\x0a\0\0\0", 8)], [], [])
    for port, expected in ((0, "low_port"), (1, "low_port"), (1023, "low_port"), (1024, ""), (65535, "")):
        assert policy.may_reach((PUBLIC, port)) == expected
    assert policy.may_reach((b"\x0a\0\0\1", 53)) == "", "the owner's list wins"
    assert policy.may_reach((b"\x0a\0\0\1", 0)) == "low_port", "but there is no port 0"
    assert policy.may_permit(PUBLIC) == ""


def test_allowed() -> None:
    """By exactly its prefix; over all but what is no single other host."""
    policy = Policy([(b"\xc0\xa8\x07\0", 24), (b"\xfd" + bytes(15), 9)], [(b"\xc0\xa8\0\0", 16)], [b"\xc0\xa8\x07\x01"])
    assert policy.may_reach((b"\xc0\xa8\x07\x00", 5000)) == "" and policy.may_reach((b"\xc0\xa8\x07\xff", 5000)) == ""
    assert policy.may_reach((b"\xc0\xa8\x06\xff", 5000)) == "private"
    assert policy.may_reach((b"\xc0\xa8\x08\x00", 5000)) == "private"
    assert policy.may_reach((b"\xfd\x7f" + bytes(14), 5000)) == ""
    assert policy.may_reach((b"\xfd\x80" + bytes(14), 5000)) == "private"
    assert policy.may_permit(b"\xc0\xa8\x07\x01") == ""
    policy = Policy(ALL, [], [])
    for table, size in ((NEVER4, 4), (NEVER6, 16)):
        for prefix, _, expected in table:
            ip = prefix + bytes(size - len(prefix))
            assert policy.may_reach((ip, 5000)) == expected == policy.may_permit(ip)
    for table, size in ((REFUSED4, 4), (REFUSED6, 16)):
        for prefix, _, _ in table:
            ip = prefix + bytes(size - len(prefix))
            if ip != bytes(16):
                assert policy.may_reach((ip, 5000)) == ""


def test_on_link_and_external() -> None:
    """Home networks have public IPv6: the neighbours are refused in both families, so is the router's own address."""
    prefix6 = b"\x26\x06\0\0\0\0\0\x07"
    policy = Policy([], [(b"\x05\x06\x07\x80", 25), (prefix6 + bytes(8), 64)], [b"\x05\x05\x05\x05", PUBLIC6])
    for ip, expected in (
        (b"\x05\x06\x07\x7f", ""),
        (b"\x05\x06\x07\x80", "on_link"),
        (b"\x05\x06\x07\xff", "on_link"),
        (b"\x05\x06\x08\x00", ""),
        (prefix6 + bytes(8), "on_link"),
        (prefix6 + b"\xff" * 8, "on_link"),
        (moved(prefix6 + bytes(8), -1), ""),
        (moved(prefix6 + b"\xff" * 8, 1), ""),
        (b"\x05\x05\x05\x05", "external"),
        (PUBLIC6, "external"),
    ):
        assert policy.may_reach((ip, 5000)) == expected == policy.may_permit(ip), ip


def test_the_home_is_wider_than_its_link() -> None:
    """Networks beside ours behind the same router: its /56, also where an interface has a /64 or a lone address."""
    mine = b"\x26\x06\0\0\0\0\x07\x22" + bytes(7) + b"\x05"
    for bits in (64, 128):
        policy = Policy([(mine[:7] + b"\x33" + bytes(8), 64)], [home(mine, bits)], [])
        for ip, expected in (
            (mine[:7] + bytes(9), "on_link"),
            (mine[:7] + b"\xff" * 9, "on_link"),
            (moved(mine[:7] + bytes(9), -1), ""),
            (moved(mine[:7] + b"\xff" * 9, 1), ""),
            (mine[:7] + b"\x33" + b"\1" * 8, ""),  # the owner's list wins
        ):
            assert policy.may_reach((ip, 5000)) == expected, (bits, ip)
    assert home(mine, 48) == (mine, 48)
    for ip, bits in ((b"\xfd" + bytes(15), 64), (bytes(15) + b"\1", 128), (PUBLIC, 24)):
        assert home(ip, bits) == (ip, bits), "only global unicast IPv6 is delegated"


def test_hairpin() -> None:
    """Our live relay addresses, also private ones, and nothing beside them."""
    policy = Policy([], [(b"\xc0\xa8\0\0", 16)], [b"\x05\x05\x05\x05"])
    for ip in (b"\x05\x05\x05\x05", b"\xc0\xa8\0\x02", b"\x7f\0\0\1"):
        policy.opened((ip, 50000))
        policy.opened((ip, 50001))
        assert policy.may_reach((ip, 50000)) == "" and policy.may_permit(ip) == "" and policy.is_own((ip, 50001))
        assert policy.may_reach((ip, 50002)) != "" and policy.may_reach((ip, 80)) != ""
        policy.closed((ip, 50000))
        assert policy.may_reach((ip, 50000)) != "" and policy.may_reach((ip, 50001)) == ""
        policy.closed((ip, 50001))
        assert policy.may_reach((ip, 50001)) != "" and policy.may_permit(ip) != ""
