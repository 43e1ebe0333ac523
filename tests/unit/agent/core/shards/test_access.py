"""Each wrong token has its own refusal, and no id counts twice."""

from agent.core.shards.access import CLOCK_SLACK_S, IDS_FIRST, IDS_MIN, TOKEN_LIFE_S_MAX, Access
from agent.errors import LimitError, TrustError
from agent.wire import token
from tests.expect import raises

DEVICE = "ffeeddccbbaa0099"
SHARD = bytes(range(32))
NOW = 1_700_000_000
BOOT = 7


def claims(number=1, operation="put", expiry=NOW + 60, boot=BOOT, device=DEVICE, core="00112233445566aa"):
    identifier = token.token_id(boot, number.to_bytes(6, "big"))
    return token.Claims(core, device, expiry, identifier, operation, SHARD, 100, 0)


def refused(access, made, core_now=NOW, up_s=5000):
    return raises(TrustError, access.check_time, made, core_now, up_s).code


def test_each_wrong_claim_has_its_own_code():
    access = Access(DEVICE, BOOT, 0)
    access.check(claims(), "put", SHARD, 100)
    access.check(claims(), "put", SHARD, None)
    assert raises(TrustError, access.check, claims(device="0" * 16), "put", SHARD, 100).code == "device"
    assert raises(TrustError, access.check, claims(), "get", SHARD, None).code == "operation"
    assert raises(TrustError, access.check, claims(operation="get"), "put", SHARD, 100).code == "operation"
    assert raises(TrustError, access.check, claims(), "put", bytes(32), 100).code == "shard"
    assert raises(TrustError, access.check, claims(), "put", SHARD, 101).code == "size"


def test_time():
    access = Access(DEVICE, BOOT, 0)
    access.check_time(claims(expiry=NOW), NOW, 5000)
    assert refused(access, claims(expiry=NOW - 1)) == "expired"
    assert refused(access, claims(expiry=NOW - 1, operation="get")) == "expired"
    access.check_time(claims(expiry=NOW + TOKEN_LIFE_S_MAX + CLOCK_SLACK_S), NOW, 5000)
    assert refused(access, claims(expiry=NOW + TOKEN_LIFE_S_MAX + CLOCK_SLACK_S + 1)) == "life"


def test_before_the_time_is_known_only_reading():
    access = Access(DEVICE, BOOT, 0)
    for operation in ("get", "head"):
        access.check_time(claims(operation=operation, expiry=1), None, 3)
    for operation in ("put", "delete"):
        error = raises(LimitError, access.check_time, claims(operation=operation), None, 3)
        assert error.code == "no_time" and error.retry_s > 0


def test_ids_count_once():
    access = Access(DEVICE, BOOT, 0)
    for operation in ("put", "delete"):
        made = claims(len(operation), operation)
        access.check_time(made, NOW, 10)
        access.spend(made, NOW, 10)
        assert refused(access, made, NOW + 30, 40) == "used"
        assert refused(access, made, NOW + 60, 70) == "used", "until the last second"
        access.forget(made)
        access.check_time(made, NOW, 10)
    made = claims(9, "get")
    for _ in range(3):
        access.check_time(made, NOW, 10)
        access.spend(made, NOW, 10)


def test_a_replay_after_a_restart():
    used = claims(1, expiry=NOW + 300)
    Access(DEVICE, BOOT, 0).spend(used, NOW, 10)
    restarted = Access(DEVICE, BOOT + 1, 0)
    for up_s in (0, 5, 300):
        assert refused(restarted, used, NOW + up_s, up_s) in ("boot", "expired")
    # An id without a boot number counts when its expiry proves that it was issued after the start.
    long = claims(1, expiry=NOW + TOKEN_LIFE_S_MAX, boot=0)
    assert refused(restarted, long, NOW, CLOCK_SLACK_S) == "boot"
    restarted.check_time(long, NOW, CLOCK_SLACK_S + 1)
    # The longest-lived token that an earlier boot can have accepted at the moment of its end:
    last = claims(2, expiry=NOW + TOKEN_LIFE_S_MAX + CLOCK_SLACK_S)
    for up_s in range(TOKEN_LIFE_S_MAX + CLOCK_SLACK_S + 2):
        assert refused(restarted, last, NOW + up_s, up_s) in ("boot", "expired")


def test_a_full_table_refuses_and_never_forgets_too_early():
    access = Access(DEVICE, BOOT, IDS_MIN * 2)
    spent = []
    for number in range(IDS_MIN * 2):
        try:
            access.spend(claims(number * 40503), NOW, 10)
            spent.append(number)
        except LimitError as error:
            assert error.code == "busy" and error.retry_s > 0
    assert len(spent) > IDS_MIN * 3 // 2
    for number in spent:
        assert refused(access, claims(number * 40503), NOW, 10) == "used"
    late = NOW + 70
    for number in range(IDS_MIN):
        access.spend(claims(number * 40503 + (1 << 41), expiry=late + 60), late, 80)


def test_cores_need_not_agree_on_the_time():
    access = Access(DEVICE, BOOT, 0)
    made = claims(1)
    access.spend(made, NOW, 10)
    for number in range(2, IDS_MIN):
        try:
            access.spend(claims(number << 20, expiry=NOW + 900_060), NOW + 900_000, 11)
        except LimitError:
            break
    assert refused(access, made, NOW, 12) == "used"


def test_zeros_are_an_id_like_any_other():
    access = Access(DEVICE, 0, 0)
    made = claims(0, boot=0)
    access.check_time(made, NOW, 0)
    access.spend(made, NOW, 0)
    assert refused(access, made, NOW, 0) == "used"


def _flood(access, core, count, up_s=10):
    """How many ids that core could spend."""
    for number in range(count):
        try:
            access.spend(claims(number * 40503, core=core), NOW, up_s)
        except LimitError:
            return number
    return count


def test_one_core_does_not_use_up_the_room_of_another():
    access = Access(DEVICE, BOOT, IDS_MIN * 2)
    assert _flood(access, "b" * 16, IDS_MIN * 3) > IDS_MIN, "alone, it has it all"
    assert _flood(access, "a" * 16, IDS_MIN * 3) > IDS_MIN // 4
    # Together from the start, each has its half.
    access = Access(DEVICE, BOOT, IDS_MIN * 2)
    access.spend(claims(1, core="a" * 16), NOW, 10)
    assert _flood(access, "b" * 16, IDS_MIN * 3) <= IDS_MIN
    assert _flood(access, "a" * 16, IDS_MIN * 3) > IDS_MIN // 2
    room = sum([len(table) for table in access._tables.values()])
    assert room <= IDS_MIN * 2 * 12, room


def test_ids_that_meet_on_purpose_hurt_nobody_else():
    access = Access(DEVICE, BOOT, IDS_MIN)
    for number in range(40):
        try:
            access.spend(claims((number << 32) + 5, core="b" * 16), NOW, 10)
        except LimitError:
            break
    assert number == 16
    for number in range(16):
        access.spend(claims((number << 32) + 5, core="a" * 16), NOW, 10)


def test_one_core_does_not_spend_the_ids_of_another():
    access = Access(DEVICE, BOOT, 0)
    access.spend(claims(1, core="b" * 16), NOW, 10)
    mine = claims(1, core="a" * 16)
    access.check_time(mine, NOW, 10)
    access.spend(mine, NOW, 10)
    access.forget(claims(1, core="b" * 16))
    assert refused(access, mine, NOW, 10) == "used"


def test_room_is_given_back_when_a_core_comes_or_goes():
    access = Access(DEVICE, BOOT, IDS_MIN * 2)
    _flood(access, "b" * 16, IDS_MIN * 3)
    kept = claims(7 << 20, expiry=NOW + 500, core="c" * 16)
    access.spend(kept, NOW, 10)
    _flood(access, "c" * 16, IDS_MIN)
    access.spend(claims(1, expiry=NOW + 200, core="a" * 16), NOW + 150, 160)
    assert sorted(access._tables) == ["a" * 16, "c" * 16], "the ids of b have expired"
    assert len(access._tables["c" * 16]) == IDS_FIRST * 12
    assert refused(access, kept, NOW + 150, 160) == "used"
    access.drop_core("c" * 16)
    access.drop_core("d" * 16)
    assert list(access._tables) == ["a" * 16]
