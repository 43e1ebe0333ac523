"""TCP through the relay: curl and sockets by CONNECT, coturn's client by RFC 6062, both over TLS too.

Peers are on loopback, listed. A stream is whole or it breaks visibly; nothing is left behind.
"""

import base64
import hashlib
import os
import re
import socket
import ssl
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import needs
from tests.e2e.relay.servers import (
    HOST,
    LOOPBACK,
    PASSWORD,
    SECRET,
    USER,
    Server,
    hurried,
    make_certificate,
    rest_credentials,
)
from tests.programs import until

MIB = 1 << 20
BULK = os.urandom(MIB) * 64
SUM = hashlib.sha256(BULK).hexdigest()
LISTED = "--tcp-ports 1024-65535"
CYCLES = 1000


class Peer:
    """A TCP server of the test: `serve(connection)` for each."""

    def __init__(self, serve: object) -> None:
        self._serve = serve
        self._server = socket.create_server((HOST, 0))
        self.port = int(self._server.getsockname()[1])
        self.connections: list[socket.socket] = []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                made, _ = self._server.accept()
            except OSError:
                return
            self.connections.append(made)
            threading.Thread(target=self._serve, args=(made,), daemon=True).start()  # type: ignore[arg-type]

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        self._server.close()
        for made in self.connections:
            made.close()


def hold(_: socket.socket) -> None:
    """Say nothing."""


def echo_at_the_end(made: socket.socket) -> None:
    """Everything, once the client has said that it is done; then the end."""
    came = b""
    while data := made.recv(MIB):
        came += data
    made.sendall(came)
    made.close()


def give(made: socket.socket) -> None:
    """HTTP/1.0 for anybody who asks: BULK, or the sum of what is sent."""
    asked = b""
    while b"\r\n\r\n" not in asked:
        asked += made.recv(65536)
    head, _, body = asked.partition(b"\r\n\r\n")
    answer = BULK
    if head.startswith(b"PUT"):
        if b"100-continue" in head:
            made.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        digest, left = hashlib.sha256(body), len(BULK) - len(body)
        while left:
            data = made.recv(MIB)
            digest.update(data)
            left -= len(data)
        answer = digest.hexdigest().encode()
    made.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
    made.close()


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server("cpython", tmp_path_factory.mktemp("relay"), LISTED) as server:
        yield server


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def relay_tls(tmp_path_factory: pytest.TempPathFactory, certificate: tuple[Path, Path]) -> Iterator[Server]:
    cert, key = certificate
    words = f"{LISTED} --tls-cert {cert} --tls-key {key}"
    with Server("cpython", tmp_path_factory.mktemp("relay-tls"), words) as server:
        yield server


def curl(
    server: Server, url: str, *more: str, who: str = f"{USER}:{PASSWORD}", scheme: str = "http"
) -> tuple[int, bytes]:
    """(exit status, what came: BULK is told by its sum)."""
    proxy = f"{scheme}://{who}@{HOST}:{server.port}"
    command = [needs.program("curl"), "-sS", "--max-time", "60", "-p", "-x", proxy, *more, url]
    done = subprocess.run(command, capture_output=True, check=False)
    said = done.stdout if done.returncode == 0 else done.stderr
    return done.returncode, hashlib.sha256(said).hexdigest().encode() if len(said) == len(BULK) else said


def connect(server: Server, port: int, who: str = f"{USER}:{PASSWORD}") -> socket.socket:
    """A stream through the relay."""
    made = socket.create_connection((HOST, server.port), 20)
    proof = base64.b64encode(who.encode()).decode()
    head = f"CONNECT {HOST}:{port} HTTP/1.1\r\nHost: x\r\nProxy-Authorization: Basic {proof}\r\n\r\n"
    made.sendall(head.encode())
    said = b""
    while b"\r\n\r\n" not in said:
        data = made.recv(1)
        assert data, said
        said += data
    assert said.startswith(b"HTTP/1.1 200 "), said
    return made


def everything(sock: socket.socket) -> bytes:
    found = []
    while data := sock.recv(MIB):
        found.append(data)
    return b"".join(found)


def is_quiet(server: Server, before: int) -> bool:
    return server.descriptors() <= before


@pytest.mark.parametrize("host", (HOST, "localhost"))
def test_curl_gets_and_puts_64_mib(relay: Server, tmp_path: Path, host: str) -> None:
    body = tmp_path / "bulk"
    body.write_bytes(BULK)
    before = relay.descriptors()
    with Peer(give) as peer:
        assert curl(relay, f"http://{host}:{peer.port}/") == (0, SUM.encode())
        assert curl(relay, f"http://{host}:{peer.port}/", "-T", str(body)) == (0, SUM.encode())
    until("all closed", lambda: is_quiet(relay, before))


def test_time_limited_credentials(relay: Server) -> None:
    with Peer(give) as peer:
        for expiry, status in ((int(time.time()) + 60, 0), (int(time.time()) - 1, 56)):
            name, word = rest_credentials(expiry, secret=SECRET)
            found, said = curl(
                relay, f"http://{HOST}:{peer.port}/", who=f"{name.replace(':', '%3A')}:{word.replace('/', '%2F')}"
            )
            assert found == status and (status == 0 or b"407" in said), said


def test_a_stream_ends_with_its_credentials(tmp_path: Path) -> None:
    """By a reset, so that it does not look whole; one of a named user goes on."""
    with Server("cpython", tmp_path, LISTED, before=hurried(60)) as server, Peer(hold) as peer:
        name, word = rest_credentials(int(time.time()) + 200, secret=SECRET)
        with connect(server, peer.port) as lasting, connect(server, peer.port, f"{name}:{word}") as limited:
            limited.settimeout(20)
            with pytest.raises(ConnectionResetError):
                limited.recv(1)
            until("both peers", lambda: len(peer.connections) == 2)
            with pytest.raises(ConnectionResetError):
                peer.connections[1].recv(1)
            lasting.sendall(b"still here")
            assert peer.connections[0].recv(100) == b"still here"
        assert server.report()["users"]["alice"]["allocations"] == 0


def test_who_and_where_is_refused(relay: Server, tmp_path: Path) -> None:
    with Peer(hold) as peer:
        for who in (f"{USER}:wrong", "nobody:pass"):
            assert b"response 407" in curl(relay, f"http://{HOST}:{peer.port}/", who=who)[1]
        assert b"response 403" in curl(relay, f"http://{HOST}:22/")[1]
        assert b"response 403" in curl(relay, f"http://10.0.0.1:{peer.port}/")[1]
        assert b"response 403" in curl(relay, f"http://0.0.0.0:{peer.port}/")[1]
        assert b"response 502" in curl(relay, "http://no-such-name.invalid:8080/")[1]
        port = peer.port
    assert b"response 502" in curl(relay, f"http://{HOST}:{port}/")[1]
    with Peer(hold) as peer:
        for words, own in ((f"--tcp-ports {peer.port}", f"--relay-ip {HOST}"), ("", LOOPBACK)):
            with Server("cpython", tmp_path, words, own) as server:
                status, said = curl(server, f"http://{HOST}:{peer.port}/")
                assert status and (b"response 403" in said) == bool(words), (
                    said
                )  # else it is closed: there is no CONNECT
        assert not peer.connections


def test_half_closed_both_ways(relay: Server) -> None:
    before = relay.descriptors()
    for size in (0, 5, 300_000, 4 * MIB):
        with Peer(echo_at_the_end) as peer, connect(relay, peer.port) as client:
            client.sendall(BULK[:size])
            client.shutdown(socket.SHUT_WR)
            assert everything(client) == BULK[:size]
    until("all closed", lambda: is_quiet(relay, before))


def test_the_peer_may_end_first(relay: Server) -> None:
    with Peer(lambda made: made.shutdown(socket.SHUT_WR)) as peer, connect(relay, peer.port) as client:
        assert client.recv(10) == b""
        client.sendall(b"still here")
        assert peer.connections[0].recv(100) == b"still here"


def test_a_slow_reader_costs_no_memory(relay: Server) -> None:
    sent = []

    def pour(made: socket.socket) -> None:
        made.settimeout(60)
        for at in range(0, len(BULK), MIB):
            made.sendall(BULK[at : at + MIB])
            sent.append(at)
        made.close()

    before = relay.rss_kib()
    with Peer(pour) as peer, connect(relay, peer.port) as client:
        time.sleep(1)
        assert len(sent) < 32 and relay.rss_kib() < before + 4096
        assert hashlib.sha256(everything(client)).hexdigest() == SUM


def test_pipes_leave_descriptors_to_others(tmp_path: Path) -> None:
    """Of 28 that it may have, after those it keeps for itself; what has no pipe is carried all the same."""
    with Server("cpython", tmp_path, LISTED, before=(needs.program("prlimit"), "--nofile=92")) as server:
        before, digests = server.descriptors(), []

        def digest(made: socket.socket) -> None:
            came = hashlib.sha256()
            for _ in range(4 * MIB // 65536):
                came.update(made.recv(65536, socket.MSG_WAITALL))
            digests.append(came.hexdigest())

        with Peer(digest) as peer:
            clients = []
            for _ in range(9):
                clients.append(connect(server, peer.port))
                clients[-1].sendall(BULK[: 4 * MIB])
            until("all came", lambda: len(digests) == len(clients))
            assert set(digests) == {hashlib.sha256(BULK[: 4 * MIB]).hexdigest()}
            assert before + 2 * len(clients) < server.descriptors() <= before + 23  # 5 are before
            for client in clients:
                client.close()
        until("all closed", lambda: is_quiet(server, before))


def test_a_reset_is_passed_on(relay: Server) -> None:
    reset = struct.pack("ii", 1, 0)  # SO_LINGER
    before = relay.descriptors()
    with Peer(hold) as peer:
        client = connect(relay, peer.port)
        until("joined", lambda: peer.connections)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        client.close()
        peer.connections[0].settimeout(10)
        with pytest.raises(ConnectionResetError):
            peer.connections[0].recv(1)
    with Peer(hold) as peer, connect(relay, peer.port) as client:
        until("joined", lambda: peer.connections)
        peer.connections[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        peer.connections[0].close()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    until("all closed", lambda: is_quiet(relay, before))


def test_a_thousand_cycles_leave_nothing(relay: Server) -> None:
    with Peer(echo_at_the_end) as peer:
        before = relay.descriptors()
        for number in range(CYCLES):
            with connect(relay, peer.port) as client:
                if number % 2:
                    client.sendall(b"x")
                    client.shutdown(socket.SHUT_WR)
                    assert client.recv(10) == b"x"
        until("all closed", lambda: is_quiet(relay, before))


def test_the_ceiling_slows_down_and_loses_nothing(tmp_path: Path) -> None:
    """8 Mbit/s: 1 MB a second, headers in it."""
    size = 3_000_000

    def pour(made: socket.socket) -> None:
        made.sendall(BULK[:size])
        made.close()

    with Server("cpython", tmp_path, f"{LISTED} --rate 8000000") as server, Peer(pour) as peer:
        before, began = server.descriptors(), time.monotonic()
        with connect(server, peer.port) as client:
            assert everything(client) == BULK[:size]
        passed = time.monotonic() - began
        assert size * 8 / passed <= 8_000_000, passed
        assert passed < 6
        until("all closed", lambda: is_quiet(server, before))
        used = server.report()["users"][USER]
    assert used["bytes_down"] >= size and used["allocations"] == 0


def uclient(server: Server, words: str) -> str:
    more = f"-u {USER} -w {PASSWORD} -y -c -S -m 2 -l 160 -z 5 -p {server.port} {words} {HOST}"
    command = [needs.program("turnutils_uclient", "coturn"), *more.split()]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False, errors="replace").stdout


def test_coturns_client_over_tls(relay_tls: Server) -> None:
    """RFC 6062."""
    said = uclient(relay_tls, "-T -n 20")
    assert "Total lost packets 0 " in said, said[-500:]


def test_coturns_client_over_tls_sees_all_of_its_channels(relay_tls: Server) -> None:
    """It takes what one SSL_read gives for one message: it loses those behind the first, from coturn's server too (4 %
    there, 9 to 15 % here, where more of them share a record), and none else."""
    said = uclient(relay_tls, "-t -v -n 100 -z 20")  # 20 ms: on a busy machine fewer share a record
    sizes = [int(size) for size in re.findall(r"response received: size=(\d+)", said)]
    behind = sum(size // 164 - 1 for size in sizes if size % 164 == 0)
    assert f"Total lost packets {behind} " in said and sizes.count(164) > 100, said[-500:]


def test_tls(relay_tls: Server, certificate: tuple[Path, Path]) -> None:
    """A real client sees the certificate and TLS 1.2 or 1.3, and no older one."""
    openssl = needs.program("openssl")
    for flag, is_taken in (("-tls1_3", True), ("-tls1_2", True), ("-tls1_1", False)):
        where = (
            f"s_client -connect {HOST}:{relay_tls.port} -CAfile {certificate[0]} -brief -cipher ALL:@SECLEVEL=0 {flag}"
        )
        done = subprocess.run([openssl, *where.split()], input=b"", capture_output=True, check=False, timeout=20)
        assert (b"Verification: OK" in done.stderr) == is_taken, done.stderr
    before = relay_tls.descriptors()
    with Peer(give) as peer:
        trust = ("--proxy-cacert", str(certificate[0]))
        assert curl(relay_tls, f"http://{HOST}:{peer.port}/", *trust, scheme="https") == (0, SUM.encode())
    for junk in (b"\x16\x03\x01\xff\xff" + bytes(4000), b"\x16"):
        with socket.create_connection((HOST, relay_tls.port), 20) as client:
            client.sendall(junk)
            client.shutdown(socket.SHUT_WR)
            everything(client)
    until("all closed", lambda: is_quiet(relay_tls, before))


def test_a_renewed_certificate_is_taken_and_a_broken_one_is_not(tmp_path: Path) -> None:
    """ACME clients replace one file after the other."""
    (tmp_path / "new").mkdir()
    (cert, key), (new_cert, new_key) = make_certificate(tmp_path), make_certificate(tmp_path / "new")
    old, new = cert.read_text(), new_cert.read_text()
    with Server("cpython", tmp_path, f"--tls-cert {cert} --tls-key {key}") as server:

        def is_shown(wanted: str) -> bool:
            return ssl.get_server_certificate((HOST, server.port)).split() == wanted.split()

        assert is_shown(old)
        os.replace(new_cert, cert)
        assert is_shown(old) and is_shown(old) and server.text.count("stays the one before") == 1
        os.replace(new_key, key)
        assert is_shown(new) and "the renewed TLS certificate is in use" in server.text
        cert.write_text("no certificate")
        assert is_shown(new)
        cert.unlink()
        assert is_shown(new) and server.text.count("stays the one before") == 3


def test_micropython_says_no(tmp_path: Path) -> None:
    with Peer(hold) as peer, Server("micropython", tmp_path) as server:
        status, said = curl(server, f"http://{HOST}:{peer.port}/")
        assert status and b"200" not in said and not peer.connections
    with pytest.raises(AssertionError, match="only with CPython"), Server("micropython", tmp_path, LISTED):
        pass
