"""Beacons: what a device may take now, signed for this one device with the key of the core's CA (ota/trust.py).

Each one that is asked for is new, so that no device waits for another before the last is stale: a signature takes the
core some 50 microseconds. Times never go back, nor twice the same for one device: not by a clock that was set, and not
over a restart. But whoever knows a device's id can ask without end, and must not drive time ahead: beyond BURST beacons
at once a device's time goes on by one second in APART_S, and what is asked for in between repeats it (who took none of
those takes that one all the same). Bounds: one time and one allowance for each paired device.
"""

import time
from collections.abc import Callable

from ota import cbor
from tools.gateway.ca import CA
from tools.gateway.links.links import Allowance
from tools.gateway.registry.registry import Registry

BURST = 60
APART_S = 1.0


class Beacons:
    def __init__(self, ca: CA, registry: Registry, clock: Callable[[], float] = time.time) -> None:
        self._ca = ca
        self._registry = registry
        self._clock = clock
        self._floor = self._latest = registry.beacon_time()
        self._times: dict[str, int] = {}
        self._allowances: dict[str, Allowance] = {}

    def document(self, device: str, newest: int, allowed: list[str], aborted: list[str]) -> bytes:
        """`newest`: sequence number; digests in hex."""
        is_new = self._allowances.setdefault(device, Allowance(BURST, APART_S)).take()
        seconds = max(int(self._clock()), self._times.get(device, self._floor) + is_new)
        self._times[device] = seconds
        if seconds > self._latest:
            self._latest = seconds
            self._registry.note_beacon_time(seconds)
        lists = [[bytes.fromhex(one) for one in digests] for digests in (allowed, aborted)]
        payload = cbor.encode({1: seconds, 2: newest, 3: lists[0], 4: lists[1], 5: device})
        return cbor.encode([payload, self._ca.sign_beacon(payload)])

    def keep(self, devices: set[str]) -> None:
        """Those that are paired; of others nothing is remembered but that time goes on."""
        for gone in set(self._times) - devices:
            self._floor = max(self._floor, self._times.pop(gone))
            del self._allowances[gone]
