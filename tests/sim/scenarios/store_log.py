"""As store.py, in the layout "log": cleaning moves records while clients write, and power cuts fall into it."""

from tests.sim.scenarios import store


def run(seed: int) -> bytes:
    return store.run(seed, "log")
