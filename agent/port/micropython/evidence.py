"""What tells this board from others, and what this MicroPython cannot do (contract.Health)."""

import os
import sys

from agent.port import board

# _mpy's bits 10 and up: the machine code this interpreter takes (py/persistentcode.h).
ARCHITECTURES = " x86 x86_64 armv6 armv6m armv7m armv7em armv7em armv7em xtensa xtensawin".split(" ")
PACKAGE = "the OpenWrt package micropython-mbedtls (1.25 or newer), or a build with MICROPY_PY_SSL and MBEDTLS"


def board_evidence() -> dict[str, str]:
    code = (sys.implementation._mpy >> 10) & 15
    architecture = ARCHITECTURES[code] if code < len(ARCHITECTURES) else ""
    version = ".".join([str(part) for part in sys.implementation.version[:3]])
    return board.evidence(architecture, "micropython " + version)


def _has(module: str, name: str) -> bool:
    try:
        return name in dir(__import__(module))
    except ImportError:
        return False


def missing_features() -> list[tuple[str, str]]:
    missing = []
    for feature, module, name in (
        ("tls", "tls", "SSLContext"),
        ("sha1", "hashlib", "sha1"),
        ("aes", "cryptolib", "aes"),
    ):
        if not _has(module, name):
            text = f"This MicroPython has no {feature} ({module}.{name}): install {PACKAGE}; "
            missing.append((feature, text + "the feature is off until then."))
    if "system" not in dir(os):
        missing.append(("shell", "This MicroPython has no os.system: start it with umask 077, then none is needed."))
    return missing
