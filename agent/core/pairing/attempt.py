"""What a verifier remembers: the window that is open, the one attempt that is running, and who said hello.

Bound: HELLOS_MAX attempts that only said hello.
"""

from agent.core.pairing import spake2plus
from agent.core.pairing.channel import Channel
from agent.wire import pairing_frames
from agent.wire.pairing_frames import Step

if False:
    from typing import Any

    from agent.port import contract

HELLOS_MAX = 4
FREE_ATTEMPTS = 5
DELAY_MS = 1_000
DELAY_MS_MAX = 60_000


def delay_ms(attempts: int) -> int:
    """How long after the `attempts`-th wrong code the next one must wait."""
    if attempts < FREE_ATTEMPTS:
        return 0
    return min(DELAY_MS << (attempts - FREE_ATTEMPTS), DELAY_MS_MAX)


class Window:
    """One record in force, with what is made from it once."""

    def __init__(self, crypto: "contract.Crypto", record: pairing_frames.Record, ends_at: int) -> None:
        crypto.p256_multiply(1, record.point_l)  # a damaged record shows now, not as a guest's fault
        self.record = record
        self.record_id = crypto.sha256(record.salt + record.point_l)[:8]
        self.mask_m, self.mask_n = spake2plus.mask_points(crypto, record.w0)
        self.ends_at = ends_at


class Session:
    """One attempt. `step`: what must come next; `deadline`: by when."""

    def __init__(self, session_id: bytes, core: str, device: str, context: bytes, window: Window) -> None:
        self.id = session_id
        self.core = core
        self.device = device
        self.context = context
        self.window = window
        self.source: Any = ""  # where its hello came from: (host, port) or a text
        self.step = Step.SHARE
        self.deadline = 0
        self.request = b""
        self.answer = b""
        self.is_counted = False
        self.is_pending = False
        self.share_v = b""
        self.keys: spake2plus.Keys | None = None
        self.channel: Channel | None = None


class Hellos:
    """Attempts that only said hello, at most HELLOS_MAX. A hello costs its sender nothing, so it holds no place that
    others need: one of the host that has the most gives way, which one is chance. So a crowd on one host takes nothing
    from another host, and a crowd on many cannot make sure whose goes; a core whose own went says hello again."""

    def __init__(self) -> None:
        self._sessions: list[Session] = []

    def add(self, session: Session, source: "Any", chance: bytes) -> None:
        """`chance`: two random bytes."""
        session.source = source
        if len(self._sessions) >= HELLOS_MAX:
            hosts = [_host(each) for each in self._sessions]
            most = max([hosts.count(host) for host in hosts])
            crowd = [each for each, host in zip(self._sessions, hosts) if hosts.count(host) == most]  # noqa: B905
            self._sessions.remove(crowd[int.from_bytes(chance, "big") % len(crowd)])
        self._sessions.append(session)

    def remove(self, session: Session) -> None:
        self._sessions.remove(session)

    def clear(self) -> None:
        self._sessions = []

    def expire(self, now: int) -> None:
        self._sessions = [each for each in self._sessions if now < each.deadline]

    def find(self, session_id: bytes) -> "Session | None":
        for each in self._sessions:
            if each.id == session_id:
                return each
        return None

    def answer_to(self, request: bytes) -> "bytes | None":
        """What this very request was answered with."""
        for each in self._sessions:
            if each.request == request:
                return each.answer
        return None

    def deadlines(self) -> "list[int]":
        return [each.deadline for each in self._sessions]


def _host(session: Session) -> "Any":
    return session.source[0] if isinstance(session.source, tuple) else session.source
