"""A home behind a real router: `home` (the device), `router` (masquerading, Debian's miniupnpd), `outside` (a peer).
Namespaces that a test makes and removes; their addresses are never routed anywhere. Needs root.

Addresses outside must look public, or miniupnpd refuses to work: they are of a block that no namespace leads out of.
"""

import itertools
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

from tests.e2e import needs
from tests.e2e.lan import run
from tests.programs import Program, until

DEVICE, ROUTER, EXTERNAL, PEER = "192.168.7.2", "192.168.7.1", "11.22.33.1", "11.22.33.9"
DEVICE6, ROUTER6, EXTERNAL6, PEER6 = "2600:1:2:3::2", "2600:1:2:3::1", "2600:9::1", "2600:9::9"
METHODS = ("PCP", "NAT-PMP", "UPnP")
_numbers = itertools.count()

_CONFIG = """
ext_ifname={wan}
listening_ip={lan}
ipv6_disable={is_old}
http_port=0
enable_natpmp={pmp}
enable_upnp={upnp}
min_lifetime=2
max_lifetime=86400
secure_mode=yes
system_uptime=no
notify_interval=1800
minissdpdsocket={folder}/none.sock
upnp_table_name=filter
upnp_nat_table_name=filter
uuid=703ed8a9-5efd-45ee-8eb2-9fcd9bdbe77c
{rule}
deny 0-65535 0.0.0.0/0 0-65535
"""
_RULES = """
flush ruleset
table inet filter {{
  chain forward {{
    type filter hook forward priority 0; policy accept;
    jump miniupnpd
    ct state established,related accept
    iifname "{wan}" drop
  }}
  chain miniupnpd {{ }}
  chain prerouting {{ type nat hook prerouting priority -100; policy accept; jump prerouting_miniupnpd; }}
  chain postrouting {{
    type nat hook postrouting priority 100; policy accept;
    jump postrouting_miniupnpd
    oifname "{wan}" masquerade
  }}
  chain prerouting_miniupnpd {{ }}
  chain postrouting_miniupnpd {{ }}
  chain unserved {{ type filter hook input priority 0; policy accept; {unserved} }}
}}
"""


class Router:
    """`offers`: the methods that it serves. miniupnpd has one switch for PCP and NAT-PMP, so that the first byte of a
    datagram, the version, decides which of the two is let through."""

    def __init__(self, folder: Path) -> None:
        needs.root()
        self.nft = needs.program("nft", "nftables")
        self.miniupnpd = needs.program("miniupnpd", "miniupnpd-nftables")
        self.folder = folder
        mark = f"{os.getpid() % 100000}{next(_numbers)}"
        self.names = {each: f"ro{mark}{each}" for each in ("home", "router", "outside")}
        self.lan, self.wan = f"rl{mark}", f"rw{mark}"
        self.rule = "allow 1024-65535 192.168.7.0/24 1024-65535"  # else it maps nothing
        self._is_old = "yes"
        self._program: Program | None = None
        for name in self.names.values():
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        self.links = (f"rh{mark}", f"rp{mark}")  # at home, outside
        self._wire(("home", f"rh{mark}", DEVICE), ("router", self.lan, ROUTER))
        self._wire(("outside", f"rp{mark}", PEER), ("router", self.wan, EXTERNAL))
        run("ip", "-n", self.names["home"], "route", "add", "default", "via", ROUTER)
        run(*self.inside("router"), "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")

    def _wire(self, *ends: tuple[str, str, str]) -> None:
        """Two ends: namespace, interface, address."""
        (one, link, _), (other, peer, _) = ends
        run(
            "ip",
            "link",
            "add",
            link,
            "netns",
            self.names[one],
            "type",
            "veth",
            "peer",
            peer,
            "netns",
            self.names[other],
        )
        for where, name, own in ends:
            run("ip", "-n", self.names[where], "addr", "add", own + "/24", "dev", name)
            run("ip", "-n", self.names[where], "link", "set", name, "up")

    def inside(self, where: str) -> list[str]:
        return [needs.program("ip", "iproute2"), "netns", "exec", self.names[where]]

    def start(self, *offers: str) -> None:
        """As after power on: nothing is mapped."""
        self.filter(*offers)
        if not offers:
            return
        config = self.folder / "miniupnpd.conf"
        pmp, upnp = "PCP" in offers or "NAT-PMP" in offers, "UPnP" in offers
        names = {"pmp": "yes" if pmp else "no", "upnp": "yes" if upnp else "no"}
        config.write_text(
            _CONFIG.format(wan=self.wan, lan=self.lan, folder=self.folder, rule=self.rule, is_old=self._is_old, **names)
        )
        words = [self.miniupnpd, "-d", "-f", str(config), "-P", str(self.folder / "miniupnpd.pid")]
        self._program = Program("miniupnpd", self.inside("router") + words, self.folder)
        self._program.start()
        self._program.says("HTTP listening" if upnp else "Listening for NAT-PMP")

    def filter(self, *offers: str) -> None:
        """The packet filter alone, as new."""
        unserved = ""
        for version, method in ((2, "PCP"), (0, "NAT-PMP")):
            unserved += "" if method in offers else f"udp dport 5351 @th,64,8 {version} drop; "
        rules = self.folder / "rules.nft"
        rules.write_text(_RULES.format(wan=self.wan, unserved=unserved))
        run(*self.inside("router"), self.nft, "-f", str(rules))
        assert not self.mapped()

    def stop(self) -> None:
        if self._program is not None:
            self._program.stop(signal.SIGTERM)
            self._program = None

    def restart(self, *offers: str) -> None:
        self.stop()
        self.start(*offers)

    def add_ipv6(self) -> None:
        """Public addresses everywhere; the packet filter of above lets nothing in."""
        self._is_old = "no"
        hosts = (("home", self.links[0], DEVICE6), ("router", self.lan, ROUTER6))
        hosts += (("router", self.wan, EXTERNAL6), ("outside", self.links[1], PEER6))
        for where, link, host in hosts:
            run("ip", "-n", self.names[where], "addr", "add", host + "/64", "dev", link, "nodad")
        run(*self.inside("router"), "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/all/forwarding")
        words = ["-6", "-o", "addr", "show", "dev", self.lan, "scope", "link"]
        until(
            "its own", lambda: "fe80" in (text := run("ip", "-n", self.names["router"], *words)) and "tent" not in text
        )
        own = run("ip", "-n", self.names["router"], *words).split()[3].partition("/")[0]
        run("ip", "-n", self.names["home"], "route", "add", "default", "via", own, "dev", self.links[0])
        run("ip", "-n", self.names["outside"], "route", "add", "default", "via", EXTERNAL6)

    def pinholes(self) -> set[tuple[str, int]]:
        """(protocol, port) that the router's packet filter lets through to DEVICE6."""
        text = run(*self.inside("router"), self.nft, "list", "chain", "inet", "filter", "miniupnpd")
        own = socket.inet_pton(socket.AF_INET6, DEVICE6).hex()
        rows = re.findall(r"th dport (\d+) @nh,192,128 0x" + own + r" @nh,48,8 0x(\w+) accept", text)
        return {("udp" if int(number, 16) == 17 else "tcp", int(port)) for port, number in rows}

    def set_external(self, address: str) -> None:
        run("ip", "-n", self.names["router"], "addr", "flush", "dev", self.wan)
        run("ip", "-n", self.names["router"], "addr", "add", address + "/24", "dev", self.wan)

    def mapped(self) -> set[tuple[str, int, str]]:
        """(protocol, external port, "address:port") as the router's packet filter has them."""
        text = run(*self.inside("router"), self.nft, "list", "chain", "inet", "filter", "prerouting_miniupnpd")
        rows = re.findall(r"@nh,72,8 0x(\w+) th dport (\d+) dnat ip to (\S+)", text)
        return {("udp" if int(number, 16) == 17 else "tcp", int(port), to) for number, port, to in rows}

    def send(self, text: str, address: str, port: int) -> None:
        """One datagram from outside."""
        family = 10 if ":" in address else 2
        script = f"import socket; socket.socket({family}, 2).sendto({text.encode()!r}, ({address!r}, {port}))"
        run(*self.inside("outside"), "python3", "-c", script)

    def arrives(self, device: Program, text: str, address: str, port: int) -> None:
        """Sent again until it does: a mapping is told a moment before the rule stands."""

        def check() -> bool:
            self.send(text, address, port)
            return f"got {text}" in device.text

        until(f"{text} from outside", check)

    def close(self) -> None:
        self.stop()
        for name in self.names.values():
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
