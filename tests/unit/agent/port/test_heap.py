"""What the interpreter has room for fits what boards may ask for."""

import sys

from agent import port
from boards import loader, schema


def test_every_board_has_a_slot_that_fits():
    assert port.heap.SLOT_BYTES_MAX in schema.SLOT_CLASSES
    for name in loader.NAMES:
        assert loader.load(name)["slot_bytes"][0] <= port.heap.SLOT_BYTES_MAX, name
        port.heap.forget(("boards." + name.replace("-", "_"),))


def test_only_a_small_heap_bounds_what_boards_allow():
    row = schema.field("connections")
    if port.MICROPYTHON:
        assert port.heap.SLOT_BYTES_MAX == 65536 and row[2] <= port.heap.PLACES_MAX <= 8
    else:
        assert max(schema.SLOT_CLASSES) == port.heap.SLOT_BYTES_MAX and row[3] == port.heap.PLACES_MAX


def test_a_forgotten_module_is_loaded_anew_where_memory_is_short():
    from agent.wire import sec1 as before

    port.heap.forget(("agent.wire.sec", "agent.wire.never_loaded"))
    assert ("agent.wire.sec1" in sys.modules) is not port.MICROPYTHON
    from agent.wire import sec1

    assert (sec1 is before) is not port.MICROPYTHON
    assert sys.modules["agent.wire.sec1"] is sec1
