"""Invariant: a decoder of pairing gives a value that encodes to its input again, or PeerError; a machine that is fed
anything raises only PeerError, answers a request with one frame, keeps one attempt, never counts down without a proof,
and takes no bundle but the one that was sent; a changed proof of possession is none.

Seeded; CORELET_FULL=1 runs FULL times as much with other seeds.
"""

import asyncio
import hashlib
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509 as library
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from agent import port
from agent.core.pairing import spake2plus
from agent.core.pairing.channel import proof_message
from agent.core.pairing.prover import Prover, check_proof, decode_info, encode_bundle
from agent.core.pairing.verifier import ATTEMPTS_MAX, Verifier
from agent.errors import PeerError, TrustError
from agent.wire import full_core, pairing, pairing_frames, shape, x509
from agent.wire.pairing_frames import ANSWERS, REQUESTS
from tests.unit.agent.core.pairing import bench, certificates
from tools.gateway.ca import CA, id_of
from tools.gateway.pairing import pairing as driver

FULL = 50
IS_FULL = os.environ.get("CORELET_FULL") == "1"
SEED = 20_000 if IS_FULL else 1
ECDSA = ec.ECDSA(hashes.SHA256())
codec, crypto = port.codec(), port.crypto()


def rounds(count: int) -> Iterator[random.Random]:
    for number in range(count * (FULL if IS_FULL else 1)):
        yield random.Random(SEED + number)  # noqa: S311


def mutate(seed: random.Random, data: bytes) -> bytes:
    """A few flips, cuts, repeats and insertions."""
    made = bytearray(data)
    for _ in range(seed.choice((1, 1, 1, 2, 5))):
        place = seed.randrange(len(made) + 1)
        kind = seed.randrange(5)
        if kind == 0 and made:
            made[place % len(made)] ^= 1 << seed.randrange(8)
        elif kind == 1 and made:
            made[place % len(made)] = seed.choice((0, 1, 0x17, 0x18, 0x1B, 0x40, 0x7F, 0x80, 0xFF))
        elif kind == 2:
            del made[place : place + seed.randrange(1, 9)]
        elif kind == 3:
            made[place:place] = made[: seed.randrange(20)]
        else:
            made[place:place] = seed.randbytes(seed.randrange(1, 9))
    return bytes(made)


def samples() -> list[tuple[bytes, Any]]:
    """Every frame of a real pairing."""
    device, core, frames = bench.verifier(), bench.prover(), []
    core.start(bench.NOW)
    for step in range(1, 5):
        if step == 4:
            core.deliver(bench.bundle(), bench.NOW)
        request = bench.sent(core)
        answer = bench.ask(device, request)
        core.receive(answer, "device", bench.NOW)
        frames += [(request, REQUESTS), (answer, ANSWERS)]
    frames.append((bench.ask(bench.verifier(), frames[2][0]), ANSWERS))  # a refusal
    return frames


def test_frames() -> None:
    """Invariant: what decode_frame takes, encode_frame gives back byte for byte."""
    frames = samples()
    for seed in rounds(4000):
        data, shapes = seed.choice(frames)
        data = mutate(seed, data) if seed.random() < 0.9 else seed.randbytes(seed.randrange(80))
        try:
            frame = pairing_frames.decode_frame(codec, data, shapes)
        except PeerError:
            continue
        assert pairing_frames.encode_frame(codec, frame.step, frame.session, frame.fields) == data


def test_sealed_maps() -> None:
    """Invariant: a bundle or an info that is taken fits its table, so it can be sent on and stored."""
    bundle = encode_bundle(codec, bench.bundle())
    info = pairing_frames.encode_info(codec, bench.info(), bytes(64))
    for seed in rounds(2000):
        try:
            taken = pairing_frames.decode_bundle(codec, mutate(seed, bundle))
        except PeerError:
            pass
        else:
            assert pairing_frames.decode_bundle(codec, encode_bundle(codec, taken)) == taken
            assert len(taken) == 8
        try:
            known, proof = decode_info(codec, mutate(seed, info))
        except PeerError:
            continue
        assert shape.is_plain(known.name) and len(known.key) == 65 and len(proof) == 64


def test_proof_of_possession_against_the_library() -> None:
    """Invariant: the library's HKDF and ECDSA take our proof, and check_proof takes no changed one."""
    for seed in rounds(20):
        shared, scalar = seed.randbytes(32), seed.randrange(1, spake2plus.ORDER)
        public = crypto.p256_public(scalar)
        exported = HKDF(hashes.SHA256(), 32, b"", b"corelet proof v1").derive(shared)
        message = b"corelet pair proof v1" + exported + public
        proof = crypto.ecdsa_sign(scalar, proof_message(crypto, shared, public))
        dss = encode_dss_signature(int.from_bytes(proof[:32], "big"), int.from_bytes(proof[32:], "big"))
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public).verify(dss, message, ECDSA)
        check_proof(crypto, shared, public, proof)
        changed = mutate(seed, proof)
        if changed != proof:
            with pytest.raises(TrustError):
                check_proof(crypto, shared, public, changed)


def test_codes_and_qr_texts() -> None:
    """Invariant: a code or QR text that is taken stands for one (discriminator, secret), else PeerError."""
    letters = pairing.ALPHABET + "OILU-  ab\u00e9\u0130\u00df\x00\n\x1b?&=:/"
    for seed in rounds(5000):
        number = (seed.getrandbits(10), seed.getrandbits(45))
        code = pairing.encode_code(*number)
        assert full_core.decode_code(code) == number
        typed = list(code)
        for _ in range(seed.randrange(4)):
            typed[seed.randrange(len(typed))] = seed.choice(letters)
        text = "".join(typed)
        for call, argument in ((full_core.decode_code, text), (full_core.decode_qr, "CORELET:" + text + "?h=a&p=1")):
            try:
                taken = call(argument)
            except PeerError as error:
                assert error.code in ("code", "qr")
                continue
            again = pairing.encode_code(*taken) if call is full_core.decode_code else taken[0]
            assert full_core.decode_code(again) == full_core.decode_code(text.partition("?")[0])


def test_derivation_equals_hashlib() -> None:
    """Invariant: (w0, w1) are PBKDF2 of RFC 9383 section 3.2, computed here with hashlib alone."""
    for seed in rounds(20):
        number = (seed.getrandbits(10), seed.getrandbits(45))
        salt, iterations = seed.randbytes(seed.randrange(16, 33)), seed.randrange(1000, 3000)
        text = pairing.encode_code(*number).replace("-", "").encode()
        stream = hashlib.pbkdf2_hmac("sha256", b"\x0c" + bytes(7) + text + bytes(16), salt, iterations, 80)
        expected = [int.from_bytes(half, "big") % spake2plus.ORDER for half in (stream[:40], stream[40:])]
        assert list(spake2plus.derive(crypto, pairing.password(*number), salt, iterations)) == expected


def test_certificates_against_the_library(tmp_path: Path) -> None:
    """Invariant: for a certificate of ours the three facts are the library's."""
    ca = CA(tmp_path)
    for seed in rounds(20):
        public = crypto.p256_public(seed.randrange(1, spake2plus.ORDER))
        der, _ = ca.issue_device(public, id_of(public))
        ours, theirs = x509.read_certificate(der), library.load_der_x509_certificate(der)
        r, s = decode_dss_signature(theirs.signature)
        assert ours == (theirs.tbs_certificate_bytes, public, r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def test_certificates() -> None:
    """Invariant: a certificate is read or PeerError("certificate"); one that was changed never verifies as ours."""
    good = x509.read_certificate(certificates.CERT_ONE)
    authority = x509.read_certificate(certificates.CA_ONE)
    for seed in rounds(3000):
        data = mutate(seed, certificates.CERT_ONE)
        try:
            read = x509.read_certificate(data)
        except PeerError as error:
            assert error.code == "certificate"
            continue
        if data != certificates.CERT_ONE and seed.random() < 0.2:
            assert read != good
            assert not crypto.ecdsa_verify(authority.public, read.signed, read.signature)


class Talk:
    """A verifier and a prover; what passes between them goes through `change`."""

    def __init__(self, change: Callable[[bytes], bytes]) -> None:
        self.change = change
        self.device, self.core = bench.verifier(), bench.prover()
        self.device_events: list[Any] = []
        self.core_events: list[Any] = []

    def receive(self, machine: Verifier | Prover, data: bytes, source: str) -> list[bytes]:
        try:
            machine.receive(data, source, bench.NOW)
        except PeerError:
            assert not machine.outgoing and not machine.events, "a refused frame had an effect"
        return [sent for sent, _ in machine.drain_outgoing()]

    def run(self) -> None:
        core, device = self.core, self.device
        core.start(bench.NOW)
        requests = [sent for sent, _ in core.drain_outgoing()]
        for _ in range(8):
            if not requests:
                break
            answers = self.receive(device, self.change(requests[-1]), "core")
            assert len(answers) <= 1
            self.device_events += device.drain_events()
            requests = self.receive(core, self.change(answers[0]), "device") if answers else []
            events = core.drain_events()
            self.core_events += events
            if "Described" in [type(event).__name__ for event in events]:
                core.deliver(bench.bundle(), bench.NOW)
                requests = [sent for sent, _ in core.drain_outgoing()]

    def check(self) -> None:
        """The counter went down only with a proof; only the true bundle arrived; both sides have one secret."""
        proofs = [event for event in self.device_events if type(event).__name__ == "Proven"]
        counts = [event.counters["attempts"] for event in self.device_events if type(event).__name__ == "Persist"]
        pending = [event for event in self.device_events if type(event).__name__ == "Pending"]
        delivered = [event for event in self.core_events if type(event).__name__ == "Delivered"]
        assert all(0 <= count <= ATTEMPTS_MAX for count in counts)
        assert counts.count(0) == len(proofs) <= 1 and len(pending) <= 1
        assert not pending or pending[0].bundle == bench.bundle()
        for event in delivered:
            assert pending and event.link_secret == pending[0].link_secret


@pytest.mark.parametrize("errors", [0, 1, 2])
def test_whole_pairings_with_changed_frames(errors: int) -> None:
    """Invariant: see Talk.check; without a change the pairing succeeds."""
    for seed in rounds(1 if errors == 0 else 60):
        places = [seed.randrange(8) for _ in range(errors)]
        count = iter(range(100))

        def change(data: bytes, seed: random.Random = seed, places: list[int] = places, count: Any = count) -> bytes:
            return mutate(seed, data) if next(count) in places else data

        talk = Talk(change)
        talk.run()
        talk.check()
        assert errors or type(talk.core_events[-1]).__name__ == "Delivered"


def test_random_requests_to_a_verifier() -> None:
    """Invariant: any sequence of well-formed requests leaves one attempt at most and never a bundle."""
    requests = [frame for frame, shapes in samples() if shapes is REQUESTS]
    for seed in rounds(20):
        device = bench.verifier()
        talk = Talk(lambda data: data)
        talk.device = device
        session = b""
        for _ in range(30):
            frame = pairing_frames.decode_frame(codec, seed.choice(requests), REQUESTS)
            if frame.step > 1:
                frame = frame._replace(session=session or bytes(8))
            data = pairing_frames.encode_frame(codec, frame.step, frame.session, frame.fields)
            answer = pairing_frames.decode_frame(codec, talk.receive(device, data, "core")[0], ANSWERS)
            session = answer.session if answer.step == 1 else session
            assert "Pending" not in bench.names(device)
            assert device.attempts <= ATTEMPTS_MAX


def test_http_answers() -> None:
    """Invariant: whatever answers, the driver gives a body of at most ANSWER_BYTES_MAX, PeerError, or no answer."""
    good = b"HTTP/1.1 200 OK\r\nContent-Type: application/cbor\r\nContent-Length: 5\r\n\r\nhello"

    async def read(data: bytes) -> bytes:
        reader = asyncio.StreamReader(limit=driver.HEAD_BYTES_MAX)
        reader.feed_data(data)
        reader.feed_eof()
        return await driver._read_answer(reader)

    for seed in rounds(500):
        try:
            assert len(asyncio.run(read(mutate(seed, good)))) <= driver.ANSWER_BYTES_MAX
        except (PeerError, EOFError, driver._Unanswered):
            continue
