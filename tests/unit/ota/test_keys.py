"""Files of public keys."""

from binascii import b2a_base64

from ota import cbor, keys
from ota.errors import UsageError
from tests.expect import raises
from tests.unit.ota.making import KEYS, public

POINT = public(KEYS[0])
X, Y = POINT[1:33], POINT[33:]
HSS = bytes.fromhex("000000010000000500000003") + bytes(range(48))


def pem(head, key, label="PUBLIC KEY"):
    body = b2a_base64(head + key).strip()
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    edge = "-----%s " + label + "-----"
    return b"\n".join([(edge % "BEGIN").encode()] + lines + [(edge % "END").encode(), b""])


def test_each_form():
    for data, key in (
        (HSS, HSS),
        (cbor.encode({1: 2, -1: 1, -2: X, -3: Y}), POINT),
        (cbor.encode({1: 2, 2: b"kid", 3: -9, 4: [2], -1: 1, -2: X, -3: Y}), POINT),
        (cbor.encode({1: 2, 3: -7, -1: 1, -2: X, -3: Y}), POINT),
        (cbor.encode({1: 5, 3: -46, -1: HSS}), HSS),
        (cbor.encode({1: 5, -1: HSS}), HSS),
        (pem(keys._P256_HEAD, POINT), POINT),
        (b" \r\n" + pem(keys._P256_HEAD, POINT).replace(b"\n", b"\r\n") + b"\n", POINT),
        (pem(keys._HSS_HEAD, HSS), HSS),
    ):
        assert keys.read_key(data) == key


def test_others_are_refused():
    off_curve = POINT[:-1] + bytes([POINT[-1] ^ 1])
    good = {1: 2, -1: 1, -2: X, -3: Y}
    for data in (
        b"", b"\0", HSS[:-1], HSS + b"\0", b"\1" + HSS[1:], HSS[:7] + b"\x0a" + HSS[8:], POINT, b"\0" * 60,
        cbor.encode([good]), cbor.encode(good) + b"\0", bytes(keys.KEY_BYTES_MAX + 1),
        pem(keys._P256_HEAD, off_curve), pem(keys._P256_HEAD, POINT + b"\0"), pem(keys._P256_HEAD, b""),
        pem(keys._P256_HEAD, POINT, "PRIVATE KEY"), pem(keys._P256_HEAD, POINT)[:-5],
        pem(keys._P256_HEAD, POINT).replace(b"M", b"!", 1), pem(keys._P256_HEAD, POINT)[:60] + keys._PEM[1],
        pem(keys._HSS_HEAD, HSS[:-1]), keys._PEM[0], keys._PEM[0] + keys._PEM[1],
    ):  # fmt: skip
        assert raises(UsageError, keys.read_key, data).code == "key", data
    for change in (
        {1: 1}, {1: 4}, {1: 5}, {-1: 2}, {-1: True}, {-2: X + b"\0"}, {-2: X[1:]}, {-2: 5}, {-3: True}, {-3: None},
        {3: -8}, {3: -46}, {3: True}, {2: "kid"}, {4: [1]}, {4: [1, 2]}, {4: 2}, {-4: b"secret"}, {5: b""}, {"x": 1},
    ):  # fmt: skip
        assert raises(UsageError, keys.read_key, cbor.encode(good | change)).code == "key", change
    for change in ({-1: HSS[:-1]}, {-1: 5}, {3: -9}, {-2: b""}, {1: 2}):
        assert raises(UsageError, keys.read_key, cbor.encode({1: 5, -1: HSS} | change)).code == "key", change
