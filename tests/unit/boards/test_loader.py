"""One board is recognised by the table of marks, and only its profile is loaded."""

import sys

from agent.errors import UsageError
from agent.port import board
from boards import loader
from boards.marks import MARKS
from tests.expect import raises

KINDS = ("dt_compatible", "dmi_product", "cpuinfo_machine")
CODE = ["boards.loader", "boards.marks", "boards.schema"]


def loaded() -> list:
    return sorted([name for name in sys.modules if name.startswith("boards.")])


def test_recognising_loads_no_profile_and_loading_loads_one():
    for name in loaded():
        if name not in CODE:
            del sys.modules[name]  # another test's
    before = loaded()
    assert before == CODE, before
    assert loader.recognise({"dt_compatible": "raspberrypi,model-zero-2-w\0brcm,bcm2837\0"}) == "raspberry-pi-zero-2w"
    assert loader.recognise({"cpuinfo_machine": "GL.iNet GL-MT300N-V2"}) == "gl-mt300n-v2"
    assert loader.recognise({"dmi_product": "Standard PC (Q35 + ICH9, 2009)"}) == "qemu-x86-64"
    assert loaded() == before
    assert loader.load("gl-mt300n-v2").id == "gl-mt300n-v2"
    assert loaded() == sorted(before + ["boards.gl_mt300n_v2"])


def test_what_is_unknown_or_only_alike_is_the_default():
    for evidence in (
        {},
        {"dt_compatible": "raspberrypi,model-zero-2-w-plus"},
        {"dt_compatible": "glinet,gl-mt300n"},
        {"cpuinfo_machine": "GL.iNet"},
        {"dmi_product": ""},
        {"dmi_product": "glinet,gl-mt300n-v2"},
        {"runtime": "Standard PC (Q35 + ICH9, 2009)"},
    ):
        assert loader.recognise(evidence) == loader.DEFAULT == "generic-linux", evidence


def test_every_mark_of_the_table_finds_its_board_and_no_other():
    seen = []
    for row in MARKS:
        for kind, text in row[1:]:
            assert kind in KINDS and 3 <= len(text) <= board.EVIDENCE_CHARS_MAX, (row[0], text)
            assert (kind, text) not in seen, text
            assert kind != "dt_compatible" or " " not in text, "it could never be one word of the list"
            assert loader.recognise({kind: text}) == row[0]
            seen.append((kind, text))
    assert len(seen) >= len(MARKS) - 1 and loader.DEFAULT in loader.NAMES


def test_a_profile_that_is_not_here_is_one_sentence():
    names = loader.NAMES
    loader.NAMES = ("some-board",)
    try:
        error = raises(UsageError, loader.load, "some-board")
    finally:
        loader.NAMES = names
    assert error.code == "board" and "'some-board' is not installed here" in error.text and "--board" in error.text
