"""RFC 5915 private keys. What OpenSSL says of them: tests/e2e/test_certificates.py."""

from agent.errors import UsageError
from agent.wire import sec1
from tests.expect import raises

POINT = b"\x04" + bytes(range(64))


def test_layout() -> None:
    der = sec1.encode_sec1(0x0102, POINT)
    assert len(der) == 121
    assert der[:2] == b"\x30\x77" and der[7:39] == (0x0102).to_bytes(32, "big") and der[-65:] == POINT


def test_wrong_shapes() -> None:
    for scalar, point in ((0, POINT), (1 << 256, POINT), (1, POINT[:64]), (1, b"\x02" + POINT[1:33])):
        assert raises(UsageError, sec1.encode_sec1, scalar, point).code == "key"
