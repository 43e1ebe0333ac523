"""What ota has to know of the interpreter, so that it works without `agent`. So far: how to start a process of its own.

That is all because the verifier's bodies (SHA-256, CBOR, P-256, HSS/LMS) are the same on both interpreters.
"""

import gc
import sys

HEAP_STEP_BYTES = 4096


def begin() -> None:
    """MicroPython collects only when its heap is full, and by then it is in pieces."""
    if sys.implementation.name == "micropython":
        gc.threshold(HEAP_STEP_BYTES)  # type: ignore[attr-defined]
