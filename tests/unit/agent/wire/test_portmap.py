"""PCP and NAT-PMP bytes: RFC 6887 sections 7 and 11, RFC 6886 section 3; answers as Debian's miniupnpd 2.3.1 gives."""

from agent.errors import PeerError
from agent.wire import portmap
from tests.expect import raises
from tests.sim.chance import Xorshift32

NONCE = b"n" * 12
OWN = b"\xc0\xa8\x07\x02"
MAPPED = "00000000000000000000ffff"
PCP_ANSWER = "0281000000000005" + "0000001b" + "00" * 12 + "6e" * 12 + "11000000" + "0fa10fa1" + MAPPED + "0b162101"
PMP_ADDRESS = "008000000000001b0b162101"
PMP_MAP = "008100000000001b0fa00fa000000005"
UNKNOWN_VERSION = "028100010000000000" + "00001b" + "00" * 12


def test_requests():
    data = portmap.pcp_request(NONCE, OWN, (17, 4001), 4002, 7200)
    head = "02010000" + "00001c20" + MAPPED + "c0a80702" + "6e" * 12
    assert data.hex() == head + "11000000" + "0fa10fa2" + MAPPED + "00000000"
    assert portmap.nat_pmp_request((17, 4000), 4001, 7200).hex() == "000100000fa00fa100001c20"
    assert portmap.nat_pmp_request((6, 4000), 4001, 0).hex() == "000200000fa0000000000000"


def test_a_pinhole():
    """RFC 6887 section 11.1: for IPv6 the suggested address is ::, and what is assigned is our own."""
    own = "26000001000200030000000000000002"
    data = portmap.pcp_request(NONCE, bytes.fromhex(own), (17, 3478), 3478, 7200)
    assert data.hex() == "02010000" + "00001c20" + own + "6e" * 12 + "11000000" + "0d960d96" + "00" * 16
    said = "0281000000001c20" + "0000001b" + "00" * 12 + "6e" * 12 + "11000000" + "0d960d96"
    assert portmap.decode(bytes.fromhex(said + own)).external == (bytes.fromhex(own), 3478)
    assert portmap.decode(bytes.fromhex(said + "00" * 16)).external == (bytes(4), 3478)


def test_answers():
    assert portmap.decode(bytes.fromhex(PCP_ANSWER)) == portmap.Answer(
        portmap.PCP, 0, 27, 5, NONCE, (17, 4001), (b"\x0b\x16\x21\x01", 4001)
    )
    assert portmap.decode(bytes.fromhex(PMP_ADDRESS)) == portmap.Answer(
        portmap.NAT_PMP, 0, 27, 0, b"", None, (b"\x0b\x16\x21\x01", 0)
    )
    assert portmap.decode(bytes.fromhex(PMP_MAP)) == portmap.Answer(
        portmap.NAT_PMP, 0, 27, 5, b"", (17, 4000), (b"", 4000)
    )
    assert portmap.decode(bytes.fromhex(UNKNOWN_VERSION))[:2] == (portmap.PCP, 1)
    assert portmap.decode(bytes.fromhex("0080000100000002"))[:2] == (portmap.NAT_PMP, 1)
    longer = bytes.fromhex(PCP_ANSWER) + bytes(8)  # with an option
    assert portmap.decode(longer).external == (b"\x0b\x16\x21\x01", 4001)


def test_what_is_no_answer():
    good = [bytes.fromhex(text) for text in (PCP_ANSWER, PMP_ADDRESS, PMP_MAP, UNKNOWN_VERSION)]
    for data in good:
        for size in range(len(data)):
            assert raises(PeerError, portmap.decode, data[:size]).code == "portmap"
        assert raises(PeerError, portmap.decode, data[:1] + bytes([data[1] & 0x7F]) + data[2:]).code == "portmap"
        assert raises(PeerError, portmap.decode, b"\1" + data[1:]).code == "portmap"
        assert raises(PeerError, portmap.decode, data + b"\0").code == "portmap"
    assert raises(PeerError, portmap.decode, good[0] + bytes(1044)).code == "portmap"


def test_any_bytes():
    """Invariant: whatever comes, decode gives an Answer of numbers in their ranges, or PeerError("portmap")."""
    rng = Xorshift32(5)
    good = [bytes.fromhex(text) for text in (PCP_ANSWER, PMP_ADDRESS, PMP_MAP, UNKNOWN_VERSION)]
    taken = 0
    for _ in range(3000):
        data = bytearray(good[rng.below(4)])
        for _ in range(1 + rng.below(4)):
            data[rng.below(len(data))] = rng.below(256)
        if rng.chance(200):
            data = data[: rng.below(len(data))]
        try:
            answer = portmap.decode(bytes(data))
        except PeerError as error:
            assert error.code == "portmap"
            continue
        taken += 1
        assert answer.version in (0, 2) and len(answer.nonce) in (0, 12) and len(answer.external[0]) in (0, 4, 16)
        assert answer.want is None or (0 <= answer.want[0] < 256 and 0 <= answer.want[1] < 65536)
    assert 500 < taken < 3000
