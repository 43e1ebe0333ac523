"""A home network of namespaces that a test makes and removes: `a` (the device) and `b` (avahi, and a router) on one
wire, `c` behind `b` on another. Needs root; nothing of the host is touched.
"""

import itertools
import os
import subprocess
import time
from pathlib import Path

from tests.e2e import needs

REPOSITORY = Path(__file__).resolve().parents[2]
A, B, B_FAR, C = "10.77.0.1", "10.77.0.2", "10.78.0.2", "10.78.0.3"
_numbers = itertools.count()

# avahi with its own bus and its own /run. The daemon's word that it runs is its socket.
_AVAHI = """
mount -t tmpfs tmpfs /run
mkdir -p /run/dbus /run/avahi-daemon
dbus-daemon --system --fork --nopidfile --print-pid > /run/dbus/pid
printf '[server]\\nhost-name=gw\\nuse-ipv4=yes\\nuse-ipv6=yes\\nallow-interfaces=%s\\n' "$1" > /run/a.conf
avahi-daemon -f /run/a.conf --no-rlimits --no-drop-root --no-chroot --no-proc-title >/run/a.log 2>&1 & AVAHI=$!
trap 'kill $AVAHI $(cat /run/dbus/pid); exit 0' TERM INT
wait $AVAHI
"""


def run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=60, cwd=REPOSITORY).stdout


class Lan:
    """`names`: namespace of "a", "b", "c"; `link`: the device's interface in `a`."""

    def __init__(self) -> None:
        needs.root()
        needs.program("ip", "iproute2")
        mark = f"{os.getpid() % 100000}{next(_numbers)}"
        self.names = {each: f"h4{mark}{each}" for each in "abc"}
        self.link, self._b_link = f"va{mark}", f"vb{mark}"
        self._avahi: subprocess.Popen[bytes] | None = None
        for name in self.names.values():
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "set", "lo", "up")
        self._wire(("a", self.link, A), ("b", self._b_link, B))
        self._wire(("b", f"vr{mark}", B_FAR), ("c", f"vc{mark}", C))
        run("ip", "-n", self.names["a"], "route", "add", "default", "via", B)
        run("ip", "-n", self.names["c"], "route", "add", "default", "via", B_FAR)
        run(*self.inside("b"), "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")

    def _wire(self, *ends: tuple[str, str, str]) -> None:
        """Two ends: namespace, interface, address."""
        (one, link, _), (other, peer, _) = ends
        run("ip", "link", "add", link, "netns", self.names[one], "type", "veth", "peer", "name", peer)
        run("ip", "link", "set", peer, "netns", self.names[other])
        for where, name, own in ends:
            # Without duplicate address detection IPv6 is usable at once.
            disable = f"echo 0 > /proc/sys/net/ipv6/conf/{name}/accept_dad"
            subprocess.run([*self.inside(where), "sh", "-c", disable], check=False, capture_output=True)
            run("ip", "-n", self.names[where], "addr", "add", own + "/24", "dev", name)
            run("ip", "-n", self.names[where], "link", "set", name, "up")

    def inside(self, where: str) -> list[str]:
        return [needs.program("ip", "iproute2"), "netns", "exec", self.names[where]]

    def start(self, where: str, words: list[str], log: Path) -> "subprocess.Popen[bytes]":
        with log.open("wb") as file:
            return subprocess.Popen(self.inside(where) + words, cwd=REPOSITORY, stdout=file, stderr=file)

    def set_link(self, state: str) -> None:
        run("ip", "-n", self.names["a"], "link", "set", self.link, state)
        if state == "up":  # going down took the route away
            run("ip", "-n", self.names["a"], "route", "replace", "default", "via", B)

    def set_ipv4(self, is_on: bool) -> None:
        """The device's address of that family."""
        run("ip", "-n", self.names["a"], "addr", "add" if is_on else "del", A + "/24", "dev", self.link)
        if is_on:
            run("ip", "-n", self.names["a"], "route", "replace", "default", "via", B)

    def start_avahi(self, script: Path) -> None:
        for name, package in (("avahi-daemon", ""), ("avahi-browse", "avahi-utils"), ("dbus-daemon", "dbus")):
            needs.program(name, package)
        script.write_text(_AVAHI)
        words = [*self.inside("b"), "unshare", "-m", "sh", str(script), self._b_link]
        self._avahi = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while "gw.local" not in self.avahi("avahi-resolve", "-4", "-n", "gw.local", is_checked=False):
            assert time.monotonic() < deadline, "avahi did not start"
            time.sleep(0.2)

    def in_avahi(self) -> list[str]:
        """The words in front of a program that shall see this avahi."""
        assert self._avahi is not None
        return ["nsenter", "-t", str(self._avahi.pid), "-m", "-n"]

    def avahi(self, *words: str, is_checked: bool = True) -> str:
        done = subprocess.run([*self.in_avahi(), *words], check=False, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0 or not is_checked, done.stderr
        return done.stdout

    def close(self) -> None:
        if self._avahi is not None:
            self._avahi.terminate()
            self._avahi.wait(10)
        for name in self.names.values():
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
