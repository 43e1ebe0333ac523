"""`python -m ota`, and `micropython -m ota`: look at a release without installing it; with the words of ota/client.py,
keep a device on the newest.

verify ENVELOPE --key FILE ... --threshold N     status 0: accepted; 1: refused, the report says why; 2: usage
inspect ENVELOPE [--key FILE ...]                status 0: readable, right digests, nothing a device refuses
"""

import sys

from ota import port
from ota.errors import CoreletError, LimitError, UsageError
from ota.keys import KEY_BYTES_MAX, read_key
from ota.manifest import ENVELOPE_BYTES_MAX
from ota.report import report, write_json

if False:
    from typing import Any

USAGE = "usage: verify ENVELOPE --key FILE [--key FILE ...] [--threshold N] | inspect ENVELOPE [--key FILE ...]"


def read(path: str, bytes_max: int) -> bytes:
    """A whole file; its size first, because MicroPython makes room for all that it is asked to read."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            data = file.read(size) if size <= bytes_max else b""
    except OSError as error:
        raise UsageError("file", f"expected a file that can be read, got error {error.errno} for {path}")
    if size > bytes_max:
        raise LimitError("too_big", f"expected a file of at most {bytes_max} bytes, got {size} in {path}")
    return data


def arguments(words: list[str]) -> "tuple[str, str, list[str], int]":
    """(command, envelope, key files, threshold; 0 = not given)."""
    places, keys, threshold = [], [], 0
    while words:
        word, *words = words
        if word in ("--key", "--threshold") and words:
            value, *words = words
            if word == "--key":
                keys.append(value)
            elif value.isdigit() and 0 < int(value) <= 99:
                threshold = int(value)
            else:
                raise UsageError("usage", f"expected --threshold with a number of keys, got {value}")
        elif word.startswith("--"):
            raise UsageError("usage", f"expected --key FILE or --threshold N, got {word}; {USAGE}")
        else:
            places.append(word)
    if len(places) != 2 or places[0] not in ("verify", "inspect") or (places[0] == "verify" and not keys):
        raise UsageError("usage", USAGE)
    return places[0], places[1], keys, threshold


def run(words: list[str]) -> int:
    if words and words[0] not in ("verify", "inspect") and words[0][:1] != "-":
        from ota import client  # here: who verifies has no room for it in a small heap

        if words[0] in client.COMMANDS:
            found, status = client.run(words)
            show(found)
            return status
    command, path, names, threshold = arguments(words)
    publics = [read_key(read(name, KEY_BYTES_MAX)) for name in names]
    for index, public in enumerate(publics):
        if public in publics[:index]:
            raise UsageError("key", f"expected each key once, got {names[index]} for a key that is there already")
    if command == "inspect":
        threshold = 0
    elif (threshold or 1) > len(names):
        raise UsageError("usage", f"expected at least as many keys as the threshold {threshold}, got {len(names)}")
    found = report(read(path, ENVELOPE_BYTES_MAX), names, tuple(publics), 0 if command == "inspect" else threshold or 1)
    show(found)
    return 0 if found["reason"] == "ok" else 1


def show(found: "dict[str, Any]") -> None:
    write_json(found, sys.stdout.write)
    print()


def main() -> int:
    port.begin()
    try:
        return run(sys.argv[1:])
    except CoreletError as error:
        show({"verdict": "reject", "reason": error.code, "text": error.text})
        return 2 if isinstance(error, UsageError) else 1


if __name__ == "__main__":
    sys.exit(main())
