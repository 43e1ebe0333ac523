"""amqtt in this process: the broker for a few devices where mosquitto is not installed. MQTT 3.1.1 only.

The same isolation as mosquitto: mutual TLS here (this listener, not amqtt's, which asks for certificates but does not
insist), then amqtt with two plugins behind a guard (amqtt_plugins.py). The revocation list is asked at every connection
and `forbid` cuts the live one, so nothing has to be reloaded.

Bounds: CONNECTIONS_MAX, and those of the door and of the guards.
"""

import asyncio
import logging
from typing import Any

from agent.errors import CoreletError, PortError
from tools.gateway.ca import CA
from tools.gateway.links import broker
from tools.gateway.links.door import Door

LOG = logging.getLogger("corelet.broker")
CONNECTIONS_MAX = 128
LISTENER = "default"


class Embedded:
    """broker.Broker."""

    kind = "embedded"
    banner = "embedded broker: MQTT 3.1.1 only, up to ~50 devices; install mosquitto with: apt install mosquitto"
    protocols: tuple[int, ...] = (4,)

    def __init__(self, ca: CA, host: str, port: int) -> None:
        self.rules = broker.Rules()
        self._ca = ca
        self._host = host
        self._port = port
        self._amqtt: Any = None
        self._door: Door | None = None
        self._live: dict[str, Any] = {}  # identity -> OutgoingGuard
        self._serials: dict[str, int] = {}  # identity -> of the certificate of its live connection
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        try:
            from amqtt.broker import Broker  # type: ignore[import-untyped, unused-ignore]
        except ImportError as error:
            text = f"the embedded broker needs the Python package {error.name}: pip install 'corelet[gateway]'"
            raise PortError("broker", text) from error
        logging.getLogger("amqtt").setLevel(logging.CRITICAL)  # it logs every refusal; ours are counted here
        logging.getLogger("transitions").setLevel(logging.CRITICAL)
        plugins = {
            f"tools.gateway.links.amqtt_plugins.{name}": {"rules": self.rules}
            for name in ("IdentityPlugin", "TopicPlugin")
        }
        self._amqtt = Broker({"listeners": {LISTENER: {"type": "external"}}, "plugins": plugins})
        await self._amqtt.start()
        sock = broker.listen(self._host, self._port)
        self._port = sock.getsockname()[1]
        self._door = Door(sock, self._ca, self._accept)

    async def stop(self) -> None:
        if self._door is not None:
            await self._door.close()
        for guard in list(self._live.values()):
            guard.abort()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        if self._amqtt is not None and self._amqtt.transitions.state == "started":
            await self._amqtt.shutdown()

    async def allow(self, *devices: str) -> None:
        self.rules.add(devices)

    async def forbid(self, device: str, *serials: int) -> None:
        self.rules.devices.discard(device)
        await self.revoke(*serials)
        self._cut(device)

    async def revoke(self, *serials: int) -> None:
        for serial in serials:
            self._ca.revoke(serial)
        for identity in [each for each, serial in self._serials.items() if serial in serials]:
            self._cut(identity)

    def endpoints(self) -> list[tuple[str, int]]:
        return broker.endpoints(self._host, self._port)

    def local(self) -> tuple[str, int]:
        return broker.local(self._host, self._port)

    def _cut(self, identity: str) -> None:
        """End its live connection; its will is not spoken: who is forgotten has no last word."""
        self._serials.pop(identity, None)
        guard = self._live.pop(identity, None)
        if guard is None:
            return
        session = self._amqtt.sessions.get(identity, (None, None))[0]
        if session is not None and not self.rules.is_known(identity):
            session.will_flag = False
        guard.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from tools.gateway.links.amqtt_plugins import IncomingGuard, OutgoingGuard

        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        identity = ""
        outgoing = None
        try:
            identity = self._admit(writer)
            self._cut(identity)  # a newer connection of the same identity ends the older one
            outgoing = OutgoingGuard(writer, identity, self.rules)
            self._live[identity] = outgoing
            self._serials[identity] = _serial_of(writer)
            incoming = IncomingGuard(reader, writer, identity, self.rules)
            await self._amqtt.external_connected(incoming, outgoing, LISTENER)
        except (CoreletError, OSError) as error:
            LOG.info("a connection was refused: %s", error)
        except asyncio.CancelledError:
            LOG.debug("a connection was ended by stop()")  # asyncio's streams would call it an error
        finally:
            self._connections.discard(task)
            if self._live.get(identity) is outgoing:
                self._live.pop(identity, None)
                self._serials.pop(identity, None)
            writer.close()

    def _admit(self, writer: asyncio.StreamWriter) -> str:
        """The identity of a certificate that was issued here, is not revoked and belongs to a device of this core."""
        if len(self._connections) > CONNECTIONS_MAX:
            raise PortError("busy", f"more than {CONNECTIONS_MAX} connections; install mosquitto")
        ssl_object = writer.get_extra_info("ssl_object")
        identity = self._ca.check(ssl_object.getpeercert(binary_form=True) or b"")
        if not self.rules.is_known(identity):
            raise PortError("not_authorised", f"{identity} does not belong to this core")
        return identity


def _serial_of(writer: asyncio.StreamWriter) -> int:
    """Of the peer's certificate."""
    return int(writer.get_extra_info("peercert")["serialNumber"], 16)
