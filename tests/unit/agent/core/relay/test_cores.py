"""A relay for several cores: each has its own secret and its own clock."""

from agent import port
from agent.core.relay import credentials as who
from agent.wire import stun


def test_each_core_has_its_own_clock():
    crypto = port.crypto()
    secrets = [("home", b"one"), ("club", b"two")]
    desk = who.Credentials(crypto, "corelet", {}, secrets)
    times = {"home": 1_700_000_000, "club": 1_700_000_000}
    client = (17, (b"\x09\x09\x09\x09", 4000), 0)

    def ask(secret):
        name = b"1700000600:alice"
        key = who.long_term_key(crypto, name, b"corelet", who.rest_password(crypto, secret, name))
        attributes = [(stun.USERNAME, name), (stun.REALM, b"corelet"), (stun.NONCE, desk.nonce(client, 5000))]
        data = stun.encode(stun.ALLOCATE, stun.REQUEST, b"transaction!", attributes, (crypto.hmac_sha1, key))
        try:
            return desk.authenticate(stun.decode(data), data, client, 5000, times.get).name
        except who.Refusal as refusal:
            return refusal.number

    assert (ask(b"one"), ask(b"two")) == ("home/alice", "club/alice")
    times["home"] = 1_700_000_601
    assert (ask(b"one"), ask(b"two")) == (401, "club/alice"), "known by another core's clock"
    del times["club"]
    assert (ask(b"one"), ask(b"two")) == (401, 401), "a core that has not told its time"


def test_a_secret_is_text_of_its_own_label():
    crypto = port.crypto()
    one = who.core_secret(crypto, b"k" * 32)
    assert len(one) == 64 and one != who.core_secret(crypto, b"l" * 32)
    assert one == crypto.hkdf_sha256(b"k" * 32, b"", b"corelet relay v1", 32).hex().encode()
