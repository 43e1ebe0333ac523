"""Who proves nothing: 401 and its size, the budget, junk, Binding; and that nothing is kept for any of it.

Bytes of the first Allocate that a client sends, without credentials, and of our 401 (UDP payload; in brackets with the
28 bytes of IPv4 and UDP; realm "corelet", the 401 cannot be smaller: RFC 8489 section 9.2.4 asks for all of it):

    client                                          request     401        ratio
    aioice 0.13 (LIFETIME, REQUESTED-TRANSPORT)      36 (64)    56 (84)    1.56 (1.31)
    Chromium (REQUESTED-TRANSPORT)                   28 (56)    56 (84)    2.00 (1.50)
    turnutils_uclient 4.6.1 (and EVEN-PORT)          52 (80)    56 (84)    1.08 (1.05)

The first and the third were captured; Chromium's is what is known of its TurnAllocateRequest, not captured.
So reflection is held down by the budget: 16 answers a second to a /24 are 1.3 kB/s.
"""

from agent.core.relay.budget import BURST_S
from agent.core.relay.events import Limits
from agent.wire import stun
from tests.unit.agent.core.relay.relaying import PEER, TCP, UDP_ONLY, Caller, Place, code_of, table_sizes

LIFETIME = (stun.LIFETIME, b"\0\0\2\x58")
AIOICE = [LIFETIME, UDP_ONLY]
CHROMIUM = [UDP_ONLY]
# As turnutils_uclient -y -c of Debian 12 sends it, captured; it ends with 8 bytes of FINGERPRINT.
UCLIENT = [UDP_ONLY, (stun.LIFETIME, b"\0\0\3\x09"), (stun.EVEN_PORT, b"\0")]
NOTHING = (0,) * 7


def ask(attributes: list, method: int = stun.ALLOCATE) -> bytes:
    return stun.encode(method, stun.REQUEST, b"transaction!", attributes)


def test_challenge() -> None:
    """RFC 8489 section 9.2.4: REALM and NONCE, nothing else; for every method that needs a proof."""
    for method in (stun.ALLOCATE, stun.REFRESH, stun.CREATE_PERMISSION, stun.CHANNEL_BIND):
        place = Place()
        (answer,) = place.give(ask([UDP_ONLY], method), Caller(place).client)
        assert answer.kind == stun.ERROR and code_of(answer) == 401 and answer.method == method
        assert [kind for kind, _ in answer.attributes] == [stun.ERROR_CODE, stun.REALM, stun.NONCE]
        assert answer.transaction == b"transaction!" and answer.integrity_at == -1


def test_size_of_the_challenge() -> None:
    """The table above."""
    place = Place()
    sizes = []
    for attributes in (AIOICE, CHROMIUM, UCLIENT):
        request = stun.encode(stun.ALLOCATE, stun.REQUEST, bytes(12), attributes, None, attributes is UCLIENT)
        place.relay.receive(request, Caller(place).client, 0)
        sizes.append((len(request), len(place.relay.drain_outgoing()[0][0])))
    assert sizes == [(36, 56), (28, 56), (52, 56)]


def test_wrong_proofs() -> None:
    """401 for a wrong name, key, flipped byte; 400 for half of the credentials. No table grows."""
    place = Place()
    caller = Caller(place)
    caller.refresh(0)
    good = caller.signed(stun.ALLOCATE, [UDP_ONLY])
    for wrong in (good[:9] + b"\x55" + good[10:], good[:27] + b"\x01" + good[28:], good[:-1] + b"\x55"):
        assert code_of(place.give(wrong, caller.client)[0]) == 401
    caller.username = b"nobody"
    assert caller.allocate()[0] == 401
    hmac = (place.crypto.hmac_sha1, caller.key)
    half = stun.encode(stun.ALLOCATE, stun.REQUEST, bytes(12), [UDP_ONLY, (stun.USERNAME, b"ann")], hmac)
    assert code_of(place.give(half, caller.client)[0]) == 400
    assert table_sizes(place.relay) == NOTHING and place.relay.users == {}


def test_replay_from_elsewhere() -> None:
    """A request that was overheard is worth nothing from another address: its nonce is of the first."""
    place = Place()
    caller = Caller(place)
    caller.refresh(0)
    data = caller.signed(stun.ALLOCATE, [UDP_ONLY])
    assert code_of(place.give(data, Caller(place, 2).client)[0]) == 438
    assert caller.repeat(data)[0] == 0


def test_binding() -> None:
    """RFC 8489 section 6.3: without credentials; 420 for what is not understood."""
    place = Place()
    client = Caller(place).client
    (answer,) = place.give(ask([], stun.BINDING), client)
    assert [kind for kind, _ in answer.attributes] == [stun.XOR_MAPPED_ADDRESS]
    assert stun.read_xor_address(answer.attributes[0][1], answer.transaction) == client.source
    (answer,) = place.give(ask([(0x7777, b"")], stun.BINDING), client)
    assert code_of(answer) == 420 and answer.get(stun.UNKNOWN_ATTRIBUTES) == b"\x77\x77"


def test_junk() -> None:
    """Dropped and counted: not STUN, answers, indications that only servers send, unknown methods."""
    place = Place()
    client = Caller(place).client
    for data in (b"", b"x", bytes(20), b"\x40\0\0\1x", memoryview(ask([])[:-4]), bytes(2048)):
        assert place.give(data, client) == []  # type: ignore[arg-type]
    assert place.relay.counters == {"junk": 6}
    for method, kind in ((stun.ALLOCATE, stun.SUCCESS), (stun.ALLOCATE, stun.ERROR),
                         (stun.ALLOCATE, stun.INDICATION), (stun.SEND, stun.REQUEST),
                         (stun.DATA_INDICATION, stun.INDICATION), (0x0FF, stun.REQUEST)):  # fmt: skip
        assert place.give(stun.encode(method, kind, bytes(12), []), client) == []
    assert place.relay.counters == {"junk": 6, "unexpected": 6}
    assert place.give(stun.encode(stun.BINDING, stun.INDICATION, bytes(12), []), client) == []
    assert place.relay.counters == {"junk": 6, "unexpected": 6}, "a Binding indication keeps a NAT open"


def test_budget_of_a_prefix() -> None:
    """A few a second for each /24 and /56, then silence; TCP has none; who proves himself is always answered."""
    place = Place(Limits(20, 4, (50000, 50999), 0, 0, 4, True))
    caller = Caller(place)
    assert caller.allocate()[0] == 0
    client = Caller(place, 2).client
    answers = [len(place.give(ask(CHROMIUM), client)) for _ in range(100)]
    assert sum(answers) == 4 * BURST_S - 1 and answers[-1] == 0
    assert place.give(ask([], stun.BINDING), client) == []
    assert place.relay.counters["budget"] == 100 - sum(answers) + 1
    assert caller.permit(PEER) == 0, "a proof is above the budget"
    assert len(place.give(ask(CHROMIUM), Caller(place, 256).client)) == 1, "another /24"
    assert len(place.give(ask(CHROMIUM), Caller(place, 2, transport=TCP).client)) == 1
    place.now = 1000
    assert sum([len(place.give(ask(CHROMIUM), client)) for _ in range(100)]) == 4
