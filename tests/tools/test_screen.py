"""What the operator sees survives whatever a device has said."""

from tools.gateway import screen


def test_any_type_can_be_shown() -> None:
    for value in (7, None, b"\xff", {"a": b"x"}, [1], True, 1 << 64, 1.5):
        assert screen.printable(value).isprintable()
    assert screen.printable("a\x1b[2J\u202e\n") == "a?[2J??"
    assert "7" in screen.table(["fw", "name"], [[7, b"\xff"], [None, "x"]])
