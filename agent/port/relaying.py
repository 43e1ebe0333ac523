"""The relay's part of the port's contract (see contract.py): its data path. Read by people and type checkers; never
imported at run time.
"""

from typing import Any, Protocol

ClientKey = tuple[int, tuple[bytes, int], int]  # the fields of agent/core/relay/events.py Client
RelayAddress = tuple[bytes, int]


class RelayControl(Protocol):
    """What a pump drives: agent/service/relay.py. All calls come from the pump's thread, and may call it back."""

    wake_at: int | None

    def receive(self, data: bytes, key: ClientKey, now: int) -> None:
        """What no open channel took from a client: a STUN message, or junk."""

    def from_peer(self, relay: int, peer: RelayAddress, data: bytes, now: int) -> None:
        """What no open channel took from a peer."""

    def client_gone(self, key: ClientKey, now: int) -> None:
        """The TCP connection has ended."""

    def has_allocation(self, key: ClientKey) -> bool: ...
    def wake(self, now: int) -> None: ...


class Pump(Protocol):
    """The relay's data path: its sockets, and what open channels carry, without asking. Data that a socket does not
    take at once is dropped, as UDP does, and counted.

    `counters`: what was lost, by reason. `gate_up`, `gate_down`: None, or a function (relay, packets, payload_bytes)
    -> how many of `packets` may pass now, asked for each run of equal ones."""

    counters: dict[str, int]
    gate_up: Any
    gate_down: Any

    def run(self, control: RelayControl, on_report: Any) -> None:
        """Carry until stop(). In a program's main thread SIGTERM and SIGINT stop it and SIGUSR1 calls `on_report`,
        where the runtime has signals."""

    async def run_beside(self, control: RelayControl) -> None:
        """run() beside asyncio, in a thread of its own where the runtime has them; until stop() or cancelled."""

    def stop(self) -> None:
        """From any thread."""

    def call(self, function: Any) -> None:
        """From any thread: `function()` runs in the pump's, soon. LimitError("busy")."""

    def open_relay(self, relay: int, family: int, port: int) -> bool:
        """Bind a UDP socket; False when the port is taken or sockets are short."""

    def close_relay(self, relay: int) -> None:
        """With its channels; one that is not open is fine."""

    def open_channel(self, relay: int, number: int, peer: RelayAddress, key: ClientKey, usage: list[int]) -> None:
        """`usage`: row of its user, counted there: [-, packets up, bytes up, packets down, bytes down, ...]."""

    def close_channel(self, relay: int, number: int) -> None: ...
    def send(self, data: bytes, key: ClientKey) -> None: ...
    def send_to_peer(self, relay: int, peer: RelayAddress, data: bytes, dont_fragment: bool) -> None: ...


class PumpModule(Protocol):
    def open(self, options: Any) -> Pump:
        """`options`: agent/port/options.py PumpOptions. Binds the listeners; codes of Net."""

    def packed(self, host: str) -> bytes:
        """4 or 16 bytes of a numeric address; ValueError."""


class StreamControl(RelayControl, Protocol):
    """What streams drive too: agent/service/relay_streams.py, in the pump's thread."""

    def tunnel(self, head: bytes, key: ClientKey, now: int) -> None: ...
    def resolved(self, connection: int, ips: list[bytes], now: int) -> None: ...
    def accepted(self, number: int, peer: RelayAddress, now: int) -> int:
        """Number of the new connection, 0: close it."""

    def connected(self, connection: int, now: int) -> None: ...
    def failed(self, connection: int, now: int) -> None: ...
    def ended(self, connection: int, now: int) -> None: ...
    def arm(self) -> None:
        """`wake_at` of the streams has changed."""


class Streams(Protocol):
    """Sockets towards peers, and who is joined with whom. Nothing is dropped; a ceiling slows down."""

    wake_at: int | None

    def limit(self, up: Any, down: Any, rate_bps: int) -> None:
        """Shaper.take of both directions."""

    def tick(self, now: int) -> None:
        """While some are joined `wake_at` asks for it every few seconds."""

    def open_relay(self, relay: int, family: int, port: int) -> bool: ...
    def close_relay(self, relay: int) -> None: ...
    def dial(self, relay: int, connection: int, peer: RelayAddress) -> bool:
        """False: it fails at once; else connected or failed are called."""

    def resolve(self, connection: int, host: str) -> None: ...
    def join(self, connection: int, key: ClientKey, greeting: bytes, user: str, usage: list[int]) -> bool: ...
    def drop(self, connection: int) -> None:
        """One that is joined ends by a reset."""


class StreamsModule(Protocol):
    def open(self, pump: Any, control: Any) -> Streams: ...
    def secure(self, pump: Any, cert_path: str, key_path: str, tell: Any) -> str:
        """Clients may come over TLS too; the name in the certificate, "*" without one. `tell(text)`, in the pump's
        thread: the files were renewed, or are broken. PortError("tls")."""
