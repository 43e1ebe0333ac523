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
    assert limits.shown({"shard_bytes": 1 << 30, "log_bytes": 65536}) == ["1.0 GiB of shards", "64.0 KiB of logs"]


def test_one_is_not_many():
    assert limits.shown({"connections": 1}) == ["1 connection"]
    assert limits.counted(0, "cores") == "0 cores" and limits.counted(1, "cores") == "1 core"


def test_amounts():
    for count, text in ((0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536, "1.5 KiB"), (1 << 30, "1.0 GiB")):
        assert limits.amount(count) == text, count
    assert limits.amount(5 << 50) == "5120.0 TiB"


def test_what_is_not_enforced_is_not_shown():
    assert limits.shown({"memory_kib": 65536, "cpu_permille": 250}) == []
