"""Invariant: any CBOR body of a birth or a telemetry gives a complete typed record, or a PeerError, never another
exception; a record is JSON, holds nothing that a terminal obeys, and the core's views can be made of it."""

import ipaddress
import json
import os
import random
import string
import unicodedata
from typing import Any

from agent import port
from agent.core import birth, presence, relayed
from agent.errors import PeerError
from agent.wire import envelope
from boards import schema
from tests.unit.agent.core.test_birth import HONEST
from tools.gateway.command import screen

ROUNDS = 300_000 if os.environ.get("CORELET_FULL") == "1" else 10_000
CODEC = port.codec()
DEVICE = "00112233445566aa"
NAMES = [row[0] for row in birth.FIELDS + birth.TELEMETRY] + ["x", "", 0, 7]
NUMBERS = (0, 1, -1, 5, 7, 65535, 65536, 99999, 1 << 48, 1 << 53, (1 << 53) + 1, 1 << 63, (1 << 64) - 1, -(1 << 64))
TEXTS = (
    "",
    "x",
    "10.0.0.1",
    "::1",
    "\x1b[2J\u202eX",
    "é" * 64,
    "y" * 65,
    "\0",
    "fe80::1%e",
    "\u2066a\u2069",
    "\U000e0041",
    "*",
    "turn.example.org",
    "a/b?c",
)
KINDS: dict[str, type] = {
    "text": str, "int": int, "bool": bool, "addresses": list, "slots": list, "ceilings": dict, "levels": dict,
    "offers": list, "tls": str, "update": dict,
}  # fmt: skip

RESULT = {key: type(each) for key, each in HONEST["update"]["result"].items()}


def value(chance: random.Random, depth: int = 3) -> Any:
    kind = chance.randrange(9 if depth else 6)
    if kind == 0:
        return chance.choice(NUMBERS)
    if kind == 1:
        return chance.choice(TEXTS)
    if kind == 2:
        return chance.choice((True, False, None))
    if kind == 3:
        return chance.randbytes(chance.randrange(4))
    if kind == 4:
        return chance.choice(schema.SLOT_CLASSES)
    if kind == 5:
        return chance.choice(list(HONEST.values()))
    if kind == 6:
        return [value(chance, depth - 1) for _ in range(chance.randrange(10))]
    keys: list[Any] = [*schema.CEILINGS, "a", 1, "\x1b"]
    return {chance.choice(keys): value(chance, depth - 1) for _ in range(chance.randrange(5))}


def relay(chance: random.Random) -> Any:
    """Nearly what a relay says: rows of offers, or its counts."""

    def odd(usual: Any) -> Any:
        return usual if chance.random() < 0.95 else value(chance, 1)

    if chance.random() < 0.5:
        row = [odd("10.0.0.1"), odd(3478), odd(0), odd("wan")]
        return [odd(row[: chance.choice((4, 4, 4, 3))]) for _ in range(chance.randrange(10))]
    counts: dict[Any, Any] = {name: odd(5) for name in relayed.RELAYED if chance.random() < 0.9}
    counts["refused"] = odd({chance.choice(("private", "401", "\x1b[2J", 5)): odd(3)})
    counts["users"] = odd([[chance.choice(TEXTS), odd(1), odd(2)] for _ in range(chance.randrange(3))])
    return counts


def check_telemetry(record: dict[str, Any]) -> None:
    for name, each in record.items():
        if name == "confessed":
            assert len(each) <= birth.CONFESSED_MAX and all(5 <= len(bytes.fromhex(one)) <= 32 for one in each)
            continue
        if name != "relay":
            assert type(each) is int, name
            continue
        assert set(each) == {*relayed.RELAYED, "refused", "users"}
        assert all(type(each[count]) is int for count in relayed.RELAYED)
        for word in [*each["refused"], *[row[0] for row in each["users"]]]:
            assert not {unicodedata.category(sign) for sign in word} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
        assert all(type(count) is int for row in each["users"] for count in row[1:])
        assert len(each["refused"]) <= relayed.COUNTS_MAX and len(each["users"]) <= relayed.COUNTS_MAX


def said(chance: random.Random) -> dict[Any, Any]:
    body: dict[Any, Any] = dict(HONEST) if chance.random() < 0.7 else {}
    for _ in range(chance.randrange(4)):
        body[chance.choice(NAMES)] = value(chance)
    if chance.random() < 0.3:
        body["relay"] = relay(chance)
    if chance.random() < 0.2:
        body["update"] = dict(HONEST["update"])
        place = chance.choice((body["update"], dict(body["update"]["result"])))
        place[chance.choice(list(place))] = value(chance, 1)
        body["update"]["result"] = place if "do" in place else body["update"]["result"]
    if chance.random() < 0.1:
        good = [chance.randbytes(chance.choice((5, 5, 32, 32, 4, 33))).hex() for _ in range(chance.randrange(18))]
        body["confessed"] = good if chance.random() < 0.9 else [*good, value(chance, 1)]
    if body and chance.random() < 0.3:
        del body[chance.choice(list(body))]
    return body


def check_birth(record: dict[str, Any]) -> None:
    assert list(record) == [row[0] for row in birth.FIELDS]
    for name, kind, _, high in birth.FIELDS:
        assert type(record[name]) is KINDS[kind], name
        if kind == "text":
            assert len(record[name]) <= high
            assert not {unicodedata.category(sign) for sign in record[name]} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
        if kind == "int":
            assert 0 <= record[name] <= high
    assert len([ipaddress.ip_address(text) for text in record["addresses"]]) <= birth.ADDRESSES_MAX
    assert len([ipaddress.ip_address(row[0]) for row in record["relay"]]) <= birth.OFFERS_MAX
    assert all(0 <= port <= 65535 for row in record["relay"] for port in row[1:3])
    tls = record["relay_tls"]
    assert tls == "*" or (len(tls) <= 253 and set(tls) <= set(string.ascii_letters + string.digits + "-."))
    if record["update"]:
        assert set(record["update"]) == set(HONEST["update"])
        result = record["update"]["result"]
        assert result is None or {key: type(result[key]) for key in result} == RESULT
    assert set(record["slots"]) <= set(schema.SLOT_CLASSES) and len(record["slots"]) <= 3
    assert set(record["ceilings"]) <= set(schema.CEILINGS) >= set(record["levels"])
    assert all(each in birth.HELD_BY for each in record["levels"].values())
    assert all(type(each) is int and 0 <= each <= birth.NUMBER_MAX for each in record["ceilings"].values())


def test_births_and_telemetry() -> None:
    chance = random.Random(41)
    taken = refused = 0
    for number in range(ROUNDS):
        core = presence.CoreLink(CODEC, os.urandom, lambda device: True)
        kind = "tele" if number % 4 == 0 else "birth"
        data = envelope.encode(CODEC, envelope.Envelope(kind, 0, None, None, said(chance)))
        try:
            core.receive(data, (envelope.topic(DEVICE, "up", kind), chance.random() < 0.1), number)
        except PeerError as error:
            assert error.code in ("birth", "telemetry", "session", "kind")
            assert len(error.text) < 200 and error.text.isprintable()
            refused += 1
            continue
        view = core.devices[DEVICE]
        if view.birth:
            check_birth(dict(view.birth))
        check_telemetry(dict(view.telemetry))
        json.loads(json.dumps([dict(view.birth), dict(view.telemetry)]))
        screen.table(["a", "b"], [[str(each), "x"] for each in view.birth.values()] or [["", ""]])
        taken += 1
    assert taken > ROUNDS // 10 and refused > ROUNDS // 10


def test_addresses_are_those_of_the_library() -> None:
    chance = random.Random(6)
    good = 0
    seeds = ("1.2.3.4", "255.255.255.255", "::", "::1", "2001:db8::1", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4", "1:2::")
    for _ in range(ROUNDS):
        text = list(chance.choice(seeds))
        for _ in range(chance.randrange(4)):
            at = chance.randrange(len(text) + 1)
            text[at : at + chance.randrange(2)] = chance.choice(("", ":", "::", ".", "0", "9", "f", "g", "/", "٣"))
        joined = "".join(text)
        try:
            ipaddress.ip_address(joined)
            is_good = True
        except ValueError:
            is_good = False
        assert birth.is_address(joined) is is_good, joined
        good += is_good
    assert good > ROUNDS // 10


def test_nothing_that_a_terminal_obeys_is_visible() -> None:
    hidden = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    for code in range(0x110000):
        if unicodedata.category(chr(code)) in hidden:
            assert birth.visible(chr(code)) == "", hex(code)
    for text in ("abc~ ", "äéß", "日本語", "עברית", "ไทย", "\U0001f600"):
        assert birth.visible(text) == text
