"""Three devices and a core over a broker that breaks connections, restarts and loses power, wills that come late.

Invariant: no command is run twice in one boot; each ends with exactly one answer; who is asked once the faults have
ended is up, by its newest boot and session, knows the core's time, and answers.
"""

from agent import port
from tests.sim.mqtt_broker import Broker, Core, Device
from tests.sim.world import World

DEVICES = ("00000000000000aa", "00000000000000bb", "00000000000000cc")
FAULTS_MS = 3_600_000
QUIET_MS = 900_000
UNIX = 1_700_000_000


def run(seed: int) -> bytes:
    world = World(seed)
    codec = port.codec()
    broker = Broker(world)
    core = Core(world, broker, codec, UNIX)
    core.start()
    devices = [Device(world, broker, name, codec) for name in DEVICES]
    for device in devices:
        device.power_on()
    given: list = []
    for number in range(FAULTS_MS // 20_000):
        world.at(number * 20_000 + world.random.below(20_000), _trouble, world, broker, core, devices)
        world.at(number * 20_000 + world.random.below(20_000), _give, world, core, number, given)
    world.run(FAULTS_MS + QUIET_MS)
    for device in devices:
        known = core.machine.devices[device.name]  # type: ignore[union-attr]
        assert known.is_up and device.connection is not None, "a device was locked out"
        assert known.born == (device.boot, device.machine.session), "an old session is believed"  # type: ignore[union-attr]
        assert len(device.ran) == len(set(device.ran)), "a command was run twice"
        late_s = UNIX + world.now // 1000 - (device.machine.core_time(world.now) or 0)  # type: ignore[union-attr]
        assert 0 <= late_s <= 2, "a device has another time than its core"
        _give(world, core, DEVICES.index(device.name), given)
    world.run(world.now + 120_000)
    answered = [core.answers[correlation][0] for correlation in given]
    assert answered[-3:] == [True] * 3, "a quiet network lost a command"
    assert len(core.answers) == len(given) > 30
    assert False in answered and True in answered, "the faults did not bite"
    return world.trace_hash()


def _trouble(world: World, broker: Broker, core: Core, devices: "list[Device]") -> None:
    device = devices[world.random.below(len(devices))]
    choice = world.random.below(20)
    if choice < 6:
        broker.cut(device.name)
    elif choice < 9 and device.is_powered:
        device.power_off()
        world.after(world.random.between(1, 60_000), device.power_on)
    elif choice < 10:
        broker.restart(world.random.between(100, 120_000))
    elif choice < 11:
        broker.cut("core")


def _give(world: World, core: Core, number: int, given: list) -> None:
    correlation = core.command(DEVICES[number % 3], number)
    if correlation is not None:
        given.append(correlation)
