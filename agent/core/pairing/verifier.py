"""The device's side of a pairing (SPAKE2+ verifier), as a machine.

    open_window(record, is_owned, now)     hello, share, confirm, deliver arrive; answers leave
    commit(core, now)                      the link to the new core works; else it is rolled back after 60 s

Rules: one attempt at a time, STEP_MS for each step; an attempt takes the one place and counts from the moment
its share arrives (a mere hello blocks nobody), and the count is persisted (event Persist) before the answer
leaves, because that answer already lets the other side test one guess. FREE_ATTEMPTS wrong ones, then a
doubling delay; ATTEMPTS_MAX close the window.
A request that comes twice gets the same answer twice and counts once.
Not here: HTTP (agent/service/pairing.py), mathematics (spake2plus.py). PeerError for what is no frame; everything else
is refused with a frame of step 0.
"""

from collections import namedtuple

from agent.core.machine import Machine
from agent.core.pairing import spake2plus
from agent.core.pairing.attempt import Hellos, Session, Window, delay_ms
from agent.core.pairing.certificates import check_certificates
from agent.core.pairing.channel import Channel, abort_tag, link_secret, proof_message
from agent.errors import CoreletError, LimitError, PeerError, TrustError, UsageError
from agent.wire import pairing_frames
from agent.wire.pairing_frames import Step

if False:
    from typing import Any

    from agent.port import contract

WINDOW_MS = 15 * 60 * 1000
STEP_MS = 30_000
LOST_MS = 3_000  # a core that is linked and lost the last answer asks again at once; then the memory is free
FAIL_SAFE_MS = 60_000
ATTEMPTS_MAX = 20
CONTEXT = b"corelet-pair-v1"

# Of this device. `announced_id`: what discovery calls it now; `sign(message) -> signature`: by the key in `info`.
Own = namedtuple("Own", ("announced_id", "info", "sign"))

Persist = namedtuple("Persist", ("counters",))  # make this dict durable before anything is sent
WindowClosed = namedtuple("WindowClosed", ("reason",))  # expired, paired, attempts, owner
Proven = namedtuple("Proven", ("core",))  # that core knows the code
Pending = namedtuple("Pending", ("bundle", "link_secret"))  # try the link; commit() within FAIL_SAFE_MS
Committed = namedtuple("Committed", ("core",))
RolledBack = namedtuple("RolledBack", ("core",))
Refused = namedtuple("Refused", ("code", "source"))  # for the journal


class Verifier(Machine):
    """`counters`: what the last Persist said, or {}."""

    def __init__(
        self, crypto: "contract.Crypto", codec: "contract.Codec", own: Own, counters: "dict[str, Any]"
    ) -> None:
        super().__init__()
        self.crypto = crypto
        self.announced_id, self.info, self._sign = own
        self._codec = codec
        self._counters = counters
        self._window: Window | None = None
        self._session: Session | None = None  # its share has arrived
        self._hellos = Hellos()
        self._not_before = 0
        self._asked: tuple[int, bytes, Any] = (Step.HELLO, b"", "")  # step, session and source of the frame in hand

    @property
    def is_open(self) -> bool:
        return self._window is not None

    @property
    def pending_core(self) -> str | None:
        """Id of the core whose bundle waits for commit()."""
        return self._session.core if self._session is not None and self._session.is_pending else None

    @property
    def attempts(self) -> int:
        """Wrong codes so far with this record, an open attempt included."""
        count: int = self._counters.get("attempts", 0)
        return count

    def seconds_left(self, now: int) -> int:
        return max(0, self._window.ends_at - now + 999) // 1000 if self._window is not None else 0

    def open_window(self, record: pairing_frames.Record, is_owned: bool, now: int) -> None:
        """Accept attempts for WINDOW_MS. A window that is open gives way to the new one.

        UsageError("w0"), ("owned"); PeerError("point") for a damaged record; LimitError("attempts") when this
        record was guessed at too often, ("busy") while a pairing waits for its link.
        """
        if record.is_factory and is_owned:
            raise UsageError("owned", "the code on the label is closed while the board is owned: use a fresh code")
        if self.pending_core is not None:
            raise LimitError("busy", "a pairing is being completed: try again in a minute", FAIL_SAFE_MS // 1000)
        window = Window(self.crypto, record, now + WINDOW_MS)
        if self._counters.get("record") != window.record_id:
            self._counters = {"record": window.record_id, "attempts": 0}
        if self.attempts >= ATTEMPTS_MAX:
            raise LimitError("attempts", f"this code was guessed at {ATTEMPTS_MAX} times: reset the device")
        self._session = None
        self._hellos.clear()
        self._window = window
        self._not_before = now + delay_ms(self.attempts)
        self._arm()

    def close_window(self, now: int, reason: str = "owner") -> None:
        """No further attempts. A pairing that waits for its link is not ended."""
        if self._session is not None and self._session.step != Step.REFUSED and not self._session.is_pending:
            self._session = None
        self._hellos.clear()
        if self._window is not None:
            self._window = None
            self.events.append(WindowClosed(reason))
        self._arm()

    def commit(self, core: str, now: int) -> bool:
        """The link to `core` is bound: keep it. False when that core was not pending (any more)."""
        session = self._session
        if session is None or self.pending_core != core:
            return False
        session.is_pending = False
        session.step = Step.REFUSED  # only the lost answer may still be asked for
        session.deadline = now + LOST_MS
        self.events.append(Committed(core))
        self.close_window(now, "paired")  # with the window goes its record: a self-made code serves once
        return True

    def refuse(self, error: CoreletError, source: object, now: int) -> None:
        """The driver could not do what an event asked (disk full, too many cores): this attempt is over, and
        `error` leaves in place of its answer."""
        self._drop(now)
        self.outgoing = [(self._refusal(error), source)]
        self._arm()

    def wake(self, now: int) -> None:
        if self._session is not None and now >= self._session.deadline:
            self._drop(now)
        self._hellos.expire(now)
        if self._window is not None and now >= self._window.ends_at:
            self._window = None
            self.events.append(WindowClosed("expired"))
        self._arm()

    def receive(self, data: bytes, source: object, now: int) -> None:
        self.wake(now)
        frame = pairing_frames.decode_frame(self._codec, data, pairing_frames.REQUESTS)
        known = self._hellos.answer_to(data)
        if self._session is not None and data == self._session.request:
            known = self._session.answer
        if known is not None:
            self.outgoing.append((known, source))  # the answer was lost on the way: count nothing
            return
        self._asked = (frame.step, frame.session, source)
        try:
            answer = self._take(frame, data, now)
        except (PeerError, LimitError, TrustError) as error:
            self.events.append(Refused(error.code, source))
            answer = self._refusal(error)
        self.outgoing.append((answer, source))
        self._arm()

    def _refusal(self, error: CoreletError) -> bytes:
        step, session_id, _ = self._asked
        retry_s = error.retry_s if isinstance(error, LimitError) else 0
        fields = [step, error.code, error.text[: pairing_frames.REFUSAL_CHARS_MAX], retry_s]
        return pairing_frames.encode_frame(self._codec, Step.REFUSED, session_id, fields)

    def _arm(self) -> None:
        times = [part.ends_at for part in (self._window,) if part is not None]
        times += [part.deadline for part in (self._session,) if part is not None]
        times += self._hellos.deadlines()
        self.wake_at = min(times) if times else None

    def _drop(self, now: int) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        if session.is_pending:
            self.events.append(RolledBack(session.core))
        if session.is_counted:
            self._not_before = now + delay_ms(self.attempts)
            if self.attempts >= ATTEMPTS_MAX:
                self.close_window(now, "attempts")

    def _take(self, frame: pairing_frames.Frame, data: bytes, now: int) -> bytes:
        """The answer. What fails inside a running session ends it; a frame that belongs to none harms none."""
        if frame.step == Step.HELLO:
            session, answer = self._hello(frame, data, now)
            self._hellos.add(session, self._asked[2], self.crypto.entropy(2))
        else:
            session = self._find(frame.session)
            if frame.step == Step.ABORT:
                self._abort(session, frame.fields[0], now)
                return pairing_frames.encode_frame(self._codec, Step.ABORT, frame.session, [])
            if frame.step != session.step:
                raise PeerError("order", f"expected step {session.step} of the pairing, came {frame.step}")
            if frame.step == Step.SHARE:
                self._check_place(now)
                self._hellos.remove(session)
                self._session = session
            try:
                answer = self._advance(session, frame, now)
            except (PeerError, TrustError):
                self._drop(now)
                raise
        session.request, session.answer = data, answer
        session.deadline = now + (FAIL_SAFE_MS if session.is_pending else STEP_MS)
        return answer

    def _find(self, session_id: bytes) -> Session:
        session = self._session
        if session is None or session.id != session_id:
            session = self._hellos.find(session_id)
        if session is None:
            raise PeerError("session", "this pairing attempt is over: start again")
        return session

    def _abort(self, session: Session, tag: bytes, now: int) -> None:
        """Until the code is proven anybody may end an attempt; after that only the core that proved it."""
        if session is not self._session:
            self._hellos.remove(session)
            return
        if session.channel is not None and session.keys is not None:
            is_core = self.crypto.equal(abort_tag(self.crypto, session.keys.shared), tag)
            if not is_core:
                raise TrustError("abort", "only the core that proved the code can end this pairing: wait for its end")
        self._drop(now)

    def _check_place(self, now: int) -> None:
        """LimitError while another attempt runs or a delay does: at a hello, and again at the share, which counts."""
        if self._session is not None:
            wait_s = (self._session.deadline - now + 999) // 1000
            raise LimitError("busy", f"another pairing attempt is running: try again in {wait_s} s", wait_s)
        if now < self._not_before:
            wait_s = (self._not_before - now + 999) // 1000
            raise LimitError("wait", f"too many wrong codes: the next attempt is possible in {wait_s} s", wait_s)

    def _hello(self, frame: pairing_frames.Frame, data: bytes, now: int) -> tuple[Session, bytes]:
        window, versions, core = self._window, frame.fields[0], frame.fields[1]
        if window is None:
            raise PeerError("closed", "no pairing window is open: run 'corelet pair-window' on the device")
        self._check_place(now)
        if pairing_frames.VERSION not in versions:
            raise PeerError("version", "the core speaks none of this device's pairing versions (1): update one of them")
        session_id, nonce = self.crypto.entropy(8), self.crypto.entropy(16)
        left = ATTEMPTS_MAX - self.attempts
        fields = [pairing_frames.VERSION, self.announced_id, nonce, window.record.salt, window.record.iterations, left]
        answer = pairing_frames.encode_frame(self._codec, Step.HELLO, session_id, fields)
        context = CONTEXT + self.crypto.sha256(data + answer)  # both frames bind pv, ids, nonces and salt
        return Session(session_id, core, self.announced_id, context, window), answer

    def _advance(self, session: Session, frame: pairing_frames.Frame, now: int) -> bytes:
        if frame.step == Step.SHARE:
            fields = self._share(session, frame.fields[0])
            session.step = Step.CONFIRM
        elif frame.step == Step.CONFIRM:
            fields = [self._confirm(session, frame.fields[0])]
            session.step = Step.DELIVER
        else:
            fields = [self._deliver(session, frame.fields[0])]
            session.step = Step.REFUSED
        return pairing_frames.encode_frame(self._codec, frame.step, session.id, fields)

    def _count(self, difference: int) -> None:
        self._counters = {"record": self._counters.get("record", b""), "attempts": self.attempts + difference}
        self.events.append(Persist(self._counters))

    def _share(self, session: Session, share_p: bytes) -> "list[Any]":
        """[shareV, confirmV]. The attempt counts before anything is computed with the peer's point."""
        session.is_counted = True
        self._count(1)
        crypto, window = self.crypto, session.window
        y = spake2plus.fresh_scalar(crypto)
        session.share_v = spake2plus.blind(crypto, y, window.mask_n)
        points = spake2plus.verifier_points(crypto, y, share_p, window.mask_m, window.record.point_l)
        agreed = spake2plus.Parties(session.context, session.core.encode(), session.device.encode())
        tt = spake2plus.transcript(agreed, (share_p, session.share_v), points, window.record.w0)
        session.keys = spake2plus.key_schedule(crypto, tt)
        return [session.share_v, spake2plus.confirm_verifier(crypto, session.keys, share_p)]

    def _confirm(self, session: Session, confirm_p: bytes) -> bytes:
        """The sealed device info, for a core that has proven that it knows the code."""
        assert session.keys is not None
        expected = spake2plus.confirm_prover(self.crypto, session.keys, session.share_v)
        spake2plus.check_confirm(self.crypto, expected, confirm_p)
        session.is_counted = False
        self._count(-1)  # it was no wrong code
        self.events.append(Proven(session.core))
        session.channel = Channel(self.crypto, session.keys.shared, True)
        proof = self._sign(proof_message(self.crypto, session.keys.shared, self.info.key))
        return session.channel.seal(Step.CONFIRM, pairing_frames.encode_info(self._codec, self.info, proof))

    def _deliver(self, session: Session, sealed: bytes) -> bytes:
        assert session.keys is not None and session.channel is not None
        bundle = pairing_frames.decode_bundle(self._codec, session.channel.open(Step.DELIVER, sealed))
        check_certificates(self.crypto, bundle, session.core, self.info.key)
        session.is_pending = True
        self.events.append(Pending(bundle, link_secret(self.crypto, session.keys.shared)))
        return session.channel.seal(Step.DELIVER, self._codec.encode({"core": session.core}))
