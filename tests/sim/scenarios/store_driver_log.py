"""As store_driver.py, in the layout "log"."""

from tests.sim.scenarios import store_driver


def run(seed: int) -> bytes:
    return store_driver.run(seed, "log")
