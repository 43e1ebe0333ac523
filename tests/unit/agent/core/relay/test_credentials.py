"""Who may use the relay: names, expiry, nonces, several secrets, and what a stranger can make grow (nothing).

Passwords of the REST scheme: `printf %s USER | openssl dgst -binary -sha1 -hmac SECRET | base64`.
"""

from agent import port
from agent.core.relay import credentials as who
from agent.errors import UsageError
from agent.wire import stun
from tests.expect import raises

CLIENT = (17, (b"\xc0\0\2\1", 40000), 0)
NOW = 5000000
DAY = 1700000000  # unix time
SECRETS = [("home", b"s3cr3t"), ("work", b"another")]
OPENSSL = (  # name, secret, password
    (b"1700000600:alice", b"s3cr3t", b"vpLwL5AN7XGXsHd+MP053kLQ4es="),
    (b"1700000600:alice", b"another", b"ONwKkg51kRID3zAbPh9wLle19EM="),
    (b"1999999999:", b"x", b"ElBKCq7KrERniux8gOuR5iQ3G38="),
)
NOT_VALID = (
    b":alice", b"alice", b"-1:alice", b"+1700000600:a", b" 1700000600:a", b"1700000600 :a", b"1" * 13 + b":a",
    b"1700000600:\xff", b"1700000600:a\x1b[2J", b"1700000600:" + b"a" * 500, b"", b":", b"99999999999x:a",
    b"\xd9\xa1700000600:a",  # a digit, but an Arabic one
)  # fmt: skip


class Desk:
    """A relay's credentials and a client that asks them."""

    def __init__(self, users=None, secrets=None):
        self.crypto = port.crypto()
        keys = {}
        for name in users or {}:
            keys[name] = who.long_term_key(self.crypto, name.encode(), b"corelet", users[name])
        self.credentials = who.Credentials(self.crypto, "corelet", keys, secrets or [])

    def request(self, username, password, client=CLIENT, now=NOW, **other):
        key = who.long_term_key(self.crypto, username, b"corelet", password)
        nonce = other.get("nonce", self.credentials.nonce(client, now))
        attributes = [(stun.USERNAME, username), (stun.REALM, b"corelet"), (stun.NONCE, nonce)]
        attributes = [one for one in attributes if one[0] != other.get("without")]
        hmac = other.get("hmac", self.crypto.hmac_sha1)
        return stun.encode(stun.ALLOCATE, stun.REQUEST, b"transaction!", attributes, (hmac, key))

    def ask(self, data, client=CLIENT, now=NOW, unix_time=DAY):
        """The user, or the number of the refusal."""
        try:
            return self.credentials.authenticate(stun.decode(data), data, client, now, lambda _: unix_time)
        except who.Refusal as refusal:
            assert refusal.code == str(refusal.number) and refusal.text.endswith(".")
            return refusal.number

    def rest(self, username, secret=b"s3cr3t", **other):
        return self.request(username, who.rest_password(self.crypto, secret, username), **other)


def test_long_term():
    desk = Desk({"bob": b"pass", "Zo\u00eb": b"word"})
    user = desk.ask(desk.request(b"bob", b"pass"))
    assert user.name == "bob" and user.key == desk.crypto.md5(b"bob:corelet:pass")
    assert user.hmac(b"k", b"d") == desk.crypto.hmac_sha1(b"k", b"d")
    assert desk.ask(desk.request("Zo\u00eb".encode(), b"word"), unix_time=None).name == "Zo\u00eb"
    assert desk.ask(desk.request(b"bob", b"word")) == 401
    assert desk.ask(desk.request(b"eve", b"pass")) == 401
    assert desk.ask(desk.request(b"", b"")) == 401
    assert desk.ask(desk.request(b"\xff\xfe", b"pass")) == 401
    strong = desk.ask(desk.request(b"bob", b"pass", hmac=desk.crypto.hmac_sha256))
    assert strong.name == "bob" and strong.hmac(b"k", b"d") == desk.crypto.hmac_sha256(b"k", b"d")


def test_what_is_missing():
    desk = Desk({"bob": b"pass"})
    bare = stun.encode(stun.ALLOCATE, stun.REQUEST, b"transaction!", [(stun.USERNAME, b"bob")])
    assert desk.ask(bare) == 401
    for kind in (stun.USERNAME, stun.REALM, stun.NONCE):
        assert desk.ask(desk.request(b"bob", b"pass", without=kind)) == 400
    for realm in ("", "r" * 129):
        assert raises(UsageError, who.Credentials, desk.crypto, realm, {}, []).code == "realm"


def test_a_damaged_request():
    desk = Desk({"bob": b"pass"})
    data = desk.request(b"bob", b"pass")
    for at in (1, 9, 24, 45, len(data) - 1):
        assert desk.ask(data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]) in (401, 400, 438)


def test_a_nonce_holds_for_its_client_and_time():
    desk = Desk({"bob": b"pass"})
    nonce = desk.credentials.nonce(CLIENT, NOW)
    fresh = desk.credentials.is_fresh
    assert len(nonce) == 12 and nonce == desk.credentials.nonce(CLIENT, NOW + 999) != desk.credentials.nonce(CLIENT, 0)
    assert fresh(nonce, CLIENT, NOW) and fresh(nonce, CLIENT, NOW + 600999)
    for now in (NOW + 601000, NOW - 1000, 0, NOW + 65536000, NOW + 2 * 65536000, NOW + (65536 << 32)):
        assert not fresh(nonce, CLIENT, now)
    for other in (
        (6, CLIENT[1], 0),
        (17, (b"\xc0\0\2\2", 40000), 0),
        (17, (b"\xc0\0\2\1", 40001), 0),
        (17, CLIENT[1], 1),
        (17, (bytes(16), 40000), 0),
    ):
        assert not fresh(nonce, other, NOW) and fresh(desk.credentials.nonce(other, NOW), other, NOW)
    for bad in (
        b"",
        b"=",
        nonce[:-1],
        nonce + b"A",
        nonce + b"\n",
        nonce[:4] + b"!" + nonce[5:],
        b"\xff" * 12,
        b"A" * 12,
    ):
        assert not fresh(bad, CLIENT, NOW), bad
        assert desk.ask(desk.request(b"bob", b"pass", nonce=bad)) == 438
    assert not Desk().credentials.is_fresh(nonce, CLIENT, NOW), "another start, another key"
    data = desk.request(b"bob", b"pass")
    assert desk.ask(data).name == "bob" and desk.ask(data, now=NOW + 601000) == 438
    assert desk.ask(data, client=(17, (b"\xc0\0\2\1", 40001), 0)) == 438, "a request replayed from elsewhere"


def test_every_flipped_bit_of_a_nonce():
    desk = Desk()
    nonce = desk.credentials.nonce(CLIENT, NOW)
    for bit in range(8 * len(nonce)):
        made = bytearray(nonce)
        made[bit >> 3] ^= 1 << (bit & 7)
        assert not desk.credentials.is_fresh(bytes(made), CLIENT, NOW)


def test_rest_passwords_are_those_of_openssl():
    crypto = port.crypto()
    for name, secret, password in OPENSSL:
        assert who.rest_password(crypto, secret, name) == password


def test_time_limited():
    desk = Desk(secrets=[("", b"s3cr3t")])
    assert desk.ask(desk.rest(b"1700000600:alice")).name == "alice"
    assert desk.ask(desk.rest(b"1700000600:a:b")).name == "a:b"
    assert desk.ask(desk.rest(b"1700000600:")).name == ""
    assert desk.ask(desk.rest(b"1700000600")).name == ""
    assert desk.ask(desk.rest(b"1700000600:alice", secret=b"wrong")) == 401
    assert desk.ask(desk.rest(b"1700000600:alice"), unix_time=None) == 401, "no wall clock"
    for name in NOT_VALID:
        assert desk.ask(desk.rest(name)) == 401, name
    assert Desk().ask(Desk().rest(b"1700000600:alice")) in (401, 438), "no secret at all"


def test_expired_credentials_fail_even_when_known():
    desk = Desk(secrets=[("", b"s3cr3t")])
    data = desk.rest(b"1700000600:alice")
    for unix_time, answer in ((DAY, "alice"), (DAY + 599, "alice"), (DAY + 600, 401), (DAY + 601, 401), (DAY, "alice")):
        found = desk.ask(data, unix_time=unix_time)
        assert answer == found or answer == found.name
    assert desk.ask(data, unix_time=None) == 401


def test_several_cores():
    desk = Desk({"bob": b"pass"}, SECRETS)
    assert desk.ask(desk.rest(b"1700000600:alice", secret=b"another")).name == "work/alice"
    assert desk.ask(desk.rest(b"1700000600:alice")).name == "home/alice"
    assert desk.ask(desk.request(b"bob", b"pass")).name == "bob"
    desk.credentials.replace({}, SECRETS[1:])
    assert desk.ask(desk.rest(b"1700000600:alice")) == 401, "who was removed fails though known"
    assert desk.ask(desk.request(b"bob", b"pass")) == 401


def test_two_cores_may_sign_the_same_name_in_turn():
    """The known key of one core does not lock out the other's user of the same name and expiry."""
    desk = Desk(secrets=SECRETS)
    for _ in range(2):
        assert desk.ask(desk.rest(b"1700000600:alice")).name == "home/alice"
        assert desk.ask(desk.rest(b"1700000600:alice", secret=b"another")).name == "work/alice"


class Counting:
    """The port's crypto, counting."""

    def __init__(self):
        self.inner = port.crypto()
        self.calls = []

    def _counted(self, name, *arguments):
        self.calls.append(name)
        return getattr(self.inner, name)(*arguments)

    def entropy(self, length):
        return self.inner.entropy(length)

    def equal(self, one, other):
        return self._counted("equal", one, other)

    def hmac_sha1(self, key, data):
        return self._counted("hmac_sha1", key, data)

    def hmac_sha256(self, key, data):
        return self._counted("hmac_sha256", key, data)

    def md5(self, data):
        return self._counted("md5", data)


def work(desk, data):
    """The calls that one request cost."""
    desk.credentials._crypto.calls.clear()
    found = desk.ask(data)
    return found, sorted(desk.credentials._crypto.calls)


def test_the_same_work_for_who_is_known_and_who_is_not():
    desk = Desk({"bob": b"pass"}, SECRETS)
    desk.credentials._crypto = Counting()
    right, cost = work(desk, desk.request(b"bob", b"pass"))
    assert right.name == "bob" and cost == ["equal", "equal", "hmac_sha1", "hmac_sha256"]
    for name, password in ((b"bob", b"word"), (b"eve", b"pass"), (b"b\xff", b"pass"), (b"1699999999:alice", b"x")):
        assert work(desk, desk.request(name, password)) == (401, cost), name
    wrong, cost = work(desk, desk.rest(b"1700000600:alice", secret=b"wrong"))
    assert wrong == 401 and cost.count("md5") == len(SECRETS)


def test_a_refresh_costs_no_second_derivation():
    desk = Desk(secrets=SECRETS[:1])
    desk.credentials._crypto = Counting()
    data = desk.rest(b"1700000600:alice")
    first, cost = work(desk, data)
    again, less = work(desk, data)
    assert first == again and (cost.count("hmac_sha1"), cost.count("md5")) == (2, 1)
    assert (less.count("hmac_sha1"), less.count("md5")) == (1, 0)


def test_known_keys_are_bounded_and_strangers_add_none():
    desk = Desk({"bob": b"pass"}, SECRETS[:1])
    known = desk.credentials._known
    for number in range(who.KNOWN_MAX):
        assert desk.ask(desk.rest(b"1700000600:%d" % number)).name == f"home/{number}"
    assert len(known) == who.KNOWN_MAX
    assert desk.ask(desk.rest(b"1700000600:0")).name == "home/0"  # used again: the oldest is 1 now
    assert desk.ask(desk.rest(b"1700000600:new")).name == "home/new"
    assert len(known) == who.KNOWN_MAX and b"1700000600:0" in known and b"1700000600:1" not in known
    before = sorted(known)
    assert desk.ask(desk.rest(b"1700000600:eve", secret=b"wrong")) == 401
    assert desk.ask(desk.request(b"bob", b"pass")).name == "bob" and sorted(known) == before
