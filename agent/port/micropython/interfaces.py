"""Addresses of this machine, from /proc: there is no getifaddrs. IPv4 of a point-to-point interface has no
route of its own that names it; it is listed with an empty name and prefix length 32."""

import socket
import struct

LOOPBACK_NET, LOOPBACK_MASK = 0x7F000000, 0xFF000000


def _lines(path: str) -> list[str]:
    try:
        with open(path) as file:
            return list(file)
    except OSError:  # a kernel without that family
        return []


def _number(host: str) -> int:
    parts = host.split(".")
    return int(parts[0]) << 24 | int(parts[1]) << 16 | int(parts[2]) << 8 | int(parts[3])


def _mask_bits(mask: int) -> int:
    bits = 0
    while mask & 0x80000000:
        mask = mask << 1 & 0xFFFFFFFF
        bits += 1
    return bits


def _swapped(text: str) -> int:
    """/proc/net/route prints the number as it lies in memory; network order lies big-endian."""
    return int.from_bytes(struct.pack("@I", int(text, 16)), "big")


def parse_routes(lines: list[str]) -> list[tuple[str, int, int]]:
    """(interface, network, mask) of /proc/net/route, without default routes."""
    routes = []
    for line in lines[1:]:
        fields = line.split()
        if len(fields) > 7 and int(fields[7], 16):
            routes.append((fields[0], _swapped(fields[1]), _swapped(fields[7])))
    return routes


def parse_locals(lines: list[str]) -> list[str]:
    """Addresses marked "/32 host LOCAL" in /proc/net/fib_trie, each once."""
    found: list[str] = []
    host = ""
    for line in lines:
        text = line.strip()
        if text.startswith("|-- "):
            host = text[4:]
        elif text.startswith("/32 host LOCAL") and host not in found:
            found.append(host)
    return found


def ipv4(locals_: list[str], routes: list[tuple[str, int, int]]) -> list[tuple[str, str, int]]:
    found = []
    for host in locals_:
        number = _number(host)
        if number & LOOPBACK_MASK == LOOPBACK_NET:
            found.append(("lo", host, 8))
            continue
        best = ("", 0, 0xFFFFFFFF)
        for route in routes:
            is_longer = best[0] == "" or route[2] > best[2]
            if number & route[2] == route[1] and is_longer and route[2] != 0xFFFFFFFF:
                best = route
        found.append((best[0], host, _mask_bits(best[2])))
    return found


def ipv6(lines: list[str]) -> list[tuple[str, str, int]]:
    """/proc/net/if_inet6: address, index, prefix length, scope, flags, name; numbers in hex."""
    found = []
    for line in lines:
        fields = line.split()
        if len(fields) == 6:
            host = socket.inet_ntop(socket.AF_INET6, bytes.fromhex(fields[0]))
            found.append((fields[5], host, int(fields[2], 16)))
    return found


def interfaces() -> list[tuple[str, str, int]]:
    """contract.Net.interfaces."""
    routes = parse_routes(_lines("/proc/net/route"))
    return ipv4(parse_locals(_lines("/proc/net/fib_trie")), routes) + ipv6(_lines("/proc/net/if_inet6"))
