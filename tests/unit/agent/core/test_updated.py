"""What a birth may say of updates: an honest device's words, and every hostile one."""

from agent.core import birth, updated
from agent.errors import PeerError
from tests.expect import raises

DIGEST = "ab" * 32
RESULT: dict = {
    "number": 3, "do": "install", "result": "staged", "reason": "", "text": "It starts at the next restart.",
    "state": "trial", "active": DIGEST, "sequence": 7, "target": "cd" * 32,
}  # fmt: skip
HONEST: dict = {"slot": "a", "state": "trial", "sequence": 7, "digest": DIGEST, "result": RESULT}


def said(value: object) -> object:
    return birth.parse_birth({"boot": 1, "session": 2, "update": value})["update"]


def test_an_honest_word_is_taken_as_it_is() -> None:
    assert said(HONEST) == HONEST
    assert said(dict(HONEST, result=None, new=b"x")) == dict(HONEST, result=None)
    assert said({}) == {} == birth.parse_birth({"boot": 1, "session": 2})["update"]
    assert said({"slot": "package"}) == {"slot": "package", "state": "", "sequence": 0, "digest": "", "result": None}


def test_states_are_in_small_letters_and_sentences_are_cut() -> None:
    found = updated.checked(dict(HONEST, state="TRIAL", result=dict(RESULT, text="\x1b[2J" + "x" * 999)))
    assert found is not None and found["state"] == "trial"
    assert found["result"]["text"] == ("[2J" + "x" * 999)[:300]


def test_hostile_words_refuse_the_birth() -> None:
    hostile: tuple = (5, [], "a", None, b"", {"slot": "c"}, {"slot": 1}, {"state": 5}, {"state": "x" * 33})
    hostile += ({"sequence": -1}, {"sequence": True}, {"sequence": 1 << 54}, {"digest": "ab"}, {"digest": "AB" * 32})
    hostile += ({"digest": b"ab"}, {"digest": "zz" * 32}, {"result": 5}, {"result": []})
    hostile += tuple([{"result": dict(RESULT, **{name: value})} for name, value in BAD])
    for value in hostile:
        assert updated.checked(value) is None, value
        error = raises(PeerError, said, value)
        assert error.code == "birth" and "update" in error.text


BAD = (
    ("number", -1), ("number", "1"), ("do", 5), ("do", "x" * 33), ("result", None), ("reason", ["x"]), ("text", 5),
    ("state", True), ("active", "ab"), ("sequence", 1.5), ("target", "AB" * 32),
)  # fmt: skip
