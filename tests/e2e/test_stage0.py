"""Stage-0's loop (ota/stage0.sh) around real processes of both interpreters: a release that crashes, hangs or is never
confirmed is left for the one before; an orderly end costs no try; nothing of a package runs where a slot is newer."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.update_device import HEALTHY, Device
from tests.programs import ENVIRONMENT, ROOT, RUNTIMES, interpreter, until
from tests.releases import PROGRAM, Source, program


class Loop:
    """`lines`: what the programs wrote, one for each start."""

    def __init__(self, device: Device, runtime: str, folder: Path, **changes: str) -> None:
        self.starts, self.log = folder / "starts", folder / "stage0.log"
        progress = folder / "progress"
        words = [
            "sh",
            str(ROOT / "ota" / "stage0.sh"),
            str(device.state),
            str(progress),
            " ".join(interpreter(runtime)),
        ]
        environment = (
            ENVIRONMENT | {"CORELET_WATCHDOG": "/nothing", "CORELET_DELAY_S": "0", "PYTHONPATH": str(ROOT)} | changes
        )
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*words, str(self.starts), str(progress)], env=environment, cwd=folder, stdout=log, stderr=log
            )

    @property
    def lines(self) -> list[str]:
        return self.starts.read_text().split() if self.starts.exists() else []

    def wait(self, *lines: str, seconds: float = 60) -> None:
        until(f"{lines} of {self.lines}: {self.log.read_text()}", lambda: self.lines == list(lines), seconds)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def device(runtime: str, tmp_path: Path) -> Device:
    source = Source(tmp_path / "source")
    source.allow(source.release(7, program("seven")))
    made = Device(runtime, tmp_path, source)
    made.update()
    return made


@pytest.fixture
def loops() -> Iterator[list[Loop]]:
    made: list[Loop] = []
    yield made
    for loop in made:
        if loop.process.poll() is None:
            loop.stop()


def stage(device: Device, sequence: int, name: str) -> None:
    place = str(device.source.folder)
    device.source.allow(device.source.release(sequence, program(name)))
    device.run("refresh", place)
    assert device.run("install", place)["state"] == "trial"


def test_a_crash_goes_back(device: Device, runtime: str, tmp_path: Path, loops: list[Loop]) -> None:
    stage(device, 8, "crash")
    loops.append(Loop(device, runtime, tmp_path))
    loops[0].wait("crash", "crash", "crash", "seven")
    assert device.run("status")["bad"] == 8


def test_a_hang_is_killed(device: Device, runtime: str, tmp_path: Path, loops: list[Loop]) -> None:
    stage(device, 8, "hang")
    loops.append(Loop(device, runtime, tmp_path, CORELET_HANG_S="2"))
    loops[0].wait("hang", "hang", "hang", "seven")
    assert device.run("status")["active"] == "a"


def test_what_is_never_confirmed_goes_back(device: Device, runtime: str, tmp_path: Path, loops: list[Loop]) -> None:
    stage(device, 8, "busy")
    loops.append(Loop(device, runtime, tmp_path, CORELET_TRIAL_S="2"))
    loops[0].wait("busy", "busy", "busy", "seven")


def test_an_orderly_end_costs_no_try(device: Device, runtime: str, tmp_path: Path, loops: list[Loop]) -> None:
    stage(device, 8, "eight")
    for count in (1, 2):
        loops.append(Loop(device, runtime, tmp_path))
        loops[-1].wait(*["eight"] * count)
        assert device.run("status")["tries"] == 2
        loops[-1].stop()
        assert device.run("status")["tries"] == 3
    loops.append(Loop(device, runtime, tmp_path, CORELET_TRIAL_S="4"))
    loops[-1].wait("eight", "eight", "eight")
    device.running = "b"
    assert device.run("confirm", *HEALTHY)["active"] == "b"
    loops[-1].process.send_signal(signal.SIGTERM)
    assert loops[-1].process.wait(30) == 0
    assert loops[-1].lines == ["eight"] * 3 and device.run("status")["active"] == "b"


def test_the_package(device: Device, runtime: str, tmp_path: Path, loops: list[Loop]) -> None:
    """Runs where it is as new as the slot's, or no slot is whole."""
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent" / "__init__.py").write_text("")
    main = PROGRAM % "package" + b"\nif __name__ == '__main__':\n    sys.exit(main())\n"
    (tmp_path / "agent" / "__main__.py").write_bytes(main)
    path = {"PYTHONPATH": f"{tmp_path}:{ROOT}", "MICROPYPATH": f"{tmp_path}:{ROOT}:.frozen"}
    for number, name in (("6", "seven"), ("7", "package")):
        loops.append(Loop(device, runtime, tmp_path, CORELET_PACKAGE=number, **path))
        until(name, lambda name=name: loops[-1].lines[-1:] == [name])
        loops[-1].stop()
    data = bytearray((device.state / "a").read_bytes())
    data[37000] ^= 1
    (device.state / "a").write_bytes(bytes(data))
    loops.append(Loop(device, runtime, tmp_path, CORELET_PACKAGE="1", **path))
    until("the package again", lambda: len(loops[-1].lines) == 3)
    assert loops[-1].lines[-1] == "package"
