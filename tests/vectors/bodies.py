"""Both bodies of the port's crypto and codec side by side under CPython.

MicroPython's body finds AES in `cryptolib`; here a stand-in made of pycryptodome's ECB and CBC takes its place.
"""

import sys
from types import ModuleType
from typing import Any

import pytest
from Crypto.Cipher import AES


def aes(key: bytes, mode: int, iv: bytes | None = None) -> Any:
    """`cryptolib.aes`."""
    if mode == 1:
        return AES.new(key, AES.MODE_ECB)
    assert mode == 2 and iv is not None
    return AES.new(key, AES.MODE_CBC, iv=iv)


_cryptolib = ModuleType("cryptolib")
_cryptolib.aes = aes  # type: ignore[attr-defined]
sys.modules.setdefault("cryptolib", _cryptolib)

from agent.port.cpython import codec as library_codec  # noqa: E402  (after cryptolib has its stand-in)
from agent.port.cpython import crypto as library_crypto  # noqa: E402
from agent.port.micropython import crypto as own_crypto  # noqa: E402
from ota import cbor as own_codec  # noqa: E402

CRYPTOS = (library_crypto, own_crypto)
CODECS = (library_codec, own_codec)

each_crypto = pytest.mark.parametrize("crypto", CRYPTOS, ids=("library", "own"))
each_codec = pytest.mark.parametrize("codec", CODECS, ids=("library", "own"))


def outcome(call: Any, *arguments: Any) -> Any:
    """("value", result) or ("error", class name, code): what must be equal on both sides. Other exceptions pass."""
    from agent.errors import CoreletError

    try:
        return "value", call(*arguments)
    except CoreletError as error:
        return "error", type(error).__name__, error.code
