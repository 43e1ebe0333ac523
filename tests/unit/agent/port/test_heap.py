"""What the interpreter has room for fits what boards may ask for."""

from agent import port
from boards import loader, schema


def test_every_board_has_a_slot_that_fits():
    assert port.heap.SLOT_BYTES_MAX in schema.SLOT_CLASSES
    for name in loader.NAMES:
        assert loader.load(name).slot_bytes[0] <= port.heap.SLOT_BYTES_MAX, name


def test_only_a_small_heap_bounds_what_boards_allow():
    row = schema.field("connections")
    if port.MICROPYTHON:
        assert port.heap.SLOT_BYTES_MAX == 65536 and row[2] <= port.heap.PLACES_MAX <= 8
    else:
        assert max(schema.SLOT_CLASSES) == port.heap.SLOT_BYTES_MAX and row[3] == port.heap.PLACES_MAX
