"""What the interpreter has room for fits what boards may ask for."""

import sys

from agent import port
from boards import loader, schema

# In a process of its own: a hard limit does not rise again.
HOLDING = """
import resource
from agent.port import heap
def hold(*words):
    return heap.hold(*words), resource.getrlimit(resource.RLIMIT_NOFILE)
print(*hold("setrlimit(2)", "descriptors", 200), *hold("setrlimit(2)", "descriptors", 300), end=" ")
print(heap.hold("setrlimit(2)", "memory_kib", 1 << 20), heap.hold("micropython", "memory_kib", 1 << 20))
"""


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


def test_what_this_interpreter_holds_is_in_force():
    hold = port.heap.hold
    assert hold("self", "shard_bps", 1) and not hold("cgroup2", "memory_kib", 1 << 20)
    if port.MICROPYTHON:
        most = port.heap.kib() + 3072
        assert hold("micropython", "memory_kib", most) and not hold("micropython", "memory_kib", most - 1)
        assert not hold("setrlimit(2)", "descriptors", 1024)
        return
    import subprocess

    done = subprocess.run([sys.executable, "-c", HOLDING], capture_output=True, text=True, check=False)
    assert done.stdout == "True (200, 200) True (200, 200) False False\n", done
