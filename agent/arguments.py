"""What commands that need no state make of their options. UsageError("usage") names the option and what it takes.

Bounds: WORDS_MAX words with commas between them, files of FILE_BYTES_MAX.
"""

from agent import port
from agent.errors import UsageError

WORDS_MAX = 16
FILE_BYTES_MAX = 65536


def number(option: str, text: str, low: int, high: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise UsageError("usage", f"{option} takes {low} to {high}; '{text}' came")
    return value


def split(text: str) -> list[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if len(words) > WORDS_MAX:
        raise UsageError("usage", f"at most {WORDS_MAX} addresses in one option, got {len(words)}")
    return words


def place(word: str, default: str, low: int) -> tuple[str, int]:
    """(host, port) of ADDR:PORT, [ADDR]:PORT or ADDR."""
    host, _, port_text = word.rpartition(":") if word.count(":") == 1 or "]:" in word else (word, "", "")
    if not port_text and not default:
        raise UsageError("usage", f"--listen takes ADDR:PORT, such as 127.0.0.1:8481; '{word}' came")
    return host.strip("[]"), number("--listen", port_text or default, low, 65535)


def secret(path: str) -> bytes:
    """Of a file that only its owner can read. PortError when there is none."""
    if not port.files.is_private(path):
        raise UsageError("usage", f"{path} holds secrets and others may read it; close it with: chmod 600 {path}")
    return port.files.read(path, FILE_BYTES_MAX)
