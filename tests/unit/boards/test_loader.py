"""One board is recognised by the table of marks, and only its profile is loaded."""

import sys

from agent.errors import UsageError
from agent.port import board
from boards import loader, schema
from boards.marks import MARKS
from tests.expect import raises

KINDS = [kind for kind, _ in loader.KINDS]
CODE = ["boards.loader", "boards.marks", "boards.schema", "boards.sums"]


def loaded() -> list:
    return sorted([name for name in sys.modules if name.startswith("boards.")])


def test_recognising_loads_no_profile_and_loading_loads_one():
    for name in loaded():
        if name not in CODE:
            del sys.modules[name]  # another test's
    before = loaded()
    assert before == CODE, before
    for evidence, name in (
        ({"dt_compatible": "raspberrypi,model-zero-2-w\0brcm,bcm2837\0"}, "raspberry-pi-zero-2w"),
        ({"cpuinfo_machine": "GL.iNet GL-MT300N-V2"}, "gl-mt300n-v2"),
        ({"dmi_product": "Standard PC (Q35 + ICH9, 2009)"}, "qemu-x86-64"),
    ):
        assert loader.recognise(evidence)[0] == name
    assert loaded() == before
    assert loader.load("gl-mt300n-v2")["id"] == "gl-mt300n-v2"
    assert loaded() == sorted(before + ["boards.gl_mt300n_v2"])


def test_what_decided_is_said():
    for evidence, by in (
        ({"dt_compatible": "openwrt,one mediatek,mt7981b"}, "its device tree says 'openwrt,one'"),
        ({"cpuinfo_machine": "TP-Link Archer C7 v5"}, "its /proc/cpuinfo says 'TP-Link Archer C7 v5'"),
        ({"os_release_id": "coreelec"}, "its /etc/os-release says 'coreelec'"),
        ({"os_release_id": "debian"}, "nothing that tells it from others is known"),
    ):
        assert loader.recognise(evidence)[1] == by


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
        assert loader.recognise(evidence)[0] == loader.DEFAULT == "generic-linux", evidence


def test_contradicting_marks_are_the_default_and_both_are_said():
    evidence = {"dt_compatible": "openwrt,one", "cpuinfo_machine": "TP-Link Archer C7 v5"}
    name, by = loader.recognise(evidence)
    assert name == loader.DEFAULT and "'openwrt,one'; its /proc/cpuinfo says 'TP-Link" in by, by
    assert loader.recognise({"dt_compatible": "openwrt,one glinet,gl-mt3000"})[0] == loader.DEFAULT
    same = {"dt_compatible": "tplink,archer-c7-v5", "cpuinfo_machine": "TP-Link Archer C7 v5"}
    assert loader.recognise(same)[0] == "archer-c7-v5"


def test_a_system_that_names_itself_comes_before_the_board_under_it():
    assert loader.recognise({"os_release_id": "coreelec", "dt_compatible": "hardkernel,odroid-c4"})[0] == "coreelec-tv"


def test_another_architecture_or_byte_order_is_the_default():
    big = {"dt_compatible": "tplink,archer-c7-v5", "architecture": "mips", "endian": "big"}
    profile, by, _ = loader.choose("", big, 0)
    assert profile["id"] == "archer-c7-v5" and by == "its device tree says 'tplink,archer-c7-v5'"
    for key, value, why in (
        ("endian", "little", "this is mips, little-endian, and archer-c7-v5 is mips32, big-endian"),
        ("architecture", "aarch64", "this is aarch64, big-endian, and archer-c7-v5 is mips32, big-endian"),
    ):
        other = dict(big)
        other[key] = value
        profile, by, _ = loader.choose("", other, 0)
        assert profile["id"] == loader.DEFAULT and by.endswith(", but " + why), by
    big["architecture"] = "something-new"
    assert loader.choose("", big, 0)[0]["id"] == "archer-c7-v5"


def test_an_owner_is_believed_and_told():
    profile, by, _ = loader.choose("archer-c7-v5", {"architecture": "x86_64", "endian": "little"}, 0)
    assert profile["id"] == "archer-c7-v5"
    assert by.startswith("its owner named it, but this is x86_64, little-endian, and archer-c7-v5 is mips32"), by
    assert loader.choose("generic-linux", {"architecture": "riscv64"}, 0)[1] == "its owner named it"


def test_a_machine_that_is_smaller_than_its_board_has_lower_ceilings():
    profile, _, most = loader.choose("gl-mt300n-v2", {"ram_kib": "65536"}, 131072)
    assert most["memory_kib"] == 6553 < profile["memory_kib"] and most["shard_bytes"] == (128 << 20) - 65536
    assert most["relay_bps"] == profile["relay_bps"] and sorted(most) == sorted(schema.CEILINGS)


def test_a_board_that_nothing_runs_on_is_refused():
    profile = loader.load("pico2-w")
    assert "the board runs nothing yet" in loader.refusal(profile, ("micropython", "1.25.0"), [], 70000)


def test_every_mark_of_the_table_finds_its_board_and_no_other():
    seen = []
    for name, marks in MARKS:
        for kind, text in marks:
            assert kind in KINDS and 3 <= len(text) <= board.EVIDENCE_CHARS_MAX, (name, text)
            assert (kind, text) not in seen, text
            assert kind != "dt_compatible" or " " not in text, "it could never be one word of the list"
            assert loader.recognise({kind: text})[0] == name
            seen.append((kind, text))
    assert len(seen) >= len(MARKS) - 4 and loader.DEFAULT in loader.NAMES


def test_a_profile_that_is_not_here_is_one_sentence():
    names = loader.NAMES
    loader.NAMES = ("some-board",)
    try:
        error = raises(UsageError, loader.load, "some-board")
    finally:
        loader.NAMES = names
    assert error.code == "board" and "'some-board' is not installed here" in error.text and "--board" in error.text


def test_an_over_committed_file_is_refused_when_it_is_loaded():
    from boards import gl_mt300n_v2

    kept = gl_mt300n_v2.PROFILE["memory_kib"]
    gl_mt300n_v2.PROFILE["memory_kib"] = 13108
    try:
        error = raises(UsageError, loader.load, "gl-mt300n-v2")
    finally:
        gl_mt300n_v2.PROFILE["memory_kib"] = kept
    assert error.code == "profile" and "memory_kib is 13108; allowed: 0..13107 KiB" in error.text
