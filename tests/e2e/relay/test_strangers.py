"""Who tries what is not theirs gets nothing: nonces, replays, quotas, forged sources, names that have expired.

The client is proven by the first test. Control: coturn's server.
"""

import socket
import struct
import time
from pathlib import Path

import pytest

from agent.core.relay.permissions import CHANNELS_MAX, PERMISSIONS_MAX
from tests.bench.relay.turn import ALLOCATE, LIFETIME, REFRESH, TRANSPORT, UDP, Account
from tests.e2e.relay.caller import ACCOUNT, Caller, Peer, indicated
from tests.e2e.relay.servers import HOST, REALM, Server, on_all, on_both, rest_credentials

NUMBER = 0x4001
REUSE = (socket.SO_REUSEADDR, socket.SO_REUSEPORT)
transports = pytest.mark.parametrize("is_tcp", (False, True), ids=("udp", "tcp"))


def is_heard(caller: Caller, peer: Peer) -> bool:
    """On its channel, both ways."""
    caller.frame(NUMBER, b"to the peer")
    data, relayed = peer.came(2)
    peer.send(b"to the client", relayed)
    return data == b"to the peer" and caller.came(2) == struct.pack("!HH", NUMBER, 13) + b"to the client"


@transports
@on_all
def test_the_client_itself(tmp_path: Path, kind: str, is_tcp: bool) -> None:
    with Server(kind, tmp_path) as server, Caller((HOST, server.port), is_tcp=is_tcp) as caller, Peer() as peer:
        caller.allocate()
        assert caller.permit(HOST) == 0
        caller.indicate(peer.address, b"hello")
        assert peer.came(2) == (b"hello", caller.relayed)
        peer.send(b"good day", caller.relayed)
        assert indicated(caller.came(2)) == (peer.address, b"good day")
        assert caller.channel(NUMBER, peer.address) == 0
        assert is_heard(caller, peer)
        assert caller.refresh(0) == 0
        caller.frame(NUMBER, b"too late")
        assert peer.came()[0] == b"" or kind == "coturn"  # which deletes a little later


@on_both
def test_a_nonce_is_ours_fresh_and_of_one_client(tmp_path: Path, kind: str) -> None:
    with Server(kind, tmp_path) as server, Caller((HOST, server.port)) as one, Caller((HOST, server.port)) as other:
        wanted = [(TRANSPORT, UDP)]
        nonce = one.learn()._nonce
        other.learn()
        for forged in (b"x", bytes(12), b"A" * 16, nonce[:-1] + b"?", nonce + nonce, b"\xff" * 200):
            assert one.put(one.request(ALLOCATE, wanted, forged)) == 438, forged
        assert other.put(other.request(ALLOCATE, wanted, nonce)) == 438
        assert one.put(one.request(ALLOCATE, wanted)) == 0
        assert server.report()["allocated"] == 1


@on_both
def test_a_replay_does_nothing(tmp_path: Path, kind: str) -> None:
    """From elsewhere it is refused; from the same place an Allocate is the same allocation."""
    with Server(kind, tmp_path) as server, Caller((HOST, server.port)) as caller, Peer() as peer:
        caller.learn()
        allocate = caller.request(ALLOCATE, [(TRANSPORT, UDP)])
        assert caller.put(allocate) == 0 and caller.put(allocate) == 0
        assert caller.channel(NUMBER, peer.address) == 0
        goodbye = caller.request(REFRESH, [(LIFETIME, bytes(4))])
        for source in (HOST, "127.0.0.7"):
            for is_tcp in (False, True):
                with Caller((HOST, server.port), source=source, is_tcp=is_tcp) as thief:
                    assert thief.put(allocate) == 438 and thief.put(goodbye) == 438
        assert is_heard(caller, peer)
        assert caller.put(goodbye) == 0
        assert caller.put(goodbye) == 437
        report = server.report()
        assert report["allocated"] == 1 and report["allocations"] == 0


@on_both
def test_allocations_of_a_user_and_of_all_have_an_end(tmp_path: Path, kind: str) -> None:
    with Server(kind, tmp_path, "--user-allocations 3 --allocations 5") as server:
        where = (HOST, server.port)
        accounts = [Account(*rest_credentials(int(time.time()) + 600, user), REALM) for user in ("ann", "ann", "bob")]
        mine = [Caller(where) for _ in range(4)]
        assert [each.code(ALLOCATE, [(TRANSPORT, UDP)]) for each in mine] == [0, 0, 0, 486]
        theirs = [Caller(where, account) for account in accounts]
        assert [each.code(ALLOCATE, [(TRANSPORT, UDP)]) for each in theirs] == [0, 0, 508]
        assert len(server.bound_ports()) == 6
        assert mine[0].refresh(0) == 0
        assert [each.code(ALLOCATE, [(TRANSPORT, UDP)]) for each in (theirs[2], mine[3])] == [0, 508]
        assert len(server.bound_ports()) == 6
        for caller in mine + theirs:
            caller.__exit__()


@on_both
def test_permissions_and_channels_have_an_end(tmp_path: Path, kind: str) -> None:
    """And what was there before works on."""
    with Server(kind, tmp_path) as server, Caller((HOST, server.port)) as caller, Peer() as peer:
        caller.allocate()
        assert caller.channel(NUMBER, peer.address) == 0
        permits = [caller.permit(f"127.1.0.{number}") for number in range(1, PERMISSIONS_MAX + 10)]
        assert permits[: PERMISSIONS_MAX - 1] == [0] * (PERMISSIONS_MAX - 1)
        assert set(permits[PERMISSIONS_MAX - 1 :]) == {508}
        channels = [caller.channel(NUMBER + number, (HOST, 2000 + number)) for number in range(1, CHANNELS_MAX + 10)]
        assert channels[: CHANNELS_MAX - 1] == [0] * (CHANNELS_MAX - 1)
        assert set(channels[CHANNELS_MAX - 1 :]) == {508}
        assert is_heard(caller, peer)


@transports
@on_both
def test_forged_sources(tmp_path: Path, kind: str, is_tcp: bool) -> None:
    with Server(kind, tmp_path) as server, Caller((HOST, server.port), is_tcp=is_tcp) as caller, Peer() as peer:
        caller.allocate()
        assert caller.channel(NUMBER, peer.address) == 0
        assert is_heard(caller, peer)
        with Peer("127.0.0.2") as stranger, Peer() as neighbour, Caller((HOST, server.port)) as thief:
            for _ in range(3):
                stranger.send(b"let me in", caller.relayed)
            assert caller.came() == b""
            # A permission is for a host: another port of it may speak, but never in the peer's name.
            neighbour.send(b"me too", caller.relayed)
            assert indicated(caller.came(2)) == (neighbour.address, b"me too")
            thief.frame(NUMBER, b"as if I were the client")
            thief.indicate(peer.address, b"as if I were the client")
            assert peer.came()[0] == b"" and thief.came() == b""
        assert is_heard(caller, peer)
        refused = server.report()["refused"]
        assert refused["no_permission"] == 3 and refused["no_allocation"] == 1


@on_both
def test_an_expired_name_is_worth_nothing(tmp_path: Path, kind: str) -> None:
    with Server(kind, tmp_path) as server, Peer() as peer:
        expiry = int(time.time()) + 2
        with Caller((HOST, server.port), Account(*rest_credentials(expiry), REALM)) as caller:
            caller.allocate()
            assert caller.refresh(600) == 0 and caller.channel(NUMBER, peer.address) == 0
            time.sleep(max(0.0, expiry + 0.1 - time.time()))
            assert caller.refresh(600) == 401
            assert caller.permit(HOST) == 401 and caller.channel(NUMBER + 1, peer.address) == 401
            with Caller((HOST, server.port), caller.account) as again:
                assert again.code(ALLOCATE, [(TRANSPORT, UDP)]) == 401


@on_both
def test_a_name_of_another_secret_is_worth_nothing(tmp_path: Path, kind: str) -> None:
    with Server(kind, tmp_path) as server:
        name, password = rest_credentials(int(time.time()) + 600)
        longer = str(int(name.partition(":")[0]) + 3600) + ":alice"
        foreign = rest_credentials(int(time.time()) + 600, secret="another")
        for account in (Account(longer, password, REALM), Account(*foreign, REALM), ACCOUNT._replace(password="guess")):
            with Caller((HOST, server.port), account) as caller:
                assert caller.code(ALLOCATE, [(TRANSPORT, UDP)]) == 401
        assert server.report()["allocated"] == 0


@on_both
def test_no_other_program_can_share_a_port_of_the_relay(tmp_path: Path, kind: str) -> None:
    """With clients and channels on sockets of their own, whatever the other one asks of the kernel."""
    with Server(kind, tmp_path) as server, Caller((HOST, server.port)) as caller, Peer() as one, Peer() as other:
        caller.allocate()
        for number, peer in ((NUMBER, one), (NUMBER + 1, other)):
            assert caller.channel(number, peer.address) == 0
        assert is_heard(caller, one)
        places = [(server.port, socket.SOCK_DGRAM), (server.port, socket.SOCK_STREAM)]
        for number, kind_ in [*places, (caller.relayed[1], socket.SOCK_DGRAM)]:
            for options in ((), (socket.SO_REUSEADDR,), (socket.SO_REUSEPORT,), REUSE):
                for host in (HOST, "0.0.0.0"):  # noqa: S104
                    with socket.socket(socket.AF_INET, kind_) as thief:
                        for option in options:
                            thief.setsockopt(socket.SOL_SOCKET, option, 1)
                        with pytest.raises(OSError, match="in use"):
                            thief.bind((host, number))
        assert is_heard(caller, one)
