"""The MQTT broker of a core: which kind, where it listens, whom it admits. Bodies: mosquitto.py, embedded.py.

    broker = open_broker("auto", folder, ca, host="", port=8883)
    await broker.start(); await broker.allow(device_id); await broker.forbid(device_id, serial); await broker.stop()

Who is who is the certificate's common name; what each may say is `rules`: a device writes its own `up` topics and
reads its own `dn` topics, the core has all of c1/, nobody else has anything. `forbid` returns when the device's live
session neither sends nor receives any more. Restarts, in the background, are the broker's own business.
"""

import socket
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from agent.errors import CoreletError, PortError, UsageError
from agent.port import faults, net
from agent.wire import envelope
from tools.gateway.ca import CA, CORE_NAME
from tools.gateway.private import write_private

ENDPOINTS_MAX = 8
PACKET_BYTES_MAX = 8192  # an envelope is 4,096 at most; the rest is topic and properties
ANYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 (names for "every address")


class Broker(Protocol):
    """`kind`: "mosquitto", "embedded" or the URL. `banner`: what the operator must know, "" when nothing.
    `protocols`: MQTT versions to try, 5 and 4 (3.1.1)."""

    kind: str
    banner: str
    protocols: tuple[int, ...]

    async def start(self) -> None:
        """Listening when it returns. PortError with one sentence: "port_busy", "denied", "broker", …"""

    async def stop(self) -> None: ...

    async def allow(self, *devices: str) -> None:
        """In force when it returns; give many at once."""

    async def forbid(self, device: str, *serials: int) -> None:
        """Revokes its certificates too; in force when it returns."""

    async def revoke(self, *serials: int) -> None:
        """The only way a certificate is revoked: a list that the broker has not read is worth nothing. In force when it
        returns, also for serials that are in the list already."""

    def endpoints(self) -> list[tuple[str, int]]:
        """Where devices reach it, numeric addresses first IPv4; at most ENDPOINTS_MAX."""

    def local(self) -> tuple[str, int]:
        """Where this process reaches it."""


def open_broker(kind: str, folder: Path, ca: CA, host: str, port: int) -> Broker:
    """`kind`: "auto" (mosquitto when installed), "mosquitto", "embedded", or mqtts://host:port. `port` 0 = any free."""
    from tools.gateway.links import embedded, mosquitto

    if kind == "auto":
        kind = "mosquitto" if mosquitto.find() else "embedded"
    if kind == "mosquitto":
        return mosquitto.Mosquitto(folder, ca, host, port)
    if kind == "embedded":
        return embedded.Embedded(ca, host, port)
    if kind.startswith("mqtts://"):
        return External(kind, folder, ca)
    text = f"expected --broker auto, mosquitto, embedded or mqtts://HOST:PORT, came {kind!r:.60}"
    raise UsageError("broker", text)


class Rules:
    """What each identity may write and read."""

    def __init__(self) -> None:
        self.devices: set[str] = set()

    def is_known(self, identity: str) -> bool:
        return identity == CORE_NAME or identity in self.devices

    def may_write(self, identity: str, topic: str) -> bool:
        return self._may(identity, topic, "up", envelope.UP_KINDS)

    def may_read(self, identity: str, topic: str) -> bool:
        return self._may(identity, topic, "dn", envelope.DN_KINDS)

    def may_subscribe(self, identity: str, topic_filter: str) -> bool:
        """Exact topics for a device: no filter of its own can match another's, whatever the broker does with it."""
        if identity == CORE_NAME:
            return topic_filter.startswith(envelope.TOPIC_ROOT + "/")
        return self.may_read(identity, topic_filter)

    def _may(self, identity: str, topic: str, direction: str, kinds: tuple[str, ...]) -> bool:
        if identity == CORE_NAME:
            return topic.startswith(envelope.TOPIC_ROOT + "/")
        return identity in self.devices and topic in [envelope.topic(identity, direction, kind) for kind in kinds]

    def mosquitto_acl(self, more: str = "") -> str:
        """mosquitto's acl_file: one block per identity; what has no block has no rights."""
        blocks = [f"user {CORE_NAME}\ntopic readwrite {envelope.TOPIC_ROOT}/#\n", more]
        for device in sorted(self.devices):
            lines = [f"user {device}"]
            lines += [f"topic write {envelope.topic(device, 'up', kind)}" for kind in envelope.UP_KINDS]
            lines += [f"topic read {envelope.topic(device, 'dn', kind)}" for kind in envelope.DN_KINDS]
            blocks.append("\n".join(lines) + "\n")
        return "\n".join(block for block in blocks if block)

    def add(self, devices: tuple[str, ...]) -> None:
        for device in devices:
            if not envelope.is_device(device):
                raise UsageError("device", f"expected a device id of 16 hex digits, came {device!r:.40}")
        self.devices.update(devices)


class External:
    """Somebody else's broker. This core can write down what it should be told, but cannot tell it."""

    def __init__(self, url: str, folder: Path, ca: CA) -> None:
        parts = urlsplit(url)
        try:
            port = parts.port or 8883
        except ValueError as error:
            raise UsageError("broker", f"expected mqtts://HOST:PORT, came {url!r:.80}") from error
        if not parts.hostname or parts.path not in ("", "/") or parts.username or parts.query:
            raise UsageError("broker", f"expected mqtts://HOST:PORT and nothing else, came {url!r:.80}")
        self.kind = f"mqtts://{parts.hostname}:{port}"
        self.protocols: tuple[int, ...] = (5, 4)
        self.rules = Rules()
        self._endpoint = (parts.hostname, port)
        self._folder = folder
        self._ca = ca
        self.banner = (
            f"external broker {self.kind}: this core cannot manage its access lists; give it the files in {folder} "
            "(server.pem, server.key, ca.pem, crl.pem, acl) and reload it after every pairing and every forget"
        )

    async def start(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not (self._folder / "server.key").exists():
                cert, key = self._ca.issue_server([self._ca.server_name])
                write_private(self._folder / "server.pem", cert)
                write_private(self._folder / "server.key", key)
            self._write_lists()
        except OSError as error:
            raise faults.file_fault(error, str(self._folder)) from error

    async def stop(self) -> None:
        """Nothing of ours runs."""

    async def allow(self, *devices: str) -> None:
        self.rules.add(devices)
        self._write_lists()

    async def forbid(self, device: str, *serials: int) -> None:
        """Written down; in force when the operator has reloaded that broker (the banner says so)."""
        self.rules.devices.discard(device)
        await self.revoke(*serials)

    async def revoke(self, *serials: int) -> None:
        for serial in serials:
            self._ca.revoke(serial)
        self._write_lists()

    def endpoints(self) -> list[tuple[str, int]]:
        return [self._endpoint]

    def local(self) -> tuple[str, int]:
        return self._endpoint

    def _write_lists(self) -> None:
        write_private(self._folder / "ca.pem", self._ca.ca_pem)
        write_private(self._folder / "crl.pem", self._ca.crl_pem())
        write_private(self._folder / "acl", self.rules.mosquitto_acl().encode())


def endpoints(host: str, port: int) -> list[tuple[str, int]]:
    """`host` itself, or for every address those of the interfaces; loopback only when there is nothing else."""
    if host not in ANYWHERE:
        return [(host, port)]
    found = [(name, address) for name, address, _ in net.interfaces() if not address.startswith("fe80:")]
    outside = [address for name, address in found if name != "lo"]
    chosen = sorted(outside or ["127.0.0.1"], key=lambda address: (":" in address, address))
    return [(address, port) for address in chosen[:ENDPOINTS_MAX]]


def local(host: str, port: int) -> tuple[str, int]:
    return ("127.0.0.1" if host in ANYWHERE else host, port)


def free_port(host: str, port: int) -> int:
    """`port`, or any free one for 0. PortError as `listen`."""
    with listen(host, port) as server:
        number: int = server.getsockname()[1]
    return number


def listen(host: str, port: int) -> socket.socket:
    """On `port`, or any free one for 0. PortError("port_busy"/"denied"/"unreachable") in one sentence."""
    try:
        if host not in ANYWHERE:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            return socket.create_server((host, port), family=family)
        if socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server(("", port))
    except OSError as error:
        fault: CoreletError = faults.net_fault(error, f"Port {port}" + (f" on {host}" if host else ""))
        if fault.code == "port_busy":
            where = f"port {port}" + (f" on {host}" if host else "")
            text = f"{where} is used by another program, perhaps another broker: stop it or choose another with --port"
            fault = PortError("port_busy", text)
        raise fault from error
