"""UDP of CPython (contract.Datagrams): a few questions and answers. The relay's own datagrams are in datagrams.py."""

import asyncio
import contextlib
import socket

from agent.port import faults

DATAGRAM_BYTES_MAX = 2048


class Datagrams:
    """contract.Datagrams."""

    def __init__(self, host: str) -> None:
        self._sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.setblocking(False)
        try:
            self._sock.bind((host, 0))
        except OSError as error:
            self._sock.close()
            raise faults.net_fault(error, host) from error

    def send(self, data: bytes, host: str, port: int) -> None:
        with contextlib.suppress(OSError):
            self._sock.sendto(data, (host, port))

    async def receive(self) -> tuple[bytes, tuple[str, int]]:
        data, source = await asyncio.get_running_loop().sock_recvfrom(self._sock, DATAGRAM_BYTES_MAX)
        return data, (source[0].partition("%")[0], source[1])

    def close(self) -> None:
        self._sock.close()


def open(host: str) -> Datagrams:
    return Datagrams(host)
