"""What a birth and a telemetry may say: every hostile value that a device has tried, and what an honest one sends."""

from agent.core import birth, relayed
from agent.errors import PeerError
from tests.expect import raises

HONEST: dict = {
    "fw": "0.1.0", "board": "generic-linux", "name": "Küche", "runtime": "cpython",
    "addresses": ["10.0.0.2", "2001:db8::1"],
    "control": 7411, "data": 7412, "slots": [65536, 262144, 1048576], "quota": 1 << 30, "used": 5,
    "ceilings": {"shard_bytes": 1 << 30},
    "levels": {"shard_bytes": "self"}, "pending": False, "leaving": True, "boot": 3, "session": 2,
    "relay": [["10.0.0.2", 3478, 3478, "lan"], ["2001:db8::1", 3478, 0, "wan"]], "relay_tls": "turn.example.org",
    "update": {"slot": "a", "state": "trial", "sequence": 7, "digest": "ab" * 32, "result": {
        "number": 3, "do": "install", "result": "staged", "reason": "ok", "text": "so", "state": "trial",
        "active": "", "target": "ab" * 32, "sequence": 6,
    }},
}  # fmt: skip


def at(boot: object, session: object) -> dict:
    return {"boot": boot, "session": session}


def test_an_honest_birth_is_taken_as_it_is() -> None:
    assert birth.parse_birth(HONEST) == HONEST
    more: dict = {"new": b"\xff", 7: None}
    more.update(HONEST)
    more["ceilings"] = {"shard_bytes": 1 << 30, "new_ceiling": "x"}
    more["levels"] = {"shard_bytes": "self", "new_ceiling": "x"}
    assert birth.parse_birth(more) == HONEST


def test_what_was_left_out_is_empty() -> None:
    record = birth.parse_birth(at(1, 2))
    assert sorted(record) == sorted([row[0] for row in birth.FIELDS])
    assert (record["addresses"], record["slots"], record["data"], record["fw"]) == ([], [], 0, "")
    assert (
        record["relay_tls"] == "" and birth.parse_birth({"boot": 1, "session": 2, "relay_tls": "*"})["relay_tls"] == "*"
    )
    assert record["relay"] == [] and birth.parse_birth({"boot": 1, "session": 2, "relay": []}) == record
    assert (record["ceilings"], record["pending"], record["boot"], record["session"]) == ({}, False, 1, 2)


def test_hostile_births_are_refused() -> None:
    hostile: tuple = (
        (
            "addresses",
            (5, "10.0.0.1", [5], [{}], ["10.0.0.1"] * 9, ["host"], ["fe80::1%eth0"], ["1.2.3.4]@h?a=1"], None),
        ),
        ("slots", (5, [], [True], [65535], [65536, -4], [1 << 60], [65536, 65536], [65536, 262144, 1048576, 65536])),
        ("fw", (7, b"\xff", None, [], "x" * 65)),
        ("runtime", ({"a": b"x"}, True)),
        ("data", (0, -1, 65536, 99999, 1 << 63, (1 << 64) - 1, True, "7412", None)),
        ("control", (0, True, 65536)),
        ("quota", (-5, (1 << 48) + 1, (1 << 64) - 1, False, "1")),
        ("used", (-1, b"x", [])),
        ("levels", (5, [], "self", {"shard_bytes": "strong"}, {"shard_bytes": 1}, {"shard_bytes": ["self"]})),
        ("ceilings", (5, [], {"shard_bytes": -1}, {"shard_bytes": "1"}, {"log_bytes": True}, {"log_bytes": 1 << 63})),
        ("pending", (0, 1, "yes", None)),
        ("leaving", (0, 1, "yes", None)),
        ("relay_tls", (5, True, None, ["*"], b"a", "a/b", "a b", "[::1]", "*.a", "a?b", "a:1", "\u00e9.a", "a" * 254)),
        (
            "relay",
            (5, [5], [["10.0.0.2", 1, 1]], [["host", 1, 1, "lan"]], [["10.0.0.2", -1, 1, "lan"]])
            + ([["10.0.0.2", 1, 65536, "lan"]], [["10.0.0.2", 1, 1, "moon"]], [["10.0.0.2", 1, True, "lan"]])
            + ([["10.0.0.2", 1, 1, "lan"]] * 17,),
        ),
    )
    for name, values in hostile:
        for value in values:
            body = dict(HONEST)
            body[name] = value
            assert raises(PeerError, birth.parse_birth, body).code == "birth", (name, value)
    for numbers in (at(1, True), at(-1, 1), at(1, (1 << 53) + 1), {"boot": 1}, {"boot": "1", "session": 1}):
        assert raises(PeerError, birth.parse_birth, numbers).code == "session", numbers


def test_updates() -> None:
    assert birth.parse_birth(at(1, 2))["update"] == {}
    usual: dict = HONEST["update"]

    def heard(**changes: object) -> dict:
        body = dict(HONEST)
        body["update"] = dict(usual, **changes)
        return birth.parse_birth(body)["update"]  # type: ignore[no-any-return]

    assert heard(result=None, more=1)["result"] is None and "more" not in heard(more=1)
    assert heard(result=dict(usual["result"], text="\x1b[2J", more=1))["result"]["text"] == "[2J"
    for name, value in (
        ("slot", "c"), ("slot", None), ("slot", ["a"]), ("state", "IDLE"), ("sequence", -1),
        ("sequence", True), ("digest", "ab"), ("digest", "AB" * 32), ("digest", b"a" * 64), ("result", []),
        ("result", {}), ("result", "staged"),
    ):  # fmt: skip
        assert raises(PeerError, heard, **{name: value}).code == "birth", (name, value)
    for name, value in (
        ("number", -1), ("do", "format"), ("result", "done"), ("reason", 5), ("text", "x" * 241), ("text", None),
        ("active", "ab"), ("target", 5), ("state", ""), ("sequence", 1 << 60),
    ):  # fmt: skip
        assert raises(PeerError, heard, result=dict(usual["result"], **{name: value})).code == "birth", (name, value)
    for value in (5, [], "", None, {}, {"slot": "a"}):
        assert raises(PeerError, birth.parse_birth, dict(HONEST, update=value)).code == "birth", value


def test_telemetry_is_numbers_only() -> None:
    assert birth.parse_telemetry({"used": 5, "temperature_mc": -4000, "x": b"\xff"}) == {
        "used": 5,
        "temperature_mc": -4000,
    }
    for body in (
        {"used": b"x"},
        {"used": -1},
        {"uptime_s": True},
        {"shards": 1 << 63},
        {"read_only": 2},
        {"used": None},
    ):
        assert raises(PeerError, birth.parse_telemetry, body).code == "telemetry", body


def test_telemetry_of_a_relay() -> None:
    said: dict = dict.fromkeys(relayed.RELAYED, 5)
    said["refused"] = {"401": 3, "private": 1}
    said["users"] = [["alice", 10, 1600], ["\x1b[2Jbob", 1, 2]]
    said["new"] = b"x"
    heard = birth.parse_telemetry({"relay": said})["relay"]
    assert heard["bytes_up"] == 5 and heard["refused"] == {"401": 3, "private": 1} and "new" not in heard
    assert heard["users"] == [["alice", 10, 1600], ["[2Jbob", 1, 2]]
    assert birth.parse_telemetry({"relay": {}})["relay"]["users"] == []
    for name, value in (
        ("allocations", -1), ("bytes_up", "1"), ("refused", []), ("refused", {"x": -1}), ("refused", {7: 1}),
        ("refused", {"x" * 65: 1}), ("refused", {str(each): 1 for each in range(33)}), ("users", {}),
        ("users", [["a", 1]]), ("users", [["a", 1, True]]), ("users", [["x" * 65, 1, 1]]), ("users", [[7, 1, 1]]),
    ):  # fmt: skip
        hostile = dict(said)
        hostile[name] = value
        assert raises(PeerError, birth.parse_telemetry, {"relay": hostile}).code == "telemetry", (name, value)


def test_texts_lose_what_a_terminal_obeys() -> None:
    body = dict(HONEST)
    body["fw"] = "\x1b[2J\u202eX\x9b\u2028\u200f\ufeff\r\n"
    assert birth.parse_birth(body)["fw"] == "[2JX"
    assert birth.visible("Küche 日本 \U0001f600 _~") == "Küche 日本 \U0001f600 _~"


def test_addresses() -> None:
    for text in ("0.0.0.0", "10.1.2.255", "::", "::1", "1::", "2001:db8::FF", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4"):
        assert birth.is_address(text), text
    for text in (
        "", "1.2.3", "1.2.3.256", "01.2.3.4", "1.2.3.4.", ":", ":::", "1:2", "1::2::3", "1:2:3:4:5:6:7:8:9", "12345::",
        "g::", "fe80::1%1", "1.2.3.4::", "::1.2.3", "[::1]", "1:2:3:4:5:6:7::8:9", "١.2.3.4", "1.2.3.4\n",
    ):  # fmt: skip
        assert not birth.is_address(text), text


def test_confessions_are_names() -> None:
    names = ["00" * 5, "ab" * 32]
    assert birth.parse_telemetry({"confessed": names})["confessed"] == names
    for hostile in (5, "00" * 5, ["00" * 4], ["00" * 33], ["0" * 11], ["AB" * 5], [b"12345"], ["x" * 10], names * 9):
        body = {"confessed": hostile}
        assert raises(PeerError, birth.parse_telemetry, body).code == "telemetry", hostile
