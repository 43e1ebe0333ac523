"""What a profile promises beyond what its board has is refused, and a smaller machine lowers its ceilings."""

from agent.errors import UsageError
from boards import qemu_x86_64, schema, sums
from tests.expect import raises


def changed(**values: object) -> dict:
    profile = dict(qemu_x86_64.PROFILE)
    profile.update(values)
    return schema.validate(profile)


def over(**values: object) -> str:
    error = raises(UsageError, sums.check, changed(**values), schema.CEILINGS)
    assert error.code == "profile"
    return error.text


def test_a_profile_that_fits_is_let_through():
    sums.check(changed(), schema.CEILINGS)
    sums.check(
        changed(flash_size_kib=0, ram_kib=0, state_size_kib=0, shard_bytes=1 << 44, memory_kib=1 << 20), schema.CEILINGS
    )


def test_over_committed_profiles_name_key_value_range_and_reason():
    mib = 1 << 20
    for values, parts in (
        ({"system_slot_kib": 140_000}, ("system_slot_kib is 140000", "1..131072 KiB", "all slots together")),
        ({"system_slot_kib": 0}, ("system_slot_kib is 0", "1..", "there are slots")),
        ({"state_size_kib": 163_841}, ("state_size_kib is 163841", "0..163840 KiB", "what the slots leave")),
        ({"code_kib_max": 49_153}, ("code_kib_max is 49153", "0..49152 KiB", "fits a slot")),
        ({"memory_kib": 49_153}, ("memory_kib is 49153", "0..49152 KiB", "ram_share_permille of ram_kib")),
        ({"memory_kib": 511}, ("heap_kib is 512", "0..511 KiB", "part of memory_kib")),
        ({"state_free_kib_min": 131_073}, ("state_free_kib_min is 131073", "0..131072 KiB")),
        ({"shard_bytes": 128 * mib}, ("shard_bytes is 134217728", "0..133955584 bytes", "without log_bytes")),
        (
            {"pe_cycles_assumed": 3000, "write_amp_assumed": 4},
            ("flash_bytes_day is 1073741824", "0..27578985 bytes/day", "the wear of state_size_kib"),
        ),
        (
            {"lifetime_years": 50, "flash_bytes_day": 8 << 30},
            ("flash_bytes_day", "0..7354396054 bytes/day", "lifetime_years"),
        ),
        ({"network_up_bps": 49_999_999}, ("relay_bps is 50000000", "0..49999999 bit/s", "arrives and leaves")),
        ({"network_down_bps": 49_999_999}, ("relay_bps is 50000000", "0..49999999 bit/s")),
        ({"shard_bps": 500_000_001}, ("shard_bps is 500000001", "0..500000000 bit/s", "together")),
        ({"throttle_celsius": 90}, ("throttle_celsius is 90", "0..89 degrees", "before it stops")),
        ({"descriptors": 191}, ("descriptors is 191", "192..1048576 descriptors", "connections, allocations")),
        ({"ceilings_required": ("colour",)}, ("ceilings_required is 'colour'", "memory_kib, cpu_permille")),
    ):
        text = over(**values)
        assert text.startswith("board qemu-x86-64: "), text
        for part in parts:
            assert part in text, (part, text)


def test_the_wear_budget_is_size_times_cycles_over_the_years():
    profile = changed(pe_cycles_assumed=3000, write_amp_assumed=4, lifetime_years=10)
    assert sums.wear(31_250_000, profile) == 32_000_000_000 * 3000 // 4 // 3650


def test_what_was_probed_lowers_and_never_raises():
    profile = changed()
    most = {name: profile[name] for name in schema.CEILINGS}
    assert sums.lower(profile, most, 0, 0) == most == sums.lower(profile, most, 1 << 24, 1 << 30)
    small = sums.lower(profile, most, 65_536, 32_768)
    assert small["memory_kib"] == 32_768 and small["shard_bytes"] == (32 << 20) - most["log_bytes"]
    profile = changed(state_size_kib=0, pe_cycles_assumed=3000, write_amp_assumed=4)
    assert sums.lower(profile, most, 0, 131_072)["flash_bytes_day"] == 27_578_985
    assert [name for name in small if small[name] > most[name]] == []
    less = dict(most)
    less["memory_kib"] = 1000
    assert sums.lower(changed(), less, 65_536, 32_768)["memory_kib"] == 1000
    assert sums.lower(changed(ram_kib=0), most, 65_536, 0)["memory_kib"] == 32_768
    assert sums.lower(profile, most, 0, 1)["shard_bytes"] == 0


def test_memory_of_a_board_with_a_nominal_size_and_less_of_it():
    profile = changed(ram_kib=1 << 20, ram_share_permille=125, memory_kib=131_072)
    most = {name: profile[name] for name in schema.CEILINGS}
    assert sums.lower(profile, most, 524_288, 0)["memory_kib"] == 65_536
    assert sums.lower(profile, most, 4 << 20, 0)["memory_kib"] == 131_072


def test_every_row_that_is_a_ceiling_is_among_their_names() -> None:
    assert list(schema.CEILINGS) == [row[0] for row in schema.FIELDS if row[5].startswith("ceiling: ")]
