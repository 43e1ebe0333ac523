"""UDP of MicroPython's Unix port (contract.Datagrams): a few questions and answers."""

import errno
import socket

from agent.port import faults
from agent.port.micropython.streams import READ, Waiter, source_of

DATAGRAM_BYTES_MAX = 2048


class Datagrams:
    """contract.Datagrams."""

    def __init__(self, host: str) -> None:
        self._sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self._waiter = Waiter(self._sock)
        self._sock.setblocking(False)
        try:
            self._sock.bind(socket.getaddrinfo(host, 0)[0][-1])
        except OSError as error:
            self._sock.close()
            raise faults.net_fault(error, host)

    def send(self, data: bytes, host: str, port: int) -> None:
        try:
            self._sock.sendto(data, socket.getaddrinfo(host, port)[0][-1])
        except OSError:  # as a datagram that was lost
            return

    async def receive(self) -> tuple[bytes, tuple[str, int]]:
        while True:
            try:
                data, source = self._sock.recvfrom(DATAGRAM_BYTES_MAX)
                return data, source_of(source)
            except OSError as error:
                if error.errno != errno.EAGAIN:
                    raise faults.closed("The socket")
            await self._waiter.wait(READ)  # type: ignore[misc]

    def close(self) -> None:
        self._waiter.wake()
        self._sock.close()


def open(host: str) -> Datagrams:
    return Datagrams(host)
