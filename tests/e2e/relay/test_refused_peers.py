"""The relay never sends one byte to a refused peer, seen on the wire. The same watch sees all of them when allowed."""

import time
from pathlib import Path

from tests.e2e.lan import run
from tests.e2e.relay.caller import Caller, Peer
from tests.e2e.relay.servers import Server, hurried, on_both
from tests.e2e.relay.wire import FAR, HOME, Wire

PORT = 3478
PUBLIC = ("8.8.8.8", 5000)
ON_LINK = (FAR, 5001)
OWN_HOST = (HOME, 5011)
LOW = ("8.8.8.8", 53)
REFUSED = {
    "loopback": ("127.0.0.1", 5002),
    "private 10": ("10.1.2.3", 5003),
    "private 172": ("172.20.0.1", 5004),
    "private 192": ("192.168.1.1", 5005),
    "shared": ("100.64.0.1", 5006),
    "link local": ("169.254.169.254", 5007),
    "documentation": ("192.0.2.1", 5008),
    "benchmarking": ("198.18.0.1", 5009),
    "reserved": ("240.0.0.1", 5010),
    "our own host": OWN_HOST,
    "on link": ON_LINK,
    "a low port": LOW,
}
NEVER = {"multicast": ("224.0.0.251", 5353), "unspecified": ("0.0.0.0", 5012), "broadcast": ("255.255.255.255", 5013)}
OWN = f"--listen {HOME}:{PORT} --relay-ip {HOME}"


def try_all(wire: Wire, server: Server) -> "tuple[dict[str, tuple[int, int]], set[tuple[str, int]]]":
    """({name: codes of CreatePermission and ChannelBind}, where datagrams went)."""
    codes = {}
    with wire.sniffing("far", wire.far_link) as outside, wire.sniffing("home", "lo") as inside:
        for is_tcp in (False, True):
            with wire.inside("far"):
                caller = Caller((HOME, PORT), is_tcp=is_tcp)
            with caller:
                caller.allocate()
                assert caller.permit(PUBLIC[0]) == 0
                caller.indicate(PUBLIC, b"to a peer that is allowed")
                for number, (name, peer) in enumerate((REFUSED | NEVER).items()):
                    permit, bind = caller.permit(peer[0]), caller.channel(0x4001 + number, peer)
                    codes[name] = (permit, bind)
                    for _ in range(3):
                        caller.indicate(peer, b"let me look into your home")
                        caller.frame(0x4001 + number, b"let me look into your home")
                assert caller.refresh(0) == 0  # all before it has been looked at
    return codes, (outside | inside)


@on_both
def test_not_one_byte_goes_to_a_refused_peer(tmp_path: Path, kind: str) -> None:
    with Wire() as wire, Server(kind, tmp_path, own=OWN, before=wire.words("home")) as server:
        codes, seen = try_all(wire, server)
        # A permission is for all ports of a host, and some of these may be reached: 8.8.8.8:5000, our relay addresses.
        assert codes == {name: (0 if peer in (LOW, OWN_HOST) else 403, 403) for name, peer in (REFUSED | NEVER).items()}
        assert PUBLIC in seen  # the watch sees
        assert not seen & (set(REFUSED.values()) | set(NEVER.values())), seen
        hosts = {host for host, _ in seen - {PUBLIC}}
        assert hosts <= {FAR}, seen  # answers to the client
        refused = server.report()["refused"]
        assert refused["on_link"] and refused["private"] and refused["loopback"] and refused["low_port"], refused


@on_both
def test_the_watch_would_see_each_of_them(tmp_path: Path, kind: str) -> None:
    """With everything allowed: what the test above does not see was not sent."""
    allow = " --allow-peers 0.0.0.0/0"
    with Wire() as wire, Server(kind, tmp_path, own=OWN + allow, before=wire.words("home")) as server:
        codes, seen = try_all(wire, server)
        assert {name for name, pair in codes.items() if pair == (0, 0)} == set(REFUSED)
        assert set(REFUSED.values()) <= seen, set(REFUSED.values()) - seen
        assert not seen & set(NEVER.values()) and all(codes[name] == (403, 403) for name in NEVER)


@on_both
def test_a_network_that_becomes_ours_is_cut_off_though_the_client_asks_for_nothing(tmp_path: Path, kind: str) -> None:
    """A channel and a permission, both directions; the clock of the relay runs so that it looks twice a second."""
    with Wire() as wire, Server(kind, tmp_path, own=OWN, before=(*wire.words("home"), *hurried(60))):
        wire.add("far", "8.8.8.8", "8.8.8.9")
        with wire.inside("far"), Caller((HOME, PORT)) as caller, Peer("8.8.8.8") as one, Peer("8.8.8.9") as other:
            caller.allocate()
            assert caller.channel(0x4001, one.address) == 0 and caller.permit("8.8.8.9") == 0
            flows = [
                lambda: caller.frame(0x4001, b"up") or one.came()[0],
                lambda: caller.indicate(other.address, b"up") or other.came()[0],
                lambda: one.send(b"down", caller.relayed) or caller.came(),
                lambda: other.send(b"down", caller.relayed) or caller.came(),
            ]
            assert all(flow() for flow in flows), "before"
            run("ip", "-n", wire.names["home"], "addr", "add", "8.8.8.1/24", "dev", wire.home_link)
            time.sleep(1.5)
            assert [flow() for flow in flows] == [b""] * 4
            assert caller.permit("8.8.8.9") == 403
