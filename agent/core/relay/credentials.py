"""Who may use the relay: long-term credentials (RFC 8489 section 9.2) of named users, and the time-limited ones of the
TURN REST scheme (draft-uberti-behave-turn-rest-00), where the name is "expiry:user" and the password an HMAC of it.

Nothing is kept for a stranger: a nonce proves by itself when and for whom it was made, and it lacks the feature prefix
of RFC 8489 section 9.2 (none of those is offered) because a 401 must stay small. SHA-256 proofs are taken, with the
same key. Bounds: USERNAME_BYTES_MAX, KNOWN_MAX keys of time-limited users kept so that a Refresh costs one HMAC less.
"""

import binascii
from collections import OrderedDict, namedtuple

from agent.errors import PeerError, UsageError
from agent.wire import stun
from agent.wire.shape import is_plain

if False:
    from typing import Any, Callable, Iterator

    from agent.port import contract

NONCE_LIFE_S = 600
USERNAME_BYTES_MAX = 508  # RFC 8489 section 14.3
REALM_BYTES_MAX = 128
KNOWN_MAX = 64
_EXPIRY_DIGITS_MAX = 12
_NONCE_BYTES = 12

# `name`: stable id for quotas and tables, without the expiry. `hmac`: what proves the answer (the form of the request).
User = namedtuple("User", ("name", "key", "hmac"))


class Refusal(PeerError):
    """`number`: the STUN error code of the answer; `code` is the same as text. 401 and 438 carry realm and nonce."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(str(number), text)
        self.number = number


class Credentials:
    """`realm`: the value of REALM. `users`: name -> long_term_key. `secrets`: (label, REST secret) of each core, the
    label "" for the only one; the stable id is label/user then."""

    def __init__(
        self, crypto: "contract.Crypto", realm: str, users: dict[str, bytes], secrets: list[tuple[str, bytes]]
    ) -> None:
        self.realm = realm.encode()
        if not 0 < len(self.realm) <= REALM_BYTES_MAX:
            raise UsageError("realm", f"a realm has 1 to {REALM_BYTES_MAX} bytes, got {len(self.realm)}")
        self._crypto = crypto
        self._nonce_key = crypto.entropy(32)
        self._nobody = (None, crypto.entropy(16))  # no proof is made with this key
        self.replace(users, secrets)

    def replace(self, users: dict[str, bytes], secrets: list[tuple[str, bytes]]) -> None:
        """From now on these; who is gone fails at the next request."""
        self._users = {name.encode(): (name, users[name]) for name in users}
        self._secrets = list(secrets)
        self._known: OrderedDict[bytes, tuple[str, bytes]] = OrderedDict()

    def nonce(self, client: "Any", now: int) -> bytes:
        """For the 5-tuple `client` (section 9.2.4), NONCE_LIFE_S long; 12 characters."""
        return self._sealed(client, now // 1000)

    def is_fresh(self, nonce: bytes, client: "Any", now: int) -> bool:
        try:
            made = int.from_bytes(binascii.a2b_base64(nonce)[:2], "big")
        except ValueError:
            return False
        now //= 1000
        made = (now - made) & 0xFFFF  # ago
        return made <= NONCE_LIFE_S and self._crypto.equal(self._sealed(client, now - made), nonce)

    def authenticate(
        self, message: stun.Message, data: "stun.Data", client: "Any", now: int, time_of: "Callable[[str], int | None]"
    ) -> User:
        """Whose request this is. Refusal 401, 400 or 438. `time_of(label)`: unix seconds of that core's clock; without
        (None) none of its names is valid."""
        if message.integrity_at < 0:
            raise Refusal(stun.UNAUTHENTICATED, "The request carries no proof; repeat it with credentials.")
        username, nonce = message.get(stun.USERNAME), message.get(stun.NONCE)
        if username is None or nonce is None or message.get(stun.REALM) is None:
            raise Refusal(stun.BAD_REQUEST, "A proof comes with USERNAME, REALM and NONCE; one of them is missing.")
        if not self.is_fresh(nonce, client, now):
            raise Refusal(stun.STALE_NONCE, "The nonce is too old or of another address; repeat with the new one.")
        for name, key in self._candidates(username, time_of):
            if stun.is_intact(self._crypto, data, message, key) and name is not None:
                self._remember(username, name, key)
                return User(name, key, stun.hmac_of(self._crypto, data, message))
        raise Refusal(stun.UNAUTHENTICATED, "Name, password or expiry are wrong; ask for new credentials.")

    def prove(self, proof: bytes, time_of: "Callable[[str], int | None]") -> tuple[str, bytes]:
        """Whose "name:password" this is, as Basic of HTTP has it: the stable id, the name as made. Refusal 401. A
        time-limited name has a colon in it, its password has none."""
        at = proof.find(b":")
        at = at if proof[: max(at, 0)] in self._users else proof.rfind(b":")
        username = proof[: max(at, 0)]
        made = long_term_key(self._crypto, username, self.realm, proof[at + 1 :])
        for name, key in self._candidates(username, time_of):
            if self._crypto.equal(made, key) and name is not None:
                return name, username
        raise Refusal(stun.UNAUTHENTICATED, "Name, password or expiry are wrong; ask for new credentials.")

    def is_valid(self, username: bytes, name: str, time_of: "Callable[[str], int | None]") -> bool:
        """Whether `username`, which was proven, is `name` still."""
        return username in self._users or name in [each for each, _ in self._live(username, time_of)]

    def _live(self, username: bytes, time_of: "Callable[[str], int | None]") -> list[tuple[str, bytes]]:
        """(stable id, secret) of a time-limited name."""
        user, expiry = _split(username)
        return [
            (label + "/" + user if label else user, secret)
            for label, secret in self._secrets
            if (time_of(label) or expiry) < expiry
        ]

    def _candidates(
        self, username: bytes, time_of: "Callable[[str], int | None]"
    ) -> "Iterator[tuple[str | None, bytes]]":
        """Never empty: a name that nobody has costs a check too, so its time does not tell names."""
        if username in self._users:
            yield self._users[username]
            return
        live = self._live(username, time_of)
        if not live:
            yield self._nobody
            return
        if username in self._known and self._known[username][0] in [name for name, _ in live]:
            yield self._known[username]  # what another core signed under the same name is still tried after it
        for name, secret in live:
            yield name, long_term_key(self._crypto, username, self.realm, rest_password(self._crypto, secret, username))

    def _remember(self, username: bytes, name: str, key: bytes) -> None:
        if username not in self._users:
            self._known.pop(username, None)
            self._known[username] = (name, key)
            if len(self._known) > KNOWN_MAX:
                del self._known[next(iter(self._known))]

    def _sealed(self, client: "Any", now: int) -> bytes:
        transport, (ip, port), listener = client
        text = b"%d %d %d %d " % (now, transport, port, listener) + ip
        mac = self._crypto.hmac_sha256(self._nonce_key, text)
        made = (now & 0xFFFF).to_bytes(2, "big") + mac[: _NONCE_BYTES * 3 // 4 - 2]
        return binascii.b2a_base64(made).strip()


def core_secret(crypto: "contract.Crypto", link_secret: bytes) -> bytes:
    """The REST secret of one core at one device: text, as TURN servers take it."""
    return crypto.hkdf_sha256(link_secret, b"", b"corelet relay v1", 32).hex().encode()


def rest_password(crypto: "contract.Crypto", secret: bytes, username: bytes) -> bytes:
    """The password of the time-limited name "expiry:user", for who hands it out and for who checks it."""
    return binascii.b2a_base64(crypto.hmac_sha1(secret, username)).strip()


def long_term_key(crypto: "contract.Crypto", username: bytes, realm: bytes, secret: bytes) -> bytes:
    """RFC 8489 section 9.2.2, the form that every TURN client knows."""
    return crypto.md5(username + b":" + realm + b":" + secret)


def _split(username: bytes) -> tuple[str, int]:
    """(what follows "expiry:", "" without; the expiry). ("", 0), which was never valid, unless it is fit for a log."""
    expiry, _, user = username.partition(b":")
    if len(username) > USERNAME_BYTES_MAX or not 0 < len(expiry) <= _EXPIRY_DIGITS_MAX:
        return "", 0
    if [sign for sign in expiry if not 48 <= sign <= 57]:
        return "", 0
    try:
        name = user.decode()
    except UnicodeError:
        return "", 0
    return (name, int(expiry.decode())) if is_plain(name) else ("", 0)
