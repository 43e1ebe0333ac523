"""Multicast DNS sockets of MicroPython's Unix port: one for each interface and family.

Each is bound to the group's address, so datagrams sent to this machine's own address never arrive: a query from
another network is not even seen (RFC 6762 section 11). Option numbers, because `socket` has no names for them.
"""

import errno
import socket
import struct

from agent.errors import PortError
from agent.port.micropython.streams import Waiter, sockaddr_of

PORT = 5353
GROUP_4 = b"\xe0\x00\x00\xfb"
GROUP_6 = b"\xff\x02" + b"\x00" * 13 + b"\xfb"
IP, IP_ADD_MEMBERSHIP, IP_MULTICAST_IF, IP_MULTICAST_TTL, IP_MULTICAST_ALL = 0, 35, 32, 33, 49
IPV6, IPV6_JOIN_GROUP, IPV6_V6ONLY, IPV6_MULTICAST_IF, IPV6_MULTICAST_HOPS = 41, 20, 26, 17, 18
HOPS = 255  # RFC 6762 section 11


def _index(interface: str) -> int:
    try:
        with open("/sys/class/net/" + interface + "/ifindex") as file:
            return int(file.read())
    except OSError:
        raise PortError("multicast", f"The interface {interface} has gone. It is tried again when it returns.")


class MulticastSocket:
    """The socket of one link."""

    def __init__(self, interface: str, own: bytes) -> None:
        self.index = _index(interface)
        self.is_4 = len(own) == 4
        self.group = sockaddr_of(GROUP_4 if self.is_4 else GROUP_6, PORT, self.index)
        self.sock = socket.socket(socket.AF_INET if self.is_4 else socket.AF_INET6, socket.SOCK_DGRAM)
        try:
            self._set_up(own)
        except OSError as error:
            self.sock.close()
            cause = "another program holds port 5353" if error.errno == errno.EADDRINUSE else f"error {error.errno}"
            text = f"The interface {interface} cannot take part in discovery ({cause}); add the device by address."
            raise PortError("port_busy" if error.errno == errno.EADDRINUSE else "multicast", text)
        self.waiter = Waiter(self.sock)

    def _set_up(self, own: bytes) -> None:
        sock = self.sock
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # SO_REUSEPORT has no name here; MIPS has its own numbers, which SOL_SOCKET tells.
        sock.setsockopt(socket.SOL_SOCKET, 15 if socket.SOL_SOCKET == 1 else 0x200, 1)
        if not self.is_4:
            sock.setsockopt(IPV6, IPV6_V6ONLY, 1)
        sock.bind(self.group)
        if self.is_4:
            sock.setsockopt(IP, IP_MULTICAST_ALL, 0)
            sock.setsockopt(IP, IP_ADD_MEMBERSHIP, GROUP_4 + own + struct.pack("@I", self.index))
            sock.setsockopt(IP, IP_MULTICAST_IF, GROUP_4 + own + struct.pack("@I", self.index))
            sock.setsockopt(IP, IP_MULTICAST_TTL, HOPS)
        else:
            sock.setsockopt(IPV6, IPV6_JOIN_GROUP, GROUP_6 + struct.pack("@I", self.index))
            sock.setsockopt(IPV6, IPV6_MULTICAST_IF, self.index)
            sock.setsockopt(IPV6, IPV6_MULTICAST_HOPS, HOPS)

    def send(self, data: bytes, address: bytes | None, port: int) -> None:
        """To the group for None. OSError when the network refuses."""
        self.sock.sendto(data, self.group if address is None else sockaddr_of(address, port, self.index))

    def close(self) -> None:
        self.waiter.wake()
        self.sock.close()
