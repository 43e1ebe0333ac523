"""A TURN server in a cloud machine: its own address is private, its provider maps a public one to it, one to one."""

from pathlib import Path

from tests.e2e import needs
from tests.e2e.lan import run
from tests.e2e.relay.caller import Caller, Peer, indicated
from tests.e2e.relay.servers import Server, on_both
from tests.e2e.relay.wire import Wire

OWN, ROUTER, PUBLIC, PORT = "10.9.0.5", "10.9.0.1", "9.9.9.9", 3478
RULES = f"""
table ip nat {{
  chain output {{ type nat hook output priority -100; ip daddr {PUBLIC} dnat to {OWN}; }}
  chain input {{ type nat hook input priority 100; ip saddr {OWN} snat to {PUBLIC}; }}
}}
"""  # what the relay itself sends to PUBLIC is lost, as with most providers


@on_both
def test_clients_and_peers_see_the_public_address(tmp_path: Path, kind: str) -> None:
    """A peer outside, both ways; then two clients of this relay, by a channel and by a permission."""
    own = f"--listen {OWN}:{PORT} --relay-ip {PUBLIC}/{OWN}"
    with Wire() as wire:
        for where, link, host in (("home", wire.home_link, OWN), ("far", wire.far_link, ROUTER)):
            run("ip", "-n", wire.names[where], "addr", "add", host + "/24", "dev", link)
        run("ip", "-n", wire.names["home"], "route", "replace", "default", "via", ROUTER)
        run("ip", "-n", wire.names["far"], "route", "add", PUBLIC, "dev", wire.far_link)
        (tmp_path / "rules").write_text(RULES)
        run(*wire.words("far"), needs.program("nft", "nftables"), "-f", str(tmp_path / "rules"))
        wire.add("far", "8.8.8.8", "8.8.8.9")
        with Server(kind, tmp_path, own=own, before=wire.words("home")), wire.inside("far"):
            server = (PUBLIC, PORT)
            with (
                Caller(server, source="8.8.8.9") as one,
                Caller(server, source="8.8.8.9") as two,
                Peer("8.8.8.8") as peer,
            ):
                for caller in (one, two):
                    caller.allocate()
                    assert caller.relayed[0] == PUBLIC
                assert one.permit("8.8.8.8") == 0
                one.indicate(peer.address, b"up")
                assert peer.came(2) == (b"up", one.relayed)
                peer.send(b"down", one.relayed)
                assert indicated(one.came(2)) == (peer.address, b"down")
                assert one.channel(0x4001, two.relayed) == 0 and two.permit(PUBLIC) == 0
                one.frame(0x4001, b"hello")
                assert indicated(two.came(2)) == (one.relayed, b"hello")
                two.indicate(one.relayed, b"good day")
                assert one.came(2) == b"\x40\x01\0\x08good day"
                assert one.channel(0x4002, (PUBLIC, 5000)) == 403, "what else is at that address"
