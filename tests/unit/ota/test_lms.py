"""HSS/LMS (RFC 8554); the whole of the published cases, from the files of tests/vectors/data/suit."""

import json

from ota import lms

DATA = "tests/vectors/data/suit/"


def cases():
    with open(DATA + "hss-lms.json") as file:
        for case in json.load(file):
            yield case["name"], [bytes.fromhex(case[word]) for word in ("public", "message", "signature")]


def test_published_signatures():
    verdicts = {name: lms.verify(*fields) for name, fields in cases()}
    assert verdicts == {"RFC8554Example": True, "CryptechLMS5LMOTS4": True, "SHA256192": False}


def test_the_kind_of_a_key_is_its_types():
    publics = {name: fields[0] for name, fields in cases()}
    assert lms.is_public(publics["RFC8554Example"]) and not lms.is_public(publics["SHA256192"])
    good = publics["CryptechLMS5LMOTS4"]
    for offset, value in ((3, 0), (3, 9), (7, 4), (7, 10), (11, 0), (11, 5), (0, 1)):
        changed = bytearray(good)
        changed[offset] = value
        assert not lms.is_public(bytes(changed)), (offset, value)
    assert not lms.is_public(good + b"\0") and not lms.is_public(good[:-1]) and not lms.is_public(b"")


def test_changed_signatures():
    """One byte more or less, or a bit anywhere: of the first signature of two levels, of the key, of the message."""
    public, message, signature = dict(cases())["RFC8554Example"]
    assert not lms.verify(public, message, signature + b"\0") and not lms.verify(public, message, b"")
    for length in (3, 4, 12, 1200, 1296, 1300, 1351, 1352, 2643):
        assert not lms.verify(public, message, signature[:length]), length
    for index in range(0, len(signature), 97):
        changed = bytearray(signature)
        changed[index] ^= 1 << index % 8
        assert not lms.verify(public, message, bytes(changed)), index
    for index in range(0, 60, 7):
        changed = bytearray(public)
        changed[index] ^= 128
        assert not lms.verify(bytes(changed), message, signature), index
    assert not lms.verify(public, message + b"\0", signature)
