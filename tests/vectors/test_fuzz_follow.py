"""Invariant: whatever stands in `order`, ota.follow gives an order of exactly one of the three shapes, the same that a
JSON parser sees, or raises PeerError("order"); whatever a result has to say, it is one flat object of at most 1,024
bytes; and a birth's record of it is typed or refused.

Seeded; CORELET_FULL=1 runs FULL times as much with other seeds.
"""

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from agent.core import updated
from ota import follow, founding
from ota.errors import PeerError
from tests.unit.ota.test_follow import CONFIRM, INSTALL, ROLLBACK
from tests.vectors.test_fuzz_token import damage
from tools.maker import identity

FULL = 40
ROUNDS = FULL if os.environ.get("CORELET_FULL") == "1" else 1
ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 1 << 53, 1.5, "", "install", "http://", "http://a", "a" * 64, "\u202e", [], {}, [1],
    {"a": 1}, "http://" + "h" * 2000, "\ud800",
)  # fmt: skip
SHAPES = {"install": INSTALL, "rollback": ROLLBACK, "confirm": CONFIRM}


def judged(data: bytes) -> None:
    try:
        found = follow.read_order(data)
    except PeerError as error:
        assert error.code == "order"
        return
    assert found == json.loads(data)
    assert set(found) == set(SHAPES[found["do"]])
    assert {key: type(found[key]) for key in found} == {key: type(value) for key, value in SHAPES[found["do"]].items()}


@pytest.mark.parametrize("start", range(ROUNDS))
def test_orders(start: int) -> None:
    seed = random.Random(start)
    for _ in range(3000):
        order = dict(seed.choice(list(SHAPES.values())))
        good = json.dumps(order).encode()
        assert follow.read_order(good) == order
        judged(damage(seed, good))
        judged(seed.randbytes(seed.randrange(60)))
        order[seed.choice([*order, "more"])] = seed.choice(ODD)
        judged(json.dumps(order).encode())


@pytest.mark.parametrize("start", range(ROUNDS))
def test_results(start: int, tmp_path: Path) -> None:
    """And what the core makes of one in a birth."""
    seed = random.Random(start)
    for _ in range(100):
        text = "".join(chr(seed.choice((seed.randrange(128), seed.randrange(0x110000)))) for _ in range(400))
        (tmp_path / "order").touch()
        said = follow._finish(str(tmp_path), {"number": 7, "do": "install"}, ("failed", "source", text))
        data = (tmp_path / "result").read_bytes()
        assert len(data) <= follow.FILE_BYTES_MAX and follow._object(data) == json.loads(data) == said
        birth = {"slot": "a", "state": "idle", "sequence": 3, "digest": "", "result": said}
        assert updated.checked(birth) == birth
        place: Any = seed.choice((birth, birth, said))
        place[seed.choice(list(place))] = seed.choice((*ODD, text, b"x"))
        found = updated.checked(birth)
        if found is not None:
            assert set(found) == set(birth) and len(json.dumps(found)) < 6 * follow.FILE_BYTES_MAX


def test_boards_are_who_the_maker_says() -> None:
    for board in ("generic-linux", "gl-mt300n-v2", "a board of tomorrow"):
        for domain in ("", "example.org"):
            made = founding.settings_of(board, domain or founding.VENDOR, "")
            assert (made["vendor"], made["class"]) == (identity.vendor_id(domain), identity.class_id(board, domain))
