"""The device's proof that its key is its own, and the core's tag on an abort: both hang on this session's K_shared."""

from tests.unit.agent.core.pairing import bench

# isort: split

from agent.core.pairing.channel import abort_tag, proof_message
from agent.core.pairing.prover import check_proof
from agent.errors import PeerError, TrustError
from agent.wire import pairing_frames
from agent.wire.pairing_frames import Step
from tests.expect import raises
from tests.unit.agent.core.pairing import certificates
from tests.unit.agent.core.pairing.bench import NOW, ask, names, refusal

SHARED = b"k" * 32
MESSAGE = bytes.fromhex("072c2095e1c409915b3a4fc5f94db4ed833a9fa259bf50ddbbb1eaf9d40514f8")
PROOF = bytes.fromhex(
    "fa2fedc25433208b0598d940119940eda19e573eeb2dd6699f219e63236a82f2"
    "06a54ab78f851ae6f6a9864f7927fb206d7f42c8618910a32be8dc4ae889f917"
)


def test_vector() -> None:
    message = proof_message(bench.crypto, SHARED, certificates.DEVICE_PUBLIC)
    assert message == b"corelet pair proof v1" + MESSAGE + certificates.DEVICE_PUBLIC
    assert bench.crypto.ecdsa_sign(certificates.DEVICE_SCALAR, message) == PROOF
    check_proof(bench.crypto, SHARED, certificates.DEVICE_PUBLIC, PROOF)


def test_a_proof_for_another_key_or_session_or_none() -> None:
    cases = (
        (SHARED, bench.crypto.p256_public(5), PROOF),
        (b"x" * 32, certificates.DEVICE_PUBLIC, PROOF),
        (SHARED, certificates.DEVICE_PUBLIC, bytes(64)),
        (SHARED, certificates.DEVICE_PUBLIC, PROOF[:63] + bytes((PROOF[63] ^ 1,))),
    )
    for shared, public, proof in cases:
        assert raises(TrustError, check_proof, bench.crypto, shared, public, proof).code == "proof"
    assert raises(PeerError, check_proof, bench.crypto, SHARED, b"\x04" + b"\x01" * 64, PROOF).code == "point"


def described_by(sign: object) -> list:
    """What a core makes of a device that knows its own code, but names certificates.DEVICE_PUBLIC as its key."""
    device, core = bench.verifier(), bench.prover()
    device._sign = sign
    request = bench.run_until(core, device, 3)
    core.receive(ask(device, request), "device", NOW)
    events = core.drain_events()
    assert type(events[-1]).__name__ == "Described" or events[-1].code == "proof"
    return [type(event).__name__ for event in events]


def test_a_device_cannot_pair_under_another_devices_key() -> None:
    own = bench.own()
    seen: list = []
    assert described_by(lambda message: seen.append(own.sign(message)) or seen[0]) == ["Proven", "Described"]
    assert described_by(lambda _: bench.crypto.ecdsa_sign(5, _)) == ["Proven", "Failed"], "signed by its own key"
    assert described_by(lambda _: seen[0]) == ["Proven", "Failed"], "a proof of another session was taken"


def abort(session: bytes, tag: bytes) -> bytes:
    return pairing_frames.encode_frame(bench.codec, Step.ABORT, session, [tag])


def test_an_abort_by_a_stranger_ends_no_proven_pairing() -> None:
    for step in (3, 4):  # the code is proven; the bundle waits for its link
        device, core = bench.verifier(), bench.prover()
        request = bench.run_until(core, device, step)
        ask(device, request)
        device.drain_events()
        session = pairing_frames.decode_frame(bench.codec, request, pairing_frames.REQUESTS).session
        for tag in (b"", bytes(32), abort_tag(bench.crypto, b"x" * 32)):
            assert refusal(ask(device, abort(session, tag))) == "abort"
        assert "RolledBack" not in names(device) and device._session is not None
        assert (device.pending_core == bench.CORE) == (step == 4)
        core.abort()
        assert refusal(ask(device, bench.sent(core))) == "" and device._session is None
        assert names(device) == (["RolledBack"] if step == 4 else [])


def test_an_abort_before_the_proof_needs_none() -> None:
    for code in (bench.CODE, bench.WRONG_CODE):
        device, core = bench.verifier(), bench.prover(code)
        request = bench.run_until(core, device, 2)
        core.receive(ask(device, request), "device", NOW)
        core.abort()
        assert refusal(ask(device, bench.sent(core))) == "" and device._session is None
