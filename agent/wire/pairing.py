"""The setup code and the QR text of a device.

What it is not: the frames (agent/wire/pairing_frames.py) or the proof (agent/core/pairing/).

Setup code: 60 bits as 12 Crockford base32 symbols, XXXX-XXXX-XXXX: 10 discriminator, 45 secret, 5 check.
The check symbol makes sum(symbol[i] * a**(11-i)) = 0 over GF(32), a**5 = a**2 + 1: every single
wrong symbol and every exchange of two symbols is noticed. No error text ever quotes a code.

Reading them is the core's half: agent/wire/full_core.py.
"""

from agent.errors import UsageError

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
SCHEME = "CORELET:"


def check_symbol(symbols: list[int]) -> int:
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
    text = "".join([ALPHABET[symbol] for symbol in symbols]) + ALPHABET[check_symbol(symbols)]
    return text[:4] + "-" + text[4:8] + "-" + text[8:]


def password(discriminator: int, secret: int) -> bytes:
    """What PBKDF2 takes: the code's 12 symbols in upper case, without dashes."""
    return encode_code(discriminator, secret).replace("-", "").encode()


def encode_qr(code: str, host: str, port: int) -> str:
    """CORELET:<code>?h=<host>&p=<port>, so that a camera also tells where the device is."""
    return f"{SCHEME}{code}?h={host}&p={port}"
