"""Tokens and receipts: what went in comes out, and nothing else does."""

from agent import port
from agent.errors import TrustError, UsageError
from agent.wire import cose, full_core, token
from tests.expect import raises

SECRET = bytes(range(32))
CORE = "00112233445566aa"
DEVICE = "ffeeddccbbaa0099"
CLAIMS = token.Claims(CORE, DEVICE, 1_700_000_600, b"\0\5abcdef", "put", bytes(range(32)), 65_408, 1_800_000_000)


def encode(claims=CLAIMS, secret=SECRET):
    return full_core.encode_token(port.codec(), port.crypto(), secret, claims)


def decode(text, secrets=None):
    return token.decode_token(port.codec(), port.crypto(), {CORE: SECRET} if secrets is None else secrets, text)


def changed(**values):
    fields = dict(zip(("core", "device", "expiry", "token_id", "operation", "shard", "size", "keep_until"), CLAIMS))
    fields.update(values)
    return token.Claims(**fields)


def forged(payload, kid=b"00112233445566aa"):
    """A token with a right MAC and this payload."""
    codec, crypto = port.codec(), port.crypto()
    key = crypto.hkdf_sha256(SECRET, b"", b"corelet token v1", 32)
    return token.to_base64url(cose.mac0(codec, crypto, key, payload, kid))


def test_round_trip():
    text = encode()
    assert len(text) <= token.TOKEN_CHARS_MAX and "=" not in text
    assert decode(text) == CLAIMS
    assert decode(text, {CORE: SECRET}.get) == CLAIMS
    for operation in token.OPERATIONS:
        assert decode(encode(changed(operation=operation))).operation == operation


def test_wrong_key_and_unknown_core():
    assert raises(TrustError, decode, encode(), {CORE: bytes(32)}).code == "mac"
    assert raises(TrustError, decode, encode(), {}).code == "core"
    assert raises(TrustError, decode, encode(), lambda core: None).code == "core"


def test_a_receipt_is_no_token_and_a_token_no_receipt():
    receipt = token.Receipt(DEVICE, 7, b"\0\7abcdef", "put", bytes(32), 10, "stored")
    data = token.encode_receipt(port.codec(), port.crypto(), SECRET, receipt)
    assert full_core.decode_receipt(port.codec(), port.crypto(), SECRET, data) == receipt
    assert raises(TrustError, full_core.decode_receipt, port.codec(), port.crypto(), bytes(32), data).code == "mac"
    as_token = token.to_base64url(data)
    assert raises(TrustError, decode, as_token, {CORE: SECRET, DEVICE: SECRET}).code == "mac"
    as_receipt = token.from_base64url(encode())
    assert raises(TrustError, full_core.decode_receipt, port.codec(), port.crypto(), SECRET, as_receipt).code == "mac"


def test_receipt_rubbish():
    for data in (b"", b"\xff" * 64, b"\xd1" * 600):
        assert raises(TrustError, full_core.decode_receipt, port.codec(), port.crypto(), SECRET, data).code == "receipt"


def test_the_kid_is_never_a_path():
    asked = []
    payload = port.codec().encode({1: CORE})
    for kid in (b"../../etc/passwd", b"\xff\xfe", b"", b"AABBCCDDEEFF0011"):
        assert raises(TrustError, decode, forged(payload, kid), asked.append).code == "token"
    assert asked == []


def test_claims_of_another_core():
    codec = port.codec()
    names = (1, 3, 4, 7, 100, 101, 102, 103)
    other = changed(core="1111111111111111")
    text = forged(codec.encode(dict(zip(names, other))))
    assert raises(TrustError, decode, text).code == "core"


def test_shapes_that_are_refused():
    codec = port.codec()
    good = {1: CORE, 3: DEVICE, 4: 1, 7: bytes(8), 100: "put", 101: bytes(32), 102: 1, 103: 0}
    assert decode(forged(codec.encode(good))).size == 1
    wrong = (
        (1, 5), (3, "short"), (3, "FFEEDDCCBBAA0099"), (4, -1), (4, True), (4, 1 << 60), (7, bytes(7)), (7, "abcdefgh"),
        (100, "PUT"), (100, 1), (101, bytes(31)), (102, None), (103, b""),
    )  # fmt: skip
    for key, value in wrong:
        bad = dict(good)
        bad[key] = value
        assert raises(TrustError, decode, forged(codec.encode(bad))).code == "token", (key, value)
    for bad in ({1: CORE}, good | {104: 1}, [], 5, {}):
        assert raises(TrustError, decode, forged(codec.encode(bad))).code == "token"
    assert raises(TrustError, decode, forged(b"\xff\xff")).code == "token"


def test_text_that_is_refused():
    text = encode()
    for bad in ("", "A", "A" * 513, text + "=", text[:-1] + " ", text + "\n", "é" * 8, "+/" * 8, text[:-1], text[1:]):
        assert raises(TrustError, decode, bad).code in ("token", "mac"), bad
    assert token.to_base64url(b"\xff\xfe") == "__4"
    assert raises(TrustError, token.from_base64url, "__5").code == "token"  # the same bytes, another text


def test_every_flipped_bit_is_refused():
    data = bytearray(token.from_base64url(encode()))
    for at in range(0, len(data), 3):
        data[at] ^= 1 << at % 8
        assert raises(TrustError, decode, token.to_base64url(bytes(data))).code in ("token", "mac", "core")
        data[at] ^= 1 << at % 8


def test_encoding_refuses_what_decoding_would():
    for values in ({"core": "x"}, {"size": -1}, {"operation": "post"}, {"token_id": b"1"}, {"shard": bytes(33)}):
        assert raises(UsageError, encode, changed(**values)).code == "token"


def test_ids_carry_the_boot():
    assert token.token_id(5, b"abcdef") == b"\0\5abcdef"
    assert token.is_of_boot(token.token_id(65_536 + 5, b"abcdef"), 5)
    assert not token.is_of_boot(token.token_id(6, b"abcdef"), 5)


def test_names_and_secret_without_a_core():
    crypto = port.crypto()
    core, device, secret = token.alone(crypto, b"sixteen bytes...")
    assert (len(core), len(device), len(secret)) == (16, 16, 32) and core != device
    assert token.alone(crypto, b"sixteen bytes...\r\n") == (core, device, secret), "an editor's line end"
    assert token.alone(crypto, b"sixteen bytes../")[0] != core
    assert raises(UsageError, token.alone, crypto, b"fifteen bytes..\n").code == "usage"


def test_dated_ids_hold_for_what_started_before():
    made = token.dated_id(1_700_000_000_017, b"abcdefgh")
    assert len(made) == token.TOKEN_ID_BYTES and made[5:] == b"abc"
    for start_ms, is_good in ((1_700_000_000_000, True), (1_700_000_000_009, True), (1_700_000_000_010, False)):
        assert token.is_of_boot(made, token.boot_at(start_ms)) is is_good
    assert not token.is_of_boot(made, token.boot_at(1_700_000_000_020))
    assert not token.is_of_boot(token.token_id(5, b"abcdefgh"), token.boot_at(1_700_000_000_000))
