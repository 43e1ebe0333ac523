"""A verifier and a prover on one table: frames are carried by hand, so that a test can drop, change or repeat them."""

from tests.unit.agent.core.pairing.bodies import codec, crypto

# isort: split

from agent.core.pairing import spake2plus
from agent.core.pairing.prover import Prover
from agent.core.pairing.verifier import Own, Verifier
from agent.wire import pairing, pairing_frames
from tests.unit.agent.core.pairing import certificates

CORE = certificates.CORE_ONE
CODE = (517, 0x123456789AB)
WRONG_CODE = (517, 0x123456789AC)
SALT = bytes(range(16))
NOW = 1_000_000

made: list = []  # the record, derived once: PBKDF2 is the slow part


def record(is_factory: bool = False) -> pairing_frames.Record:
    if not made:
        w0, w1 = spake2plus.derive(crypto, pairing.password(*CODE), SALT, 1000)
        made.append((w0, crypto.p256_public(w1)))
    w0, point_l = made[0]
    return pairing_frames.Record(CODE[0], SALT, 1000, w0, point_l, is_factory)


def info() -> pairing_frames.Info:
    return pairing_frames.Info(certificates.DEVICE_PUBLIC, b"\x11" * 32, "generic-linux", "0.1.0", "Attic Pi")


def own() -> Own:
    return Own("a1b2c3d4", info(), lambda message: crypto.ecdsa_sign(certificates.DEVICE_SCALAR, message))


def bundle() -> dict:
    return certificates.bundle({"shard_bytes": 1 << 30})


def verifier(counters: "dict | None" = None) -> Verifier:
    """With an open window."""
    machine = Verifier(crypto, codec, own(), counters or {})
    machine.open_window(record(), False, NOW)
    return machine


def prover(code: "tuple[int, int]" = CODE, core: str = CORE) -> Prover:
    return Prover(crypto, codec, core, pairing.password(*code), "device")


def ask(machine: Verifier, data: bytes, now: int = NOW, source: object = "core") -> bytes:
    """The one answer to one request."""
    machine.receive(data, source, now)
    sent = machine.drain_outgoing()
    assert len(sent) == 1 and sent[0][1] == source
    return sent[0][0]


def sent(machine: Prover) -> bytes:
    """The last frame it wants to send."""
    return machine.drain_outgoing()[-1][0]


def refusal(answer: bytes) -> str:
    """The code of a refusal; "" for an answer."""
    frame = pairing_frames.decode_frame(codec, answer, pairing_frames.ANSWERS)
    return frame.fields[1] if frame.step == 0 else ""


def names(machine: object) -> list:
    """Types of the events since the last call."""
    return [type(event).__name__ for event in machine.drain_events()]


def run_until(core: Prover, device: Verifier, step: int, now: int = NOW) -> bytes:
    """Carry frames until the core has made its request of `step`; returns that request."""
    core.start(now)
    request = sent(core)
    for _ in range(step - 1):
        core.receive(ask(device, request, now), "device", now)
        if [event for event in core.events if type(event).__name__ == "Described"]:
            core.deliver(bundle(), now)
        request = sent(core)
    return request


def guess(device: Verifier, now: int = NOW) -> str:
    """One whole attempt with the wrong code; the code of the refusal, "" when the guess was answered."""
    core = prover(WRONG_CODE)
    core.start(now)
    answer = ask(device, sent(core), now)
    if refusal(answer):
        return refusal(answer)
    core.receive(answer, "device", now)
    core.receive(ask(device, sent(core), now), "device", now)
    assert core.events[-1].code == "code", "a wrong code was taken for right"
    ask(device, sent(core), now)  # the core's abort frees the device
    return ""
