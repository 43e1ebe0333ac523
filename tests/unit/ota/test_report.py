"""What `verify` and `inspect` print."""

import json

from ota import cbor
from ota.report import report, write_json
from tests.unit.ota.making import KEYS, envelope, manifest, public, shared, signature

PUBLICS = tuple([public(scalar) for scalar in KEYS[:3]])
NAMES = ["one", "two", "three"]


def text_of(value):
    pieces = []
    write_json(value, pieces.append)
    return "".join(pieces)


def told(data, threshold=2):
    return json.loads(text_of(report(data, NAMES, PUBLICS, threshold)))


def test_an_accepted_release():
    found = told(envelope())
    assert (found["verdict"], found["reason"], found["verified"]) == ("accept", "ok", ["one", "two"])
    assert found["digest_ok"] and found["sequence"] == 7 and found["components"] == [["00"]]
    assert [row["code"] for row in found["trace"]] == [20, 1, 2, 3, 20, 21, 3]
    assert [row["sequence"] for row in found["trace"]] == ["shared"] * 3 + ["validate"] + ["install"] * 3
    assert found["trace"][4]["argument"] == {"uri": "full/1"} and found["trace"][5]["command"] == "fetch"


def test_a_refused_one_says_what_was_right_all_the_same():
    found = told(envelope(scalars=(KEYS[2], 99)))
    assert (found["verdict"], found["reason"], found["verified"]) == ("reject", "signature", ["three"])
    assert found["digest_ok"] and [one["verifies_with"] for one in found["auth"]] == ["three", None]
    found = told(envelope(scalars=KEYS[:1]))
    assert (found["reason"], found["verified"], found["threshold"]) == ("threshold", ["one"], 2)
    signed = cbor.decode(cbor.decode(envelope(), (107,)).value[2])[0]
    strange = signature(KEYS[0], signed, b"", {1: -8})
    found = told(envelope(signatures=[strange]))
    assert found["reason"] == "algorithm" and found["auth"][0]["alg"] is None and "-8" in found["auth"][0]["text"]


def test_inspection_shows_what_a_device_refuses():
    branch = cbor.encode([20, {18: b"content", -5: 1}, 99, {"a": [b"\xff", None, True]}])
    data = envelope(manifest(commands=shared() + [12, True, 15, [branch, None], 32, branch]), ())
    found = told(data, 0)
    assert (found["verdict"], found["reason"]) == ("reject", "unsupported") and found["digest_ok"]
    rows = [(row["sequence"], row["code"], row["command"]) for row in found["trace"]]
    assert rows[3:9] == [
        ("shared", 12, "set-component-index"), ("shared", 15, "try-each"), ("shared/0", 20, "override-parameters"),
        ("shared/0", 99, ""), ("shared", 32, "run-sequence"), ("shared/0", 20, "override-parameters"),
    ]  # fmt: skip
    assert found["trace"][5]["argument"] == {"-5": 1, "content": b"content".hex()}
    assert found["trace"][6] == {
        "sequence": "shared/0", "component": True, "code": 99, "command": "", "argument": {"a": ["ff", None, True]}
    }  # fmt: skip
    assert told(envelope(scalars=()), 0)["verdict"] == "readable"


def test_what_cannot_be_read():
    for data in (b"", b"\0", cbor.encode({2: b"", 3: b""}), cbor.encode({2: cbor.encode([]), 3: b"\xa0"})):
        found = told(data)
        assert found["verdict"] == "reject" and found["reason"] in ("cbor", "manifest") and "unreadable" in found
    for member in (b"\x81\x03", b"\xff", cbor.encode(["x", 1]), cbor.encode(5)):
        found = told(envelope(manifest(members={9: member})))
        assert "unreadable" in found["trace"][4] and found["reason"] in ("cbor", "manifest")
    nested = [3, 15]
    for _ in range(9):
        nested = [32, cbor.encode(nested)]
    assert "unreadable" in told(envelope(manifest(members={9: cbor.encode(nested)})))["trace"][-4]


def test_json_is_the_same_everywhere():
    assert text_of({"b": [], "a": {}, "c": [1, -2, [None, True, False]]}) == (
        '{"a": {}, "b": [], "c": [1, -2, [null, true, false]]}'
    )
    assert text_of({'"': "\\\n\x7fé\U0001f600", "z": b"\x00\xff"}) == (
        '{"\\u0022": "\\u005c\\u000a\\u007f\\u00e9\\ud83d\\ude00", "z": "00ff"}'
    )
