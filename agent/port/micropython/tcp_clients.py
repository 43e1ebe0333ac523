"""Clients of the relay that come over TCP, on MicroPython (RFC 8656 section 3.1). For pump.py, which accepts them.

Bounds: of what a client does not read WAITING_BYTES_MAX wait beside one frame; then its data is dropped.
"""

import errno
import socket

from agent.errors import PeerError
from agent.port.micropython import clock
from agent.port.micropython.flows import HEAD_BYTES, READ_BYTES, Channel
from agent.wire import stun

if False:
    from agent.port import relaying
    from agent.port.micropython.pump import Pump

WAITING_BYTES_MAX = 4096


class TcpClient:
    """STUN and ChannelData, padded to 4, one after another. While something waits to be written data is dropped."""

    def __init__(self, sock: socket.socket, key: "relaying.ClientKey", pump: "Pump") -> None:
        self.socket = sock
        self.key = key
        self.way = self
        self.channels: dict[int, Channel] = {}
        self.idle_since = clock.now_ms()
        self._pump = pump
        self._rest = self._waiting = b""

    def write(self, data: bytearray, _: int, size: int) -> int | None:
        """A frame: whole, with its padding, or not at all; what the socket does not take of it waits."""
        if self._waiting:
            return None
        frame = bytes(memoryview(data)[:size]) + bytes(-size & 3)
        sent = self._sent(frame)
        if 0 < sent < len(frame):
            self._wait(frame[sent:])
        return sent or None

    def put(self, data: bytes, _: int, size: int) -> bool:
        """An answer waits its turn."""
        if len(self._waiting) + size > WAITING_BYTES_MAX:
            return False
        self._wait(self._waiting + data)
        self._flush()
        return True

    def _flush(self) -> None:
        sent = self._sent(self._waiting)
        if sent:
            self._wait(self._waiting[sent:])

    def _sent(self, data: bytes) -> int:
        try:
            return self.socket.write(data) or 0  # type: ignore[attr-defined]
        except OSError:  # its end is read soon
            return 0

    def _wait(self, data: bytes) -> None:
        if bool(data) != bool(self._waiting):
            self._pump.watch_writing(self.socket, bool(data))
        self._waiting = data

    def on_ready(self, _: int) -> None:
        if self._waiting:
            self._flush()
        try:
            data = self.socket.recv(READ_BYTES)
        except OSError as error:
            if error.errno == errno.EAGAIN:
                return
            data = b""
        try:
            self._rest = self._split(self._rest + data)
        except PeerError:
            self._pump.counters["tcp_malformed"] += 1
            data = b""
        if not data:
            self._pump.close_client(self)

    def _split(self, data: bytes) -> bytes:
        """Carry out all whole frames; the rest. PeerError("stun")."""
        at = 0
        while len(data) - at >= HEAD_BYTES:
            end = at + stun.frame_length(data[at : at + HEAD_BYTES])
            if end > len(data):
                break
            channel = self.channels.get(data[at] << 8 | data[at + 1])
            if channel is None:
                self._pump.control.receive(data[at:end], self.key, clock.now_ms())
            else:
                channel.up(data, at + HEAD_BYTES, data[at + 2] << 8 | data[at + 3])
            at = end
        return data[at:]
