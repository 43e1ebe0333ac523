"""The full core's half of the wire formats, which no board gets: tokens, receipts, and the codes that people type.

The other half, and the tables of both, are in token.py and pairing.py; that of pairing is agent/core/pairing/prover.py.
Bounds: CODE_CHARS_MAX, QR_CHARS_MAX and those of the tables; a decoder raises PeerError (of a receipt: TrustError) and
nothing else.
"""

from agent.errors import PeerError, TrustError
from agent.wire import cose, pairing, pairing_frames, token
from agent.wire.shape import fits
from agent.wire.token import Claims, Receipt

if False:
    from agent.port import contract

CODE_CHARS_MAX = 64
QR_CHARS_MAX = 160


def encode_token(codec: "contract.Codec", crypto: "contract.Crypto", link_secret: bytes, claims: Claims) -> str:
    """The value after `Bearer `. UsageError("token") when a claim is out of range."""
    payload = token.encode_fields(codec, token.CLAIMS, claims)
    data = cose.mac0(codec, crypto, token.token_key(crypto, link_secret), payload, claims.core.encode())
    return token.to_base64url(data)


def decode_receipt(codec: "contract.Codec", crypto: "contract.Crypto", link_secret: bytes, data: bytes) -> Receipt:
    """TrustError "receipt" (not one) or "mac" (not from this device). The caller compares it with what it asked for."""
    if len(data) > token.RECEIPT_BYTES_MAX:
        raise TrustError("receipt", f"A receipt has at most {token.RECEIPT_BYTES_MAX} bytes, this one has {len(data)}.")
    try:
        payload = cose.open_mac0(codec, crypto, token.receipt_key(crypto, link_secret), data)
        return Receipt(*token.decode_fields(codec, token.RECEIPT, payload))
    except PeerError as error:
        raise TrustError("receipt", "That is not a receipt: " + error.text)


def decode_code(text: str) -> tuple[int, int]:
    """(discriminator, secret) of what a person typed. PeerError("code") says what is wrong with it."""
    if len(text) > CODE_CHARS_MAX:
        raise PeerError("code", "a setup code has 12 letters and digits; this text is much longer")
    symbols = []
    for position, letter in enumerate(text.upper().replace("-", "").replace(" ", "").strip()):
        symbol = pairing.ALPHABET.find({"O": "0", "I": "1", "L": "1"}.get(letter, letter))
        if symbol < 0:
            raise PeerError("code", f"character {position + 1} never occurs in a setup code: look at the code again")
        symbols.append(symbol)
    if len(symbols) != 12:
        raise PeerError(
            "code", f"a setup code has 12 letters and digits, like 7QK2-M9XD-4TPH; these are {len(symbols)}"
        )
    if pairing.check_symbol(symbols[:11]) != symbols[11]:
        raise PeerError("code", "a character of this setup code is mistyped: compare it with the device's screen")
    value = 0
    for symbol in symbols[:11]:
        value = value << 5 | symbol
    return value >> 45, value & (1 << 45) - 1


def decode_qr(text: str) -> tuple[str, str, int]:
    """(code, host, port); host "" and port 0 where the text gives none. PeerError("qr"), PeerError("code")."""
    text = text.strip()
    if len(text) > QR_CHARS_MAX or text[: len(pairing.SCHEME)].upper() != pairing.SCHEME:
        raise PeerError("qr", "this is not the QR text of a device: it begins with CORELET: and a setup code")
    code, _, query = text[len(pairing.SCHEME) :].partition("?")
    code = pairing.encode_code(*decode_code(code))
    host, port = "", "0"
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name == "h":
            host = value
        elif name == "p":
            port = value
    is_number = 0 < len(port) <= 5 and all(digit in "0123456789" for digit in port)
    if not is_number or int(port) > 65535 or not fits(host, ("host", 0, pairing_frames.HOST_CHARS_MAX)):
        raise PeerError("qr", "the address in this QR text is no host and port: type the setup code instead")
    return code, host, int(port)
