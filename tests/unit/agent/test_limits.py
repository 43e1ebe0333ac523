from agent import limits


def test_the_owner_lowers_and_never_raises():
    profile = {"memory_kib": 4096, "relay_bps": 1000000}
    assert limits.in_force(profile, {"memory_kib": 2048, "relay_bps": 9000000}) == {
        "memory_kib": 2048,
        "relay_bps": 1000000,
    }
    assert limits.in_force(profile, {}) == profile
    assert limits.in_force(profile, {"relay_bps": 0})["relay_bps"] == 0


def test_shown_in_the_units_people_use():
    assert limits.shown({"shard_bytes": 1 << 30, "log_bytes": 65536}) == ["1024 MiB of shards", "64 KiB of logs"]


def test_what_is_not_enforced_is_not_shown():
    assert limits.shown({"memory_kib": 65536, "cpu_permille": 250}) == []
