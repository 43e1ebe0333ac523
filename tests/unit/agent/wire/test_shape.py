"""Shapes: every kind takes what is in its range and nothing else."""

from agent.wire import shape

BYTE = ("int", 0, 255)
CASES = (
    (BYTE, (0, 255), (-1, 256, True, False, None, "1", b"1", 1.5)),
    (("bytes", 1, 2), (b"a", b"ab"), (b"", b"abc", "a", None, [1])),
    (("text", 1, 3), ("a", "日本"), ("", "abcd", b"a", "a\n", "\u202e", "\ufeff", 7)),
    (shape.ID, ("0123456789abcdef",), ("0123456789ABCDEF", "0123456789abcde", "0123456789abcde/", b"0123456789abcdef")),
    (("host", 1, 9), ("a.b", "fe80::1%e"), ("", "a b", "a/b", "0123456789")),
    (("letters", 1, 3), ("abc",), ("", "aB", "abcd", "a1")),
    (("word", 1, 9, ("put", "get")), ("put",), ("pu", "", b"put", None, ["put"])),
    (("list", 1, 2, BYTE), ([1], [1, 255]), ([], [1, 2, 3], [256], [True], (1,), b"a")),
    (("row", ("host", 1, 3), BYTE), (["h", 1],), (["h"], ["h", 1, 1], [1, "h"], "h1", None)),
    (("map", 0, 1, ("text", 0, 1), BYTE), ({}, {"a": 1}), ({"a": 1, "b": 1}, {"aa": 1}, {1: 1}, {"a": "1"}, [], None)),
    (("map", 0, 1), ({}, {1: "anything"}), ({1: 1, 2: 2}, [])),
)


def test_fits() -> None:
    for kind, good, bad in CASES:
        for value in good:
            assert shape.fits(value, kind), (kind, value)
        for value in bad:
            assert not shape.fits(value, kind), (kind, value)


def test_misfit_names_the_first_wrong_key() -> None:
    table = {2: BYTE, 1: ("text", 1, 3)}
    assert shape.misfit({1: "a", 2: 1, 3: None}, table) is None
    assert shape.misfit({1: "a"}, table) == 2
    assert shape.misfit({1: "", 2: -1}, table) == 1
