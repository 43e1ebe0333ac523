"""Routers of this machine, from /proc/net/route. The same on both runtimes, and loaded only where a
router is asked for something."""

import struct

UP_AND_GATEWAY = 3


def gateways() -> list[tuple[str, str]]:
    """(interface, address) of the IPv4 default routes, the preferred one first."""
    try:
        with open("/proc/net/route") as file:
            return parse(list(file))
    except OSError:  # a kernel without IPv4
        return []


def parse(lines: list[str]) -> list[tuple[str, str]]:
    """Fields: interface, destination, gateway, flags, -, -, metric, mask; an address is a number as in memory."""
    found = []
    for line in lines[1:]:
        fields = line.split()
        if len(fields) > 7 and not int(fields[1] + fields[7], 16) and int(fields[3], 16) & 3 == UP_AND_GATEWAY:
            host = ".".join([str(each) for each in struct.pack("@I", int(fields[2], 16))])
            found.append((int(fields[6]), fields[0], host))
    return [(name, host) for _, name, host in sorted(found)]
