"""What the red team will try against a device in its pairing window; one test for each item of the list."""

from tests.unit.agent.core.pairing import bench

# isort: split

from agent.core.pairing import spake2plus
from agent.core.pairing import verifier as machine
from agent.errors import LimitError, UsageError
from agent.wire import pairing, pairing_frames
from agent.wire.pairing_frames import Step
from tests.expect import raises
from tests.unit.agent.core.pairing import certificates
from tests.unit.agent.core.pairing.bench import NOW, ask, names, refusal


def frame(step: int, session: bytes, *fields: object) -> bytes:
    return pairing_frames.encode_frame(bench.codec, step, session, list(fields))


def session_of(request: bytes) -> bytes:
    return pairing_frames.decode_frame(bench.codec, request, pairing_frames.REQUESTS).session


def test_guessing_waits_longer_and_longer_and_20_close_the_window() -> None:
    device = bench.verifier()
    now = NOW
    waited = []
    for attempt in range(1, 21):
        if bench.guess(device, now):
            wait_s = device.drain_events()[-1].code
            assert wait_s == "wait"
            delay = machine.delay_ms(attempt - 1)
            assert bench.guess(device, now + delay - 1) == "wait", "the delay ended early"
            waited.append(delay)
            now += delay
            assert bench.guess(device, now) == ""
        assert device.attempts == attempt
    assert waited[:7] == [1000, 2000, 4000, 8000, 16000, 32000, 60000] and len(waited) == 15
    assert now - NOW < machine.WINDOW_MS, "20 guesses must fit in one window, or that rule says nothing"
    assert names(device)[-1] == "WindowClosed" and not device.is_open
    assert bench.guess(device, now + machine.WINDOW_MS) == "closed"


def test_power_cut_between_persist_and_answer_still_counts() -> None:
    kept: dict = {}
    for attempt in range(1, 21):
        device = bench.verifier(kept)  # the power is back: same record (a label's), counters from the disk
        now = NOW + machine.delay_ms(attempt - 1)
        request = bench.run_until(bench.prover(bench.WRONG_CODE), device, 2, now)
        device.receive(request, "core", now)
        events = device.drain_events()
        assert type(events[0]).__name__ == "Persist" and device.outgoing, "an answer without a count"
        kept = events[0].counters
        assert kept["attempts"] == attempt  # and here the power goes: the answer never leaves
    late = machine.Verifier(bench.crypto, bench.codec, bench.own(), kept)
    assert raises(LimitError, late.open_window, bench.record(), False, NOW).code == "attempts"


def test_power_cut_does_not_shorten_the_delay() -> None:
    kept = {"record": bench.verifier()._window.record_id, "attempts": 9}
    device = bench.verifier(kept)
    assert bench.guess(device, NOW) == "wait"
    assert bench.guess(device, NOW + machine.delay_ms(9) - 1) == "wait"
    assert bench.guess(device, NOW + machine.delay_ms(9)) == ""


def test_right_code_is_not_counted_as_wrong() -> None:
    device = bench.verifier()
    bench.guess(device)
    bench.run_until(bench.prover(), device, 4)
    assert device.attempts == 1
    assert [event.counters["attempts"] for event in device.drain_events() if hasattr(event, "counters")] == [1, 2, 1]


def test_parallel_half_open_pairings_are_one() -> None:
    device = bench.verifier()
    ask(device, bench.run_until(bench.prover(), device, 2))  # the share takes the place
    for number in range(50):
        other = bench.prover(core=f"{number:016x}")
        other.start(NOW)
        assert refusal(ask(device, bench.sent(other))) == "busy"
    device.drain_events()
    other = bench.prover()
    other.start(NOW)
    assert refusal(ask(device, bench.sent(other), NOW + machine.STEP_MS)) == "", "a silent guest blocks for ever"


def test_invalid_points_end_the_attempt_and_count() -> None:
    good = bench.crypto.p256_public(5)
    mask_m = bench.verifier()._window.mask_m
    for share in (b"\x04" + b"\x00" * 64, b"\x04" + b"\xff" * 64, b"\x02" + good[1:], mask_m):
        device = bench.verifier()
        session = session_of(bench.run_until(bench.prover(), device, 2))
        assert refusal(ask(device, frame(Step.SHARE, session, share))) == "point"
        assert device.attempts == 1
        assert refusal(ask(device, frame(Step.SHARE, session, good))) == "session"
    device = bench.verifier()
    session = session_of(bench.run_until(bench.prover(), device, 2))
    compressed = bench.codec.encode([Step.SHARE, session, b"\x02" + good[1:33]])
    assert raises(Exception, device.receive, compressed, "core", NOW).code == "frame"


def test_replay_of_a_recorded_pairing_proves_nothing() -> None:
    device = bench.verifier()
    core = bench.prover()
    core.start(NOW)
    recorded = []
    for _ in range(3):
        recorded.append(bench.sent(core))
        core.receive(ask(device, recorded[-1]), "device", NOW)
    core.deliver(bench.bundle(), NOW)
    recorded.append(bench.sent(core))
    again = bench.verifier()
    hello = ask(again, recorded[0])
    session = pairing_frames.decode_frame(bench.codec, hello, pairing_frames.ANSWERS).session
    for data in recorded[1:]:
        fields = pairing_frames.decode_frame(bench.codec, data, pairing_frames.REQUESTS).fields
        assert refusal(ask(again, data)) == "session"
        answer = refusal(ask(again, frame(data[1], session, *fields)))
    assert answer == "session" and "Proven" not in names(again) and again.attempts == 1


def test_reflected_confirm_is_refused() -> None:
    device = bench.verifier()
    core = bench.prover(bench.WRONG_CODE)
    request = bench.run_until(core, device, 2)
    answer = pairing_frames.decode_frame(bench.codec, ask(device, request), pairing_frames.ANSWERS)
    assert refusal(ask(device, frame(Step.CONFIRM, answer.session, answer.fields[1]))) == "code"
    assert "Proven" not in names(device) and device.attempts == 1


def test_swapped_roles_reflecting_shares_prove_nothing() -> None:
    first, second = bench.verifier(), bench.verifier()  # two devices with one code, played against each other
    one = session_of(bench.run_until(bench.prover(), first, 2))
    two = session_of(bench.run_until(bench.prover(), second, 2))
    start = bench.crypto.p256_public(9)
    share = pairing_frames.decode_frame(bench.codec, ask(first, frame(Step.SHARE, one, start)), pairing_frames.ANSWERS)
    other = frame(Step.SHARE, two, share.fields[0])
    back = pairing_frames.decode_frame(bench.codec, ask(second, other), pairing_frames.ANSWERS)
    assert refusal(ask(second, frame(Step.CONFIRM, two, share.fields[1]))) == "code"
    assert refusal(ask(first, frame(Step.CONFIRM, one, back.fields[1]))) == "code"


def test_version_downgrade_is_refused_or_breaks_the_proof() -> None:
    device = bench.verifier()
    assert refusal(ask(device, frame(Step.HELLO, b"", [0], bench.CORE, b"n" * 16))) == "version"
    assert refusal(ask(device, frame(Step.HELLO, b"", [2, 3], bench.CORE, b"n" * 16))) == "version"
    core = bench.prover()
    core.start(NOW)
    hello = pairing_frames.decode_frame(bench.codec, bench.sent(core), pairing_frames.REQUESTS)
    changed = frame(Step.HELLO, b"", [1, 2], hello.fields[1], hello.fields[2])  # somebody between the two
    core.receive(ask(device, changed), "device", NOW)
    core.receive(ask(device, bench.sent(core)), "device", NOW)
    assert core.events[-1].code == "code", "a changed hello was not noticed"


def test_certificate_of_another_cores_ca_is_refused() -> None:
    cases = (
        ("ca", certificates.CA_OTHER),  # not the CA of the core that said hello
        ("cert", certificates.CERT_OTHER),  # issued by another CA
        ("cert", certificates.CERT_WRONG_KEY),  # for another device
        ("cert", certificates.CA_ONE),
        ("core", certificates.CORE_OTHER),  # would overwrite the record of that core
        ("ca", b"\x30\x03\x02\x01\x01"),
    )
    for key, value in cases:
        device = bench.verifier()
        core = bench.prover()
        bench.run_until(core, device, 3)
        bundle = bench.bundle()
        bundle[key] = value
        assert _deliver(device, core, bundle) == "certificate", key
        assert "Pending" not in names(device) and device.pending_core is None


def test_a_core_cannot_speak_in_another_cores_name() -> None:
    for authority in (certificates.CA_ONE, certificates.CA_OTHER):  # its own CA, or the other's, which is no secret
        device = bench.verifier()
        core = bench.prover(core=certificates.CORE_OTHER)
        bench.run_until(core, device, 3)
        bundle = bench.bundle()
        bundle["core"], bundle["ca"] = certificates.CORE_OTHER, authority
        assert _deliver(device, core, bundle) == "certificate"
        assert device.pending_core is None


def _deliver(device: machine.Verifier, core: object, bundle: dict) -> str:
    core._step, step = 0, core._step  # take the confirmed channel and send a bundle of our own
    assert step == Step.CONFIRM
    core._step = Step.CONFIRM
    core.receive(ask(device, core._frame), "device", NOW)
    core.deliver(bundle, NOW)
    return refusal(ask(device, bench.sent(core)))


def test_sealed_frames_fit_nowhere_else() -> None:
    device = bench.verifier()
    core = bench.prover()
    request = bench.run_until(core, device, 4)
    session = session_of(request)
    sealed = pairing_frames.decode_frame(bench.codec, request, pairing_frames.REQUESTS).fields[0]
    flipped = sealed[:-1] + bytes((sealed[-1] ^ 1,))
    assert refusal(ask(device, frame(Step.DELIVER, session, flipped))) == "aead"
    assert refusal(ask(device, request)) == "session", "a second try at a broken seal"
    assert "Pending" not in names(device)


def test_code_reuse_across_windows() -> None:
    device = bench.verifier()
    bench.run_until(bench.prover(), device, 3)
    good = bench.record()
    salt = b"another salt...."
    w0 = good.w0 + 1
    device.open_window(pairing_frames.Record(3, salt, 1000, w0, good.point_l, False), False, NOW)
    core = bench.prover()
    request = bench.run_until(core, device, 2)
    core.receive(ask(device, request), "device", NOW)
    assert core.events[-1].code == "code", "the code of the window before still works"


def test_a_stolen_verifier_record_lets_nobody_pair() -> None:
    """Who has read (w0, L) out of the flash lacks w1: V = w1 * Y = y * L is out of reach, and each try counts."""
    crypto, record = bench.crypto, bench.record()
    mask_m, mask_n = spake2plus.mask_points(crypto, record.w0)
    _, w1 = spake2plus.derive(crypto, pairing.password(*bench.CODE), bench.SALT, 1000)
    for number, known in enumerate(("L", "w1")):
        device = bench.verifier()
        core = bench.prover()
        core.start(NOW)
        hello = bench.sent(core)
        answer = ask(device, hello)
        context = machine.CONTEXT + crypto.sha256(hello + answer)
        session = pairing_frames.decode_frame(bench.codec, answer, pairing_frames.ANSWERS).session
        x = 7 + number
        share_p = spake2plus.blind(crypto, x, mask_m)
        sent = pairing_frames.decode_frame(
            bench.codec, ask(device, frame(Step.SHARE, session, share_p)), pairing_frames.ANSWERS
        )
        bare = spake2plus.unblind(crypto, sent.fields[0], mask_n)
        points = {"L": record.point_l, "Z": crypto.p256_multiply(x, bare)}
        points["w1"] = crypto.p256_multiply(w1, bare)  # what only the code gives
        agreed = spake2plus.Parties(context, bench.CORE.encode(), bench.own().announced_id.encode())
        tt = spake2plus.transcript(agreed, (share_p, sent.fields[0]), (points["Z"], points[known]), record.w0)
        proof = spake2plus.confirm_prover(crypto, spake2plus.key_schedule(crypto, tt), sent.fields[0])
        is_taken = known == "w1"
        assert refusal(ask(device, frame(Step.CONFIRM, session, proof))) == ("" if is_taken else "code"), known
        assert ("Proven" in names(device), device.attempts) == (is_taken, 1 - is_taken)


def test_a_stolen_verifier_record_can_play_the_device() -> None:
    """What SPAKE2+ does not promise: a core that is given the code takes the thief for the device, by his own key. So
    a self-made record lives as long as its window, in memory, and a label's is closed while the board is owned."""
    scalar = certificates.DEVICE_SCALAR + 1
    info = pairing_frames.Info(bench.crypto.p256_public(scalar), b"\x11" * 32, "generic-linux", "0.1.0", "Attic Pi")
    own = machine.Own("a1b2c3d4", info, lambda message: bench.crypto.ecdsa_sign(scalar, message))
    thief = machine.Verifier(bench.crypto, bench.codec, own, {})
    thief.open_window(bench.record(), False, NOW)
    core = bench.prover()
    core.receive(ask(thief, bench.run_until(core, thief, 3)), "device", NOW)
    described = [event.info for event in core.events if type(event).__name__ == "Described"]
    assert [found.key for found in described] == [info.key] != [bench.info().key]
    assert raises(UsageError, bench.verifier().open_window, bench.record(True), True, NOW).code == "owned"
