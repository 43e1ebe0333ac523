"""Every wrong value is refused with the key, the value and what is allowed."""

from agent.errors import UsageError
from boards import loader, schema
from tests.expect import raises


def changed(key: str, value: object) -> dict:
    profile = dict(__import__("boards.generic_linux", None, None, ["PROFILE"]).PROFILE)
    profile[key] = value
    return profile


def test_every_board_is_valid():
    for name in loader.NAMES:
        assert loader.load(name).id == name


def test_unknown_board_is_refused_with_the_known_ones():
    error = raises(UsageError, loader.load, "toaster")
    assert error.code == "board" and "generic-linux" in error.text


def test_wrong_values_name_key_value_and_range():
    cases = (
        ("mhz", 99999, "0..6000 MHz"),
        ("mhz", True, "0..6000 MHz"),
        ("heap_kib", 64, "128..65536 KiB"),
        ("kind", "toaster", "router, sbc"),
        ("id", "x", "3..40 characters"),
        ("needs_features", ["tls"], "tuple"),
        ("slot_bytes", (1000,), "65536"),
        ("slot_bytes", (262144,), "65536 first"),
        ("slot_bytes", (65536, 1048576, 262144), "65536 first, then larger"),
        ("slot_bytes", (65536, 65536), "each once"),
        ("store_layout", "log ", "one of slabs, log"),
        ("sources", {}, "unverified"),
        ("shard_bytes", -1, "0..17592186044416 bytes"),
    )
    for key, value, allowed in cases:
        error = raises(UsageError, schema.validate, changed(key, value))
        assert error.code == "profile", key
        assert key in error.text and allowed in error.text, error.text


def test_missing_and_unknown_keys_are_refused():
    profile = changed("mhz", 1)
    del profile["cores"]
    assert "cores" in raises(UsageError, schema.validate, profile).text
    assert "colour" in raises(UsageError, schema.validate, changed("colour", "red")).text


def test_small_router_without_tls_or_storage_is_refused_with_the_sentence():
    profile = loader.load("gl-mt300n-v2")
    sentence = "a TLS-enabled interpreter >= 1.25 (package micropython-mbedtls) and USB storage or extroot"
    assert loader.refusal(profile, ("micropython", "1.25.0"), [], 70000) == ""
    for runtime, missing, free_kib in (
        (("micropython", "1.23.0"), [], 70000),
        (("micropython", "1.25.0"), ["tls"], 70000),
        (("micropython", "1.25.0"), [], 800),
        (("cpython", "3.11.2"), [], 70000),
    ):
        assert sentence in loader.refusal(profile, runtime, missing, free_kib)


def test_version_compares_by_number():
    assert loader.version("1.9.4") < loader.version("1.25.0-preview") < loader.version("3.11")
