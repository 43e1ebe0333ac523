"""The bandwidth ceiling, read from the counters of the wire: reached within 5 %, never passed, shared fairly."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.relay.ceiling import DOWN, OPTIONS, UP, measured
from tests.e2e.relay.servers import IS_FULL, Server, on_both
from tests.e2e.relay.wire import Wire

pytestmark = pytest.mark.alone
SECONDS, SECONDS_ALONE = (60, 60) if IS_FULL else (5, 2)


@pytest.fixture
def wire(tmp_path: Path, kind: str) -> Iterator[Wire]:
    with Wire() as made, Server(kind, tmp_path, own=OPTIONS, before=made.words("home")) as server:
        yield made
        assert server.report()["dropped"].get("ceiling", 0) > 0


@pytest.mark.parametrize("way", (UP, DOWN) if IS_FULL else (UP,))
@on_both
def test_one_user_alone_gets_all_of_it(wire: Wire, kind: str, way: str) -> None:
    reading = measured(wire, [("ann", 2.0, way)], SECONDS_ALONE)
    assert reading.is_at(1), reading


@on_both
def test_the_modest_lose_nothing_to_the_greedy(wire: Wire, kind: str) -> None:
    """In both directions at once."""
    offers = [("greedy", 2.5), ("modest", 0.25), ("wanting", 0.6)]
    reading = measured(wire, [(user, share, way) for way in (UP, DOWN) for user, share in offers], SECONDS)
    assert reading.is_at(2), reading
    for at in (0, len(offers)):
        greedy, modest, wanting = reading.shares[at : at + len(offers)]
        assert reading.kept[at + 1] >= 0.98, reading
        assert abs(greedy - wanting) <= 0.03, reading  # the rest in equal parts
