"""The verdict over a release, and one test for each attack that needs no network: freeze, rollback, fast-forward,
mix-and-match, a stolen core key, t-1 release keys, a wrong board."""

from ota import cbor, trust, verify
from ota.commands import SHA256
from ota.errors import TrustError
from tests.expect import raises
from tests.unit.ota.making import CLASS, KEYS, digest_of, envelope, manifest, public, shared, signature

PUBLICS = tuple([public(scalar) for scalar in KEYS[:3]])
DEVICE = verify.Device(5, 6, CLASS, 60)
DAY_S = 86400


def release(sequence=7):
    return verify.read_release(envelope(manifest(sequence)), 2, PUBLICS)


def root(offline_ok=False, needs_approval=False):
    return trust.Root(1, {}, DAY_S, offline_ok, needs_approval)


def beacon(allowed, aborted=(), newest=7, time=1000):
    return trust.Beacon(time, newest, list(allowed), list(aborted), None)


def refused(*arguments):
    return raises(TrustError, verify.admit, *arguments).code


def test_a_release_by_two_of_three():
    found = release()
    assert found.signers == [0, 1] and found.manifest.sequence == 7 and found.digest == digest_of(manifest())
    assert verify.read_release(envelope(scalars=KEYS[:3]), 2, PUBLICS).signers == [0, 1, 2]
    assert len(envelope()) <= 450


def test_one_key_too_few():
    data = envelope(scalars=KEYS[:1])
    assert raises(TrustError, verify.read_release, data, 2, PUBLICS).code == "threshold"
    assert raises(TrustError, verify.read_release, envelope(scalars=()), 1, PUBLICS).code == "threshold"
    assert raises(TrustError, verify.read_release, envelope(scalars=(11, 11)), 2, PUBLICS).code == "signer_twice"
    assert raises(TrustError, verify.read_release, envelope(scalars=(11, 44)), 2, PUBLICS).code == "signature"


def test_mix_and_match():
    """Signatures of one release before the manifest of another, and a severed member of another."""
    signed = cbor.encode([SHA256, digest_of(manifest(6))])
    old = [signature(scalar, signed) for scalar in KEYS[:2]]
    mixed = envelope(manifest(7), members={2: cbor.encode([signed] + old)})
    assert raises(TrustError, verify.read_release, mixed, 2, PUBLICS).code == "digest"
    mixed = envelope(manifest(7), signatures=old)
    assert raises(TrustError, verify.read_release, mixed, 2, PUBLICS).code == "signature"
    one = cbor.encode([20, {21: "full/1"}, 21, 2, 3, 15])
    other = cbor.encode([20, {21: "full/2"}, 21, 2, 3, 15])
    mixed = envelope(manifest(members={20: [SHA256, digest_of(one)]}), members={20: other})
    assert raises(TrustError, verify.read_release, mixed, 2, PUBLICS).code == "digest"


def test_what_is_signed_but_outside_the_subset():
    data = envelope(manifest(commands=shared() + [32, b""]))
    assert raises(TrustError, verify.read_release, data, 2, PUBLICS).code == "unsupported"


def test_it_is_admitted():
    found = release()
    verify.admit(found, root(), DEVICE, beacon([found.digest]), None)
    verify.admit(found, root(), verify.Device(7, 7, CLASS, DAY_S), beacon([found.digest]), None)
    verify.admit(found, root(offline_ok=True), DEVICE, None, None)


def test_rollback():
    assert refused(release(5), root(True), DEVICE, None, None) == "rollback"
    assert refused(release(4), root(True), DEVICE, None, None) == "security_floor"
    assert refused(release(4), root(True), verify.Device(5, 0, CLASS, 0), None, None) == "security_floor"


def test_freeze():
    found = release()
    assert refused(found, root(), verify.Device(5, 6, CLASS, DAY_S + 1), beacon([found.digest]), None) == "beacon_stale"
    assert refused(found, root(), DEVICE, None, None) == "beacon_missing"


def test_a_stolen_core_key_chooses_among_releases_only():
    found = release()
    for allowed, aborted, code in (((), (), "not_allowed"), ((found.digest,), (found.digest,), "aborted")):
        assert refused(found, root(), DEVICE, beacon(allowed, aborted), None) == code
    assert raises(TrustError, verify.read_release, envelope(scalars=(99,)), 1, PUBLICS).code == "signature"
    assert refused(release(5), root(), DEVICE, beacon([release(5).digest]), None) == "rollback"


def test_fast_forward():
    found = release(8)
    assert refused(found, root(), DEVICE, beacon([found.digest]), None) == "fast_forward"


def test_approval():
    found = release()
    digest, news = found.digest, beacon([found.digest])

    def asked(approval, news=news):
        return refused(found, root(True, True), DEVICE, news, approval)

    assert asked(None) == "approval_missing"
    assert asked(trust.Approval(bytes(32), True, None, 0)) == "approval_other"
    assert asked(trust.Approval(digest, True, bytes(16), 0)) == "approval_other", "of another board"
    assert asked(trust.Approval(digest, False, None, 0)) == "not_approved"
    assert asked(trust.Approval(digest, True, None, 1001)) == "approval_early"
    assert asked(trust.Approval(digest, True, None, 1), None) == "approval_early", "no beacon, so no time"
    for approval in (trust.Approval(digest, True, CLASS, 1000), trust.Approval(digest, True, None, 0)):
        verify.admit(found, root(False, True), DEVICE, news, approval)
