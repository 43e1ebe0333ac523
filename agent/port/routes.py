"""Routers of this machine, from /proc/net/route and ipv6_route. The same on both runtimes, and loaded only where a
router is asked for something."""

import socket
import struct

UP_AND_GATEWAY = 3


def gateways(is_ipv6: bool = False) -> list[tuple[str, str]]:
    """(interface, address) of the default routes of one family, the preferred one first; link-local ones with their
    zone."""
    try:
        with open("/proc/net/ipv6_route" if is_ipv6 else "/proc/net/route") as file:
            return (parse6 if is_ipv6 else parse)(list(file))
    except OSError:  # a kernel without that family
        return []


def parse6(lines: list[str]) -> list[tuple[str, str]]:
    """Fields: destination, its length, source, its length, gateway, metric, -, -, flags, interface; all in hex."""
    found = []
    for line in lines:
        fields = line.split()
        if len(fields) > 9 and fields[1] == "00" and int(fields[8], 16) & 3 == UP_AND_GATEWAY:
            host = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(fields[4]))
            zone = "%" + fields[9] if fields[4][:3] == "fe8" else ""
            found.append((int(fields[5], 16), fields[9], host + zone))
    return [(name, host) for _, name, host in sorted(found)]


def parse(lines: list[str]) -> list[tuple[str, str]]:
    """Fields: interface, destination, gateway, flags, -, -, metric, mask; an address is a number as in memory."""
    found = []
    for line in lines[1:]:
        fields = line.split()
        if len(fields) > 7 and not int(fields[1] + fields[7], 16) and int(fields[3], 16) & 3 == UP_AND_GATEWAY:
            host = ".".join([str(each) for each in struct.pack("@I", int(fields[2], 16))])
            found.append((int(fields[6]), fields[0], host))
    return [(name, host) for _, name, host in sorted(found)]
