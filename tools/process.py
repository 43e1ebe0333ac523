"""One program of the network that tools/demo starts."""

import subprocess
from pathlib import Path


class Process:
    """One program of the network, its output in a log file."""

    def __init__(self, name: str, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        self.name = name
        self.command = command
        self.log = folder / f"{name}.log"
        self.environment = environment
        self._popen: subprocess.Popen[bytes] | None = None

    def start(self, cwd: Path) -> None:
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(  # noqa: S603 - our own commands
                self.command,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=cwd,
                env=self.environment,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._popen.pid if self._popen else 0

    def is_running(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    def stop(self, number: int, seconds: float = 15) -> int:
        """Send signal `number` and wait; a process that does not follow is killed. Its exit status."""
        if self._popen is None:
            return 0
        if self._popen.poll() is None:
            self._popen.send_signal(number)
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            return self._popen.wait(5)

    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""
