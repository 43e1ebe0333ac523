"""The ceiling holds in every second, is used, and is shared fairly; all in simulated time."""

from agent.core.relay.shaper import ACTIVE_MS, USERS_MAX, Shaper, wire_bytes

PACKET = 1228
RATE = 2_000_000
SECOND = RATE // 8


class Demand:
    """Users who offer `packets` packets every `every_ms`; what was let through, by user and by millisecond."""

    def __init__(self, shaper: Shaper, users: list) -> None:
        self.shaper = shaper
        self.users = users
        self.taken = {}
        self.offered = {}
        for user, _, _, _ in users:
            self.taken[user] = self.offered[user] = 0
        self.recent: list = []
        self.most = 0
        self._second = 0

    def run(self, begin_ms: int, end_ms: int) -> None:
        for now in range(begin_ms, end_ms):
            left = 0
            for user, every_ms, packets, size in self.users:
                if now % every_ms == 0:
                    for _ in range(packets):
                        self.offered[user] += size
                        if self.shaper.take(user, size, now):
                            self.taken[user] += size
                            left += size
            if left:
                self.recent.append((now, left))
                self._second += left
            while self.recent and self.recent[0][0] <= now - 1000:
                self._second -= self.recent.pop(0)[1]
            self.most = max(self.most, self._second)


def test_no_ceiling() -> None:
    assert Shaper(0, 0).take("a", 10**9, 0)


def test_rate_of_one_user_for_a_minute() -> None:
    """At most the rate in any second, at most 5 % under it in the whole; alone a user takes all."""
    demand = Demand(Shaper(RATE, 0), [("greedy", 1, 1, PACKET)])
    demand.run(0, 60_000)
    assert demand.most <= SECOND
    assert demand.taken["greedy"] >= 60 * SECOND * 95 // 100


def test_low_and_high_rates() -> None:
    for rate, packets in ((256_000, 1), (20_000_000, 4)):
        demand = Demand(Shaper(rate, 0), [("greedy", 1, packets, PACKET)])
        demand.run(0, 10_000)
        assert demand.most <= rate // 8, rate
        assert demand.taken["greedy"] >= 10 * rate // 8 * 93 // 100, (rate, demand.taken)


def test_a_greedy_and_two_modest() -> None:
    """Max-min fair: who asks for less than a third loses nothing, the greedy one gets the rest."""
    users = [("greedy", 1, 1, PACKET), ("voice", 20, 1, 200), ("video", 40, 2, PACKET)]
    demand = Demand(Shaper(RATE, 0), users)
    demand.run(0, 60_000)
    assert demand.taken["voice"] >= demand.offered["voice"] * 99 // 100, demand.taken
    assert demand.taken["video"] >= demand.offered["video"] * 99 // 100, (demand.taken, demand.offered)
    total = sum(demand.taken.values())
    assert 60 * SECOND * 95 // 100 <= total <= 60 * SECOND and demand.most <= SECOND
    assert demand.offered["greedy"] > 60 * SECOND


def test_greedy_users_share_equally() -> None:
    """Whoever comes first in a millisecond has no advantage, nor who sends more or bigger packets."""
    users = [("one", 1, 4, PACKET), ("two", 1, 1, PACKET), ("three", 1, 1, 500)]
    demand = Demand(Shaper(RATE, 0), users)
    demand.run(0, 20_000)
    least, most = min(demand.taken.values()), max(demand.taken.values())
    assert most - least <= most // 20, demand.taken
    assert demand.most <= SECOND and sum(demand.taken.values()) >= 20 * SECOND * 95 // 100


def test_many_users_below_a_packet_each() -> None:
    """Their shares are smaller than a packet: they save for one, nobody starves."""
    users = [("user" + str(number), 5, 1, PACKET) for number in range(24)]
    demand = Demand(Shaper(RATE, 0), users)
    demand.run(0, 10_000)
    least, most = min(demand.taken.values()), max(demand.taken.values())
    assert least >= most * 3 // 4, (least, most)
    assert demand.most <= SECOND and sum(demand.taken.values()) >= 10 * SECOND * 95 // 100


def test_many_who_saved_before() -> None:
    """Full buckets of all are more than there is: after them it is fair again, whoever asks first."""
    shaper = Shaper(RATE, 0)
    names = ["user" + str(number) for number in range(24)]
    Demand(shaper, [(name, 20, 1, 60) for name in names]).run(0, 3_000)
    demand = Demand(shaper, [(name, 5, 1, PACKET) for name in names])
    demand.run(3_000, 13_000)
    least, most = min(demand.taken.values()), max(demand.taken.values())
    assert least >= most * 3 // 4 and demand.most <= SECOND, (least, most)


def test_who_leaves_frees_his_share() -> None:
    shaper = Shaper(RATE, 0)
    both = Demand(shaper, [("one", 1, 1, PACKET), ("two", 1, 1, PACKET)])
    both.run(0, 5_000)
    alone = Demand(shaper, [("one", 1, 1, PACKET)])
    alone.run(5_000 + ACTIVE_MS, 15_000 + ACTIVE_MS)
    assert alone.taken["one"] >= 10 * SECOND * 95 // 100
    assert len(shaper._users) == 1


def test_ceiling_of_one_user() -> None:
    demand = Demand(Shaper(RATE, 0, RATE // 4), [("one", 1, 1, PACKET), ("two", 1, 1, PACKET)])
    demand.run(0, 10_000)
    for user in ("one", "two"):
        assert SECOND // 4 * 9 <= demand.taken[user] <= SECOND // 4 * 11, demand.taken


def test_table_is_bounded() -> None:
    shaper = Shaper(RATE, 0)
    for number in range(USERS_MAX + 60):
        shaper.take(str(number), 100, number // 10)
    assert len(shaper._users) <= USERS_MAX + 1
    shaper.take("last", 100, 10_000)
    assert len(shaper._users) == 1


def test_wire_bytes() -> None:
    """A meter outside sees IP and UDP headers too."""
    assert [wire_bytes(160, False, False), wire_bytes(160, True, False), wire_bytes(160, False, True)] == [
        188,
        208,
        192,
    ]


def test_who_begins_may_send_a_few_packets_at_once() -> None:
    shaper = Shaper(20_000_000, 0)
    now = 10_000
    assert [shaper.take("alice", 200, now) for _ in range(8)] == [True] * 8
    assert [shaper.take("bob", 200, now + 1) for _ in range(8)] == [True] * 8
    now += 5_000  # long idle: forgotten, and no worse off than before
    assert [shaper.take("alice", 1200, now) for _ in range(8)] == [True] * 8
