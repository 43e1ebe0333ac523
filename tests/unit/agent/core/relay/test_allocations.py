"""The tables of the relay by themselves: users, ports, deadlines."""

from agent.core.relay.allocations import LABELS_MAX, STALE_MAX, USERS_MAX, Allocations
from agent.core.relay.events import Limits
from tests.sim.chance import Xorshift32


class World:
    """Only chance; `closed`: ports that the router does not map."""

    closed: tuple[int, ...] = ()

    def __init__(self) -> None:
        self.entropy = Xorshift32(5).bytes

    def addresses(self, family: int, number: int) -> "tuple[bytes, int] | None":
        return None if number in self.closed else (bytes(4 if family == 4 else 16), number)


class Row:
    """What has a deadline."""

    def __init__(self) -> None:
        self.is_live = True


def made(first: int = 50000, last: int = 50009) -> Allocations:
    return Allocations(World(), Limits(4, 4, (first, last), 0, 0, 1, True))  # type: ignore[arg-type]


def test_users_are_bounded() -> None:
    """The table forgets who was idle for longest, never who has an allocation."""
    table = made()
    table.usage("ann", 0)[0] = 1
    for number in range(USERS_MAX + 50):
        table.usage("user" + str(number), number + 1)
    assert len(table.users) == USERS_MAX
    assert "ann" in table.users and "user50" not in table.users and "user51" in table.users
    assert table.usage("ann", 1000)[0] == 1


def test_totals_outlive_the_rows_of_users() -> None:
    """Of each core by itself; names of no core are one."""
    table = made()
    for number in range(USERS_MAX + 65):
        table.usage(("", "home/", "club/")[number % 3] + "user" + str(number), number)[2] += 10
    for label in ("", "home/", "club/"):
        kept = [row[2] for name, row in table.users.items() if name[: name.find("/") + 1] == label]
        assert sum(kept) < 10 * (USERS_MAX + 65) // 3 == sum(kept) + table.past[label][2]
    for number in range(USERS_MAX + LABELS_MAX):
        table.usage(str(number) + "/user", 1000 + number)
    assert len(table.past) == LABELS_MAX


def test_ports_are_all_used_and_random() -> None:
    table = made()
    ports = []
    for _ in range(10):
        ports.append(table.take_port(4, False, False))
        table.open_endpoint(4, ports[-1], (b"\x05\x05\x05\x05", ports[-1]), None)
    assert sorted(ports) == list(range(50000, 50010)) != ports
    assert table.take_port(4, False, False) == 0 and table.take_port(6, False, False) != 0


def test_a_port_that_is_not_mapped_is_not_taken() -> None:
    table = made()
    table._world.closed = tuple(range(50000, 50009))
    assert [table.take_port(4, False, False) for _ in range(20)] == [50009] * 20
    table._world.closed += (50009,)
    assert table.take_port(4, False, False) == 0


def test_pairs_begin_even_and_are_whole() -> None:
    table = made(50001, 50006)
    found = {table.take_port(4, True, True) for _ in range(50)}
    assert found == {50002, 50004}, "50006 has no next port"
    table.open_endpoint(4, 50005, (b"\x05\x05\x05\x05", 50005), None)
    assert {table.take_port(4, True, True) for _ in range(20)} == {50002}
    assert {table.take_port(4, True, False) for _ in range(50)} == {50002, 50004, 50006}
    assert made(50001, 50001).take_port(4, True, False) == 0


def test_deadlines_in_order_and_bounded() -> None:
    """Stale ones go when they are the most; those of one time come in the order they were set."""
    table = made()
    rows = [Row() for _ in range(STALE_MAX * 4)]
    for number, row in enumerate(rows):
        table.arm(row, 1000 + number // 2)  # type: ignore[arg-type]
        row.is_live = number % STALE_MAX == 1
        table.clients = {0: row} if number == 0 else table.clients  # type: ignore[dict-item]
        table.next_due()
        assert len(table._deadlines) <= STALE_MAX + 6
    assert table.next_due() == 1000
    assert table.pop_due(999) is None
    assert table.pop_due(5000) is rows[1] and table.pop_due(5000) is rows[STALE_MAX + 1]
    table.clients = {}
    for row in rows:
        row.is_live = False
    assert table.next_due() is None
