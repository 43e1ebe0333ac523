"""CONNECT of HTTP/1.1 (RFC 9110 section 9.3.6): a stream to a peer for who has credentials of the relay.

    relay.tunnel(head, client, now)              # a whole request head that begins with CONNECT
    relay.resolved(connection, ips, now)         # answer to Resolve; [] when the name has no address

Name and password come as Basic (RFC 7617), long-term or time-limited ones: with those the tunnel ends. Not here: other
methods, a second request after a refusal. Bounds: those of tcp.py, wire/http.py, HOST_BYTES_MAX.
"""

import binascii
from collections import namedtuple

from agent.core.relay.connections import Dial
from agent.core.relay.credentials import Refusal
from agent.core.relay.tcp import TcpRelay
from agent.errors import PeerError
from agent.wire import http, stun

if False:
    from agent.core.relay.connections import Connection
    from agent.core.relay.events import Client

HOST_BYTES_MAX = 253
HOST = b"-.:_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"

# The addresses of a name or a numeric address: answer resolved.
Resolve = namedtuple("Resolve", ("connection", "host"))


class TunnelRelay(TcpRelay):
    def tunnel(self, head: bytes, client: "Client", now: int) -> None:
        """A refusal in `outgoing` is the last that this client gets."""
        try:
            (user, username), host, port = self._read_connect(head)
            usage = self._table.usage(user, now)
            if self._excess(usage, None):
                raise Refusal(503, "There are too many connections.")
            if not self._peers.is_listed(port):
                self._miss("port_not_listed")
                raise Refusal(403, "The owner has not listed the port.")
        except PeerError as error:
            self._refuse_tunnel(error.number if isinstance(error, Refusal) else 400, client)
            return
        row = self._add(user, usage, (b"", port), now)
        row.client, row.username = client, username
        self.events.append(Resolve(row.number, host))

    def _read_connect(self, head: bytes) -> tuple[tuple[str, bytes], str, int]:
        """(user and name as sent, host, port). PeerError, Refusal with the status."""
        line, _, rest = head.partition(b"\r\n")
        words = line.split(b" ")
        parsed = http.parse_head(b"CONNECT / HTTP/1.1\r\n" + rest)
        if parsed is None or len(words) != 3 or words[2] != b"HTTP/1.1":
            raise Refusal(400, "It is no CONNECT.")
        host, _, digits = words[1].rpartition(b":")
        host = host[1:-1] if host[:1] == b"[" and host[-1:] == b"]" else host
        is_name = 0 < len(host) <= HOST_BYTES_MAX and not host.strip(HOST)
        if not is_name or not 0 < len(digits) <= 5 or digits.strip(http.DIGITS):
            raise Refusal(400, "CONNECT takes HOST:PORT.")
        scheme, _, value = parsed.headers.get("proxy-authorization", "").partition(" ")
        try:
            proof = binascii.a2b_base64(value.strip().encode()) if scheme.lower() == "basic" else b""
        except ValueError:
            proof = b""
        user = self._credentials.prove(proof, self._world.unix_time)
        return user, host.decode(), int(digits)

    def _refuse_tunnel(self, status: int, client: "Client") -> None:
        status = 407 if status == stun.UNAUTHENTICATED else status
        self._miss(str(status))
        headers = [("Connection", "close")]
        if status == 407:
            headers.append(("Proxy-Authenticate", 'Basic realm="relay"'))
        self.outgoing.append((http.encode_response(status, headers, 0), client))

    def resolved(self, connection: int, ips: list[bytes], now: int) -> None:
        row = self.connections.get(connection)
        if row is None:
            return
        reason = "unresolved"
        for ip in ips:
            peer = (ip, row.peer[1])
            is_offered = self._world.addresses(4 if len(ip) == 4 else 6, 0) is not None
            reason = self._peers.may_connect(peer) if is_offered else "family"
            if not reason:
                row.peer = peer
                self.events.append(Dial(0, connection, peer))
                return
        self._miss(reason)
        row.status = 403 if ips else 502
        self._end_connection(row)

    def connected(self, connection: int, now: int) -> None:
        TcpRelay.connected(self, connection, now)
        row = self.connections.get(connection)
        if row is not None and row.client is not None:
            self._do_join(row, row.client, ESTABLISHED)

    def client_gone(self, client: "Client", now: int) -> None:
        self._end_all([row for row in self.connections.values() if row.client == client and not row.is_joined])
        TcpRelay.client_gone(self, client, now)

    def _end_connection(self, row: "Connection") -> None:
        TcpRelay._end_connection(self, row)
        if row.client is not None and not row.is_joined:
            self._refuse_tunnel(row.status, row.client)
