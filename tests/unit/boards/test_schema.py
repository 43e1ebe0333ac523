"""Every wrong value is refused with the key, the value and what is allowed."""

from agent import port
from agent.errors import UsageError
from boards import loader, schema
from tests.expect import raises


def changed(key: str, value: object) -> dict:
    profile = dict(__import__("boards.generic_linux", None, None, ["PROFILE"]).PROFILE)
    profile[key] = value
    return profile


def test_every_board_is_valid():
    for name in loader.NAMES:
        assert loader.load(name)["id"] == name
        port.heap.forget(("boards." + name.replace("-", "_"),))


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
        ("runtime", "soon", "any, nothing yet"),
        ("flash_size_kib", -1, "0..17179869184 KiB"),
        ("system_slots", 3, "0..2 slots"),
        ("ram_share_permille", 1000, "10..900 permille"),
        ("pe_cycles_assumed", 0, "100..1000000 full writes"),
        ("lifetime_years", 0, "1..50 whole years"),
        ("network_up_bps", 1.5, "64000..20000000000 bit/s"),
        ("network_down_mib_month", None, "0..4294967296 MiB a month"),
        ("descriptors", 3, "64..1048576 descriptors"),
        ("process_count", 0, "1..4096 tasks at once"),
        ("throttle_celsius", 111, "30..110 degrees Celsius"),
        ("stop_celsius", 20, "30..120 degrees Celsius"),
        ("under_voltage", "maybe", "none, rpi"),
        ("quiet_hours", "22-7", "HH:MM-HH:MM"),
        ("quiet_hours", "22:00-24:00", "HH:MM-HH:MM"),
        ("quiet_hours", "22:60-07:00", "HH:MM-HH:MM"),
        ("quiet_hours", "07:00-07:00", "HH:MM-HH:MM"),
        ("quiet_hours", "2²:00-07:00", "HH:MM-HH:MM"),
        ("ceilings_required", "shard_bytes", "tuple"),
        ("backends_denied", (1,), "texts"),
        ("shard_bytes", -1, "0..17592186044416 bytes"),
    )
    for key, value, allowed in cases:
        error = raises(UsageError, schema.validate, changed(key, value))
        assert error.code == "profile", key
        assert key in error.text and allowed in error.text, error.text


def test_quiet_hours_may_span_midnight():
    for value in ("", "22:00-07:00", "00:00-23:59"):
        assert schema.validate(changed("quiet_hours", value))["quiet_hours"] == value


def test_missing_and_unknown_keys_are_refused():
    for key in [row[0] for row in schema.FIELDS]:
        profile = changed("mhz", 1)
        del profile[key]
        assert key + " is None; allowed: every key must" in raises(UsageError, schema.validate, profile).text
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
