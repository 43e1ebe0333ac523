"""Stands in front of zeroconf's sockets and drops, or changes, what should not reach it.

Datagrams from other networks (RFC 6762 section 11); responses that hold none of our words, because a device that only
announces needs no cache of its neighbourhood; and the QU bit of queries from this machine, because its processes
share port 5353 and a unicast answer may reach the wrong one (section 15.1).
"""

import asyncio
import ipaddress

if False:
    from typing import Any

HEADER_BYTES = 12
LINK_LOCAL = (ipaddress.ip_network("169.254.0.0/16"), ipaddress.ip_network("fe80::/10"))


class Neighbourhood:
    """Which hosts are on our links, and which words are ours."""

    def __init__(self, hears_all: bool) -> None:
        self._hears_all = hears_all
        self._words: list[bytes] = []
        self._own: set[str] = set()
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []

    def settle(self, interfaces: list[tuple[str, str, int]], labels: list[str]) -> None:
        """`labels`: DNS labels that our records contain; compression never splits one."""
        self._words = [label.encode().lower() for label in labels] + [b"_dns-sd"]
        self._own = {address for _, address, _ in interfaces}
        self._networks = [*LINK_LOCAL]
        for _, address, bits in interfaces:
            self._networks.append(ipaddress.ip_network(f"{address}/{bits}", strict=False))

    def admit(self, data: bytes, host: str) -> bytes:
        """The datagram as zeroconf may see it; b"" for not at all."""
        host = host.partition("%")[0].removeprefix("::ffff:")
        address = ipaddress.ip_address(host)
        if len(data) < HEADER_BYTES or not any(address in network for network in self._networks):
            return b""
        if data[2] & 0x80:
            lower = data.lower()
            return data if self._hears_all or any(word in lower for word in self._words) else b""
        return ask_group(data) if host in self._own else data


def ask_group(data: bytes) -> bytes:
    """The query with the QU bits of its questions cleared; a malformed one as it came."""
    out = bytearray(data)
    offset = HEADER_BYTES
    for _ in range(int.from_bytes(data[4:6], "big")):
        while offset < len(out) and 0 < out[offset] < 0x40:
            offset += 1 + out[offset]
        if offset >= len(out):
            return data
        offset += 2 if out[offset] >= 0xC0 else 1
        if offset + 4 > len(out):
            return data
        out[offset + 2] &= 0x7F
        offset += 4
    return bytes(out)


class Gate(asyncio.DatagramProtocol):
    """Takes the place of zeroconf's protocol on one socket. `owner` has `trouble`, a sentence."""

    def __init__(self, listener: "Any", place: Neighbourhood, owner: "Any") -> None:
        self._listener = listener
        self._place = place
        self._owner = owner

    def datagram_received(self, data: bytes, addr: "Any") -> None:
        admitted = self._place.admit(data, addr[0])
        if admitted:
            self._listener.datagram_received(admitted, addr)

    def error_received(self, exc: Exception) -> None:
        self._owner.trouble = f"Discovery cannot send on one of its interfaces ({exc}): has it a multicast route?"

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.connection_lost(exc)
