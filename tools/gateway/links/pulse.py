"""A broker's health as its clients see it: one message of our own through it and back.

Uses an identity of its own (a fresh key that lives in memory only), because the core's "core" is busy elsewhere and a
second connection with it would end the first. Bounds: one connection, one message at a time, BEAT_S_MAX.
"""

import asyncio
import contextlib

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from agent.errors import CoreletError, PortError
from agent.port.cpython import link
from agent.port.options import LinkOptions
from agent.wire import envelope
from tools.gateway.ca import CA, id_of, point_of

BEAT_S_MAX = 5
KEEPALIVE_S = 120
PACKET_BYTES_MAX = 1024


class Pulse:
    """`identity`: common name of its certificate. `seconds`: the last round trip."""

    def __init__(self, ca: CA, address: tuple[str, int]) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        public = point_of(key.public_key())
        self.identity = id_of(public)
        self.seconds = 0.0
        self._topic = envelope.topic(self.identity, "dn", "pulse")
        self._count = 0
        self._one_at_a_time = asyncio.Lock()
        self._link: link.Link | None = None
        cert_der, _ = ca.issue_device(public, self.identity)
        key_der = key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        self._options = LinkOptions(
            address[0], address[1], ca.server_name, ca.ca_der, cert_der, key_der, self.identity, KEEPALIVE_S,
            "", b"", PACKET_BYTES_MAX,
        )  # fmt: skip

    def mosquitto_acl(self) -> str:
        return f"user {self.identity}\ntopic readwrite {self._topic}\n"

    async def beat(self) -> None:
        """Returns when the message came back; CoreletError otherwise."""
        async with self._one_at_a_time:
            if self._link is not None:
                # A connection that was lost since the last beat says nothing about the broker: ask on a new one.
                with contextlib.suppress(CoreletError):
                    await self._try()
                    return
            await self._try()

    async def _try(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(BEAT_S_MAX):
                await self._round_trip()
        except TimeoutError as error:
            await self.close()
            raise PortError("timeout", f"the broker did not return a message within {BEAT_S_MAX} s") from error
        except CoreletError:
            await self.close()
            raise
        self.seconds = loop.time() - began

    async def _round_trip(self) -> None:
        if self._link is None:
            self._link = link.open(self._options)
            await self._link.connect()
            await self._link.subscribe(self._topic)
        self._count += 1
        wanted = self._count.to_bytes(8, "big")
        await self._link.publish(self._topic, wanted, 1, False)
        while (await self._link.receive())[1] != wanted:
            """One that came late, after its own beat had given up."""

    async def close(self) -> None:
        connection, self._link = self._link, None
        if connection is not None:
            with contextlib.suppress(CoreletError):
                await connection.close()
