"""The setup code and the QR text of a device.

What it is not: the frames (agent/wire/pairing_frames.py) or the proof (agent/core/pairing/).

Setup code: 60 bits as 12 Crockford base32 symbols, XXXX-XXXX-XXXX: 10 discriminator, 45 secret, 5 check.
The check symbol makes sum(symbol[i] * a**(11-i)) = 0 over GF(32), a**5 = a**2 + 1: every single
wrong symbol and every exchange of two symbols is noticed. No error text ever quotes a code.

Bounds: CODE_CHARS_MAX, QR_CHARS_MAX; a decoder raises PeerError and nothing else.
"""

from agent.errors import PeerError, UsageError

CODE_CHARS_MAX = 64
QR_CHARS_MAX = 160
HOST_CHARS_MAX = 100

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
SCHEME = "CORELET:"


def _check_symbol(symbols: list[int]) -> int:
    check = 0
    for symbol in symbols:
        check = (check ^ symbol) << 1  # times a
        if check & 32:
            check ^= 0b100101
    return check


def encode_code(discriminator: int, secret: int) -> str:
    """ "XXXX-XXXX-XXXX". UsageError("code") for numbers that do not fit in 10 and 45 bits."""
    if not 0 <= discriminator < 1 << 10 or not 0 <= secret < 1 << 45:
        raise UsageError("code", "expected a discriminator of 10 bits and a secret of 45 bits")
    value = discriminator << 45 | secret
    symbols = [value >> shift & 31 for shift in range(50, -1, -5)]
    text = "".join([ALPHABET[symbol] for symbol in symbols]) + ALPHABET[_check_symbol(symbols)]
    return text[:4] + "-" + text[4:8] + "-" + text[8:]


def decode_code(text: str) -> tuple[int, int]:
    """(discriminator, secret) of what a person typed. PeerError("code") says what is wrong with it."""
    if len(text) > CODE_CHARS_MAX:
        raise PeerError("code", "a setup code has 12 letters and digits; this text is much longer")
    symbols = []
    for position, letter in enumerate(text.upper().replace("-", "").replace(" ", "").strip()):
        symbol = ALPHABET.find({"O": "0", "I": "1", "L": "1"}.get(letter, letter))
        if symbol < 0:
            raise PeerError("code", f"character {position + 1} never occurs in a setup code: look at the code again")
        symbols.append(symbol)
    if len(symbols) != 12:
        raise PeerError(
            "code", f"a setup code has 12 letters and digits, like 7QK2-M9XD-4TPH; these are {len(symbols)}"
        )
    if _check_symbol(symbols[:11]) != symbols[11]:
        raise PeerError("code", "a character of this setup code is mistyped: compare it with the device's screen")
    value = 0
    for symbol in symbols[:11]:
        value = value << 5 | symbol
    return value >> 45, value & (1 << 45) - 1


def password(discriminator: int, secret: int) -> bytes:
    """What PBKDF2 takes: the code's 12 symbols in upper case, without dashes."""
    return encode_code(discriminator, secret).replace("-", "").encode()


def encode_qr(code: str, host: str, port: int) -> str:
    """CORELET:<code>?h=<host>&p=<port>, so that a camera also tells where the device is."""
    return f"{SCHEME}{code}?h={host}&p={port}"


def decode_qr(text: str) -> tuple[str, str, int]:
    """(code, host, port); host "" and port 0 where the text gives none. PeerError("qr"), PeerError("code")."""
    text = text.strip()
    if len(text) > QR_CHARS_MAX or text[: len(SCHEME)].upper() != SCHEME:
        raise PeerError("qr", "this is not the QR text of a device: it begins with CORELET: and a setup code")
    code, _, query = text[len(SCHEME) :].partition("?")
    code = encode_code(*decode_code(code))
    host, port = "", "0"
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name == "h":
            host = value
        elif name == "p":
            port = value
    is_number = 0 < len(port) <= 5 and all(digit in "0123456789" for digit in port)
    if not is_number or int(port) > 65535 or not _is_host(host, 0):
        raise PeerError("qr", "the address in this QR text is no host and port: type the setup code instead")
    return code, host, int(port)


def _is_host(text: str, least: int) -> bool:
    allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:%"
    return least <= len(text) <= HOST_CHARS_MAX and all(letter in allowed for letter in text)
