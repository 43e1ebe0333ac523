"""The core's side of a pairing (SPAKE2+ prover), as a machine.

    start(now)              hello leaves; params, shareV + confirmV, device info arrive
    deliver(bundle, now)    after event Described: send the certificate; event Delivered
    commit()                the device's link is up; else event RolledBack FAIL_SAFE_MS after Delivered

A frame without an answer is sent again every RESEND_MS until STEP_MS have passed; the verifier answers a
repeated frame without counting it. A device that is busy, or that has lost our hello among those of others, is asked
again with the same hello, for WAIT_MS_MAX. confirmV is checked before confirmP leaves, once: a second answer is never
tried, so that a false device gets one guess for each attempt of the user.

What it is not: HTTP or certificates (tools/gateway/pairing/pairing.py). Raises PeerError for bytes that are no
frame (nothing changes); what ends the attempt is an event Failed with a sentence for the user.
"""

from collections import namedtuple

from agent.core.machine import Machine
from agent.core.pairing import spake2plus
from agent.core.pairing.channel import Channel, abort_tag, link_secret, proof_message
from agent.core.pairing.verifier import CONTEXT, FAIL_SAFE_MS, STEP_MS
from agent.errors import PeerError, TrustError, UsageError
from agent.wire import pairing_frames
from agent.wire.pairing_frames import Info, Step
from agent.wire.shape import misfit

if False:
    from typing import Any

    from agent.port import contract

CROWDED_MS = 50  # before the next hello when others' have taken the place of ours; then twice that, and so on
CROWDED_MS_MAX = 200
RESEND_MS = 2_000
WAIT_MS_MAX = 120_000  # how long a busy device or its delay after wrong codes is waited for

Proven = namedtuple("Proven", ("attempts_left",))  # the device knows the code too
Described = namedtuple("Described", ("info",))  # pairing_frames.Info; now call deliver()
Delivered = namedtuple("Delivered", ("link_secret", "is_sure"))  # not sure: the answer never came, wait for the link
Waiting = namedtuple("Waiting", ("code", "text", "retry_s"))
RolledBack = namedtuple("RolledBack", ())
Failed = namedtuple("Failed", ("code", "text"))


class Prover(Machine):
    """One attempt with one device at `address`. `password`: agent/wire/pairing.py `password()` of the code."""

    def __init__(
        self, crypto: "contract.Crypto", codec: "contract.Codec", core: str, password: bytes, address: object
    ) -> None:
        super().__init__()
        self._crypto = crypto
        self._codec = codec
        self._core = core
        self._password = password
        self._address = address
        self._step = Step.REFUSED  # the step whose answer is awaited; REFUSED: none
        self._session = b""
        self._frame = b""
        self._hello = b""
        self._deadline = 0
        self._give_up_at = 0
        self._is_pending = False
        self._attempts_left = 0
        self._secrets: tuple[int, int, bytes] = (0, 0, b"")  # w0, w1, w0*N
        self._derived: tuple[bytes, int] = (b"", 0)  # what the secrets and the share were made of
        self._crowded_ms = CROWDED_MS
        self._x = 0
        self._share_p = b""
        self._agreed: spake2plus.Parties | None = None
        self._channel: Channel | None = None
        self._shared = b""

    def start(self, now: int) -> None:
        self._give_up_at = now + WAIT_MS_MAX
        self._send(Step.HELLO, [[pairing_frames.VERSION], self._core, self._crypto.entropy(16)], now)
        self._hello = self._frame

    def deliver(self, bundle: "dict[str, Any]", now: int) -> None:
        """UsageError("bundle") when the device would refuse it."""
        if self._channel is None or self._step != Step.REFUSED:
            raise UsageError("pairing", "deliver() comes after the event Described, once")
        data = encode_bundle(self._codec, bundle)
        self._send(Step.DELIVER, [self._channel.seal(Step.DELIVER, data)], now)

    def commit(self) -> bool:
        """The device's link is up. False when the fail-safe was faster."""
        was_pending, self._is_pending = self._is_pending, False
        self.wake_at = None
        return was_pending

    def abort(self) -> None:
        """Give up, and tell the device so that it need not wait for the step's end. No event."""
        if self._session != b"":
            tag = abort_tag(self._crypto, self._shared) if self._shared else b""
            frame = pairing_frames.encode_frame(self._codec, Step.ABORT, self._session, [tag])
            self.outgoing.append((frame, self._address))
        self._end()

    def wake(self, now: int) -> None:
        if self.wake_at is None or now < self.wake_at:
            return
        if self._is_pending:
            self._end()
            self.events.append(RolledBack())
        elif now >= self._deadline and self._step == Step.DELIVER:
            self._delivered(False, now)  # it may have arrived: only the link can tell
        elif now >= self._deadline:
            self._fail("timeout", "the device did not answer: check that it is on and on this network, then try again")
        else:
            self.outgoing.append((self._frame, self._address))
            self.wake_at = min(now + RESEND_MS, self._deadline)

    def receive(self, data: bytes, source: object, now: int) -> None:
        if source != self._address or self._step == Step.REFUSED:
            return
        frame = pairing_frames.decode_frame(self._codec, data, pairing_frames.ANSWERS)
        if frame.step == Step.REFUSED:
            if frame.fields[0] == self._step and frame.session == self._session:
                self._refused(frame.fields, now)
            return
        is_new = self._step == Step.HELLO or frame.session == self._session
        if frame.step != self._step or not is_new:
            return  # a late copy of an earlier answer
        try:
            self._advance(frame, data, now)
        except (PeerError, TrustError) as error:
            left = f" ({max(0, self._attempts_left - 1)} more tries)" if error.code == "code" else ""
            self._fail(error.code, error.text + left)

    def _send(self, step: int, fields: "list[Any]", now: int) -> None:
        self._frame = pairing_frames.encode_frame(self._codec, step, self._session, fields)
        self._step = step
        self._deadline = now + STEP_MS
        self.wake_at = now + RESEND_MS
        self.outgoing.append((self._frame, self._address))

    def _end(self) -> None:
        self._step = Step.REFUSED
        self._is_pending = False
        self._channel = None
        self.wake_at = None

    def _fail(self, code: str, text: str) -> None:
        self.abort()
        self.events.append(Failed(code, text))

    def _refused(self, fields: "list[Any]", now: int) -> None:
        _, code, text, retry_s = fields
        is_crowded = code == "session" and self._step == Step.SHARE  # others' hellos took the place of ours
        again_at = now + (self._crowded_ms if is_crowded else 1000 * max(1, retry_s))
        if is_crowded:
            self._crowded_ms = min(CROWDED_MS_MAX, 2 * self._crowded_ms)
        may_wait = code in ("busy", "wait") or is_crowded
        if may_wait and self._step in (Step.HELLO, Step.SHARE) and again_at < self._give_up_at:
            # The same hello: any answer to it, also a late one, binds what was really sent.
            self._step, self._session, self._frame = Step.HELLO, b"", self._hello
            self.wake_at = again_at
            self._deadline = again_at + STEP_MS
            self.events.append(Waiting(code, text, retry_s))
            return
        if code == "session" and self._step == Step.DELIVER:
            self._delivered(False, now)  # it was delivered, and that attempt ended well or badly since
            return
        self._fail(code, text)

    def _advance(self, frame: pairing_frames.Frame, data: bytes, now: int) -> None:
        if frame.step == Step.HELLO:
            self._share(frame, data, now)
        elif frame.step == Step.SHARE:
            self._confirm(frame.fields[0], frame.fields[1], now)
        elif frame.step == Step.CONFIRM:
            self._describe(frame.fields[0])
        elif frame.step == Step.DELIVER:
            assert self._channel is not None
            self._channel.open(Step.DELIVER, frame.fields[0])
            self._delivered(True, now)

    def _share(self, frame: pairing_frames.Frame, data: bytes, now: int) -> None:
        version, device, _, salt, iterations, self._attempts_left = frame.fields
        if version != pairing_frames.VERSION:
            raise PeerError("version", f"the device chose pairing version {version}, which was not offered: update it")
        crypto = self._crypto
        self._session = frame.session
        context = CONTEXT + crypto.sha256(self._hello + data)
        self._agreed = spake2plus.Parties(context, self._core.encode(), device.encode())
        # Made once: in a crowd what counts is how soon the share follows. It is only sent again when no
        # shareV came for it, so each x still meets one y at most.
        if self._derived != (salt, iterations):
            w0, w1 = spake2plus.derive(crypto, self._password, salt, iterations)
            mask_m, mask_n = spake2plus.mask_points(crypto, w0)
            self._secrets = (w0, w1, mask_n)
            self._x = spake2plus.fresh_scalar(crypto)
            self._share_p = spake2plus.blind(crypto, self._x, mask_m)
            self._derived = (salt, iterations)
        self._send(Step.SHARE, [self._share_p], now)

    def _confirm(self, share_v: bytes, confirm_v: bytes, now: int) -> None:
        crypto, (w0, w1, mask_n) = self._crypto, self._secrets
        points = prover_points(crypto, self._x, w1, share_v, mask_n)
        assert self._agreed is not None
        tt = spake2plus.transcript(self._agreed, (self._share_p, share_v), points, w0)
        keys = spake2plus.key_schedule(crypto, tt)
        spake2plus.check_confirm(crypto, spake2plus.confirm_verifier(crypto, keys, self._share_p), confirm_v)
        self._shared = keys.shared
        self._channel = Channel(crypto, keys.shared, False)
        self.events.append(Proven(self._attempts_left))
        self._send(Step.CONFIRM, [spake2plus.confirm_prover(crypto, keys, share_v)], now)

    def _describe(self, sealed: bytes) -> None:
        assert self._channel is not None
        info, proof = decode_info(self._codec, self._channel.open(Step.CONFIRM, sealed))
        check_proof(self._crypto, self._shared, info.key, proof)  # before a certificate is made for that key
        self._step = Step.REFUSED
        self.wake_at = None
        self.events.append(Described(info))

    def _delivered(self, is_sure: bool, now: int) -> None:
        secret = link_secret(self._crypto, self._shared)
        self._end()
        self._is_pending = True
        self.wake_at = now + FAIL_SAFE_MS
        self.events.append(Delivered(secret, is_sure))


def prover_points(crypto: "contract.Crypto", x: int, w1: int, share_v: bytes, mask_n: bytes) -> tuple[bytes, bytes]:
    """(Z, V) of the prover: Z = x*(shareV - w0*N), V = w1*(shareV - w0*N)."""
    bare = spake2plus.unblind(crypto, share_v, mask_n)
    return crypto.p256_multiply(x, bare), crypto.p256_multiply(w1, bare)


def check_proof(crypto: "contract.Crypto", shared: bytes, public65: bytes, proof: bytes) -> None:
    """TrustError("proof"): the device does not have the private key of the public key it names. PeerError("point")."""
    crypto.p256_multiply(1, public65)
    if not crypto.ecdsa_verify(public65, proof_message(crypto, shared, public65), proof):
        text = "the device did not prove that the key it names is its own, so it gets no certificate: do not trust it"
        raise TrustError("proof", text)


def decode_info(codec: "contract.Codec", data: bytes) -> "tuple[Info, bytes]":
    """(info, a signature by the key in it), to be checked by the caller. PeerError("cbor"), ("frame")."""
    value = pairing_frames.decode_map(codec, data, pairing_frames.INFO)
    info = Info(value["key"], value["profile"], value["board"], value["fw"], value["name"])
    return info, value["proof"]


def encode_bundle(codec: "contract.Codec", bundle: "dict[str, Any]") -> bytes:
    """UsageError("bundle") for what the device would refuse."""
    wrong = misfit(bundle, pairing_frames.BUNDLE)
    if wrong is not None:
        raise UsageError("bundle", f"'{wrong}' of the bundle for the device is missing or out of its range")
    return codec.encode({key: bundle[key] for key in pairing_frames.BUNDLE})
