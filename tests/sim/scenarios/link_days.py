"""400 days without a right clock: the core believes it is 2000-01-01, devices restart, the broker goes and returns.

Invariant: zero lockouts. Whenever a device and the broker have both been on for LOCKOUT_MS, the device is connected
and its core says that it is up. (Telemetry and time are slowed down; they decide nothing here.)
"""

from agent import port
from agent.core import link, presence
from tests.sim.mqtt_broker import Broker, Core, Device
from tests.sim.world import World

DAYS = 400
DAY_MS = 86_400_000
UNIX_2000 = 946_684_800
LOCKOUT_MS = 900_000  # a connection that broke unnoticed, then the longest pause, then the next
SLOW_MS = 5 * DAY_MS
DEVICE = "00000000000000aa"


def run(seed: int) -> bytes:
    before = link.TELEMETRY_MS, presence.TIME_EVERY_MS
    link.TELEMETRY_MS = presence.TIME_EVERY_MS = SLOW_MS
    try:
        return _run(World(seed))
    finally:
        link.TELEMETRY_MS, presence.TIME_EVERY_MS = before


def _run(world: World) -> bytes:
    codec = port.codec()
    broker = Broker(world)
    core = Core(world, broker, codec, UNIX_2000)
    core.start()
    device = Device(world, broker, DEVICE, codec)
    device.power_on()
    for day in range(DAYS):
        choice = world.random.below(4)
        if choice == 0:
            device.power_off()
            world.after(world.random.between(1_000, 3_600_000), device.power_on)
        elif choice == 1:
            broker.restart(world.random.between(1_000, 18_000_000))
        elif choice == 2:
            broker.cut(DEVICE)
        # Half a day for what was switched off to return, then the limit, then it must be there.
        world.run(day * DAY_MS + DAY_MS // 2 + LOCKOUT_MS)
        assert device.machine.state == link.UP, "the device is locked out"
        assert core.machine.devices[DEVICE].is_up, "the core believes it is away"  # type: ignore[union-attr]
        world.run((day + 1) * DAY_MS)
    assert device.boot > DAYS // 8 and (device.machine.core_time(world.now) or 0) < UNIX_2000 + (DAYS + 1) * 86_400  # type: ignore[union-attr]
    world.trace("boots", device.boot, "sessions", device.machine.session)  # type: ignore[union-attr]
    return world.trace_hash()
