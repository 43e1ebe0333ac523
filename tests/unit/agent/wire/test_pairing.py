"""Setup codes as people type them, QR texts as cameras read them."""

from agent.errors import PeerError, UsageError
from agent.wire import full_core, pairing
from tests.expect import raises

CODE = "G514-D2PF-2DBR"
NUMBERS = (517, 0x123456789AB)


def test_code_there_and_back() -> None:
    assert pairing.encode_code(*NUMBERS) == CODE
    assert full_core.decode_code(CODE) == NUMBERS
    assert pairing.password(*NUMBERS) == b"G514D2PF2DBR"


def test_code_as_people_type_it() -> None:
    for text in ("g514-d2pf-2dbr", " G514 D2PF 2DBR\n", "G5I4D2PF2DBR", "g5l4--d2pf2dbr"):
        assert full_core.decode_code(text) == NUMBERS
    assert full_core.decode_code("OOOO-oooo-0000") == (0, 0)


def test_code_says_what_is_wrong() -> None:
    cases = (
        ("", "these are 0"),
        ("G514-D2PF-2DB", "these are 11"),
        ("G514-D2PF-2DBRR", "these are 13"),
        ("G514-D2PU-2DBR", "character 8 never"),
        ("G514-D2P\x1b-2DBR", "character 8 never"),
        ("G514-D2PF-2DBé", "character 12 never"),
        ("G514-D2PF-2DBS", "mistyped"),
        ("G" * 65, "much longer"),
    )
    for text, part in cases:
        error = raises(PeerError, full_core.decode_code, text)
        assert error.code == "code" and part in error.text
        assert "D2P" not in error.text, "an error text must not carry the code into a log"


def test_every_single_mistake_and_every_swap_is_noticed() -> None:
    letters = CODE.replace("-", "")
    for index in range(12):
        for letter in pairing.ALPHABET:
            if letter != letters[index]:
                raises(PeerError, full_core.decode_code, letters[:index] + letter + letters[index + 1 :])
        for other in range(index):
            if letters[other] != letters[index]:
                middle = letters[other + 1 : index]
                swapped = letters[:other] + letters[index] + middle + letters[other] + letters[index + 1 :]
                raises(PeerError, full_core.decode_code, swapped)


def test_code_numbers_out_of_range() -> None:
    for numbers in ((-1, 0), (1024, 0), (0, -1), (0, 1 << 45)):
        assert raises(UsageError, pairing.encode_code, *numbers).code == "code"


def test_qr_there_and_back() -> None:
    for host in ("192.0.2.9", "fe80::1%eth0", "attic-pi.local"):
        text = pairing.encode_qr(CODE, host, 7411)
        assert text == "CORELET:" + CODE + "?h=" + host + "&p=7411"
        assert full_core.decode_qr(text) == (CODE, host, 7411)
    assert full_core.decode_qr("corelet:g514d2pf2dbr\n") == (CODE, "", 0)
    assert full_core.decode_qr("CORELET:" + CODE + "?x=1&p=80") == (CODE, "", 80)


def test_qr_refuses_what_is_no_address() -> None:
    for tail in (
        "?p=65536",
        "?p=-1",
        "?p=1e3",
        "?p=",
        "?h=a b",
        "?h=a/b",
        "?h=a@b",
        "?h=<b>",
        "?h=\x1b[31m",
        "?p=999999",
    ):
        assert raises(PeerError, full_core.decode_qr, "CORELET:" + CODE + tail).code == "qr"
    for text in ("", CODE, "MATTER:" + CODE, "CORELET:" + CODE + "?h=" + "a" * 200):
        assert raises(PeerError, full_core.decode_qr, text).code == "qr"
    assert raises(PeerError, full_core.decode_qr, "CORELET:" + CODE[:-1] + "0").code == "code"
