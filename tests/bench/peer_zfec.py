"""zfec beside our coding, in an environment that the bench makes for it: this file is run there as a program.

zfec is GPL or TGPPL: it is a peer to be measured against, installed for a bench run into a folder of its own, and never
imported by anything of ours. Prints one JSON line: MB/s of each round.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / ".work" / "zfec"
MB = 1_000_000


def interpreter() -> str:
    """Of an environment that has it, made when needed; "" where it cannot be installed."""
    python = FOLDER / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(FOLDER)], check=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--only-binary", ":all:", "zfec"]
    done = subprocess.run([str(python), "-c", "import zfec"], check=False, capture_output=True)
    if done.returncode and subprocess.run(install, check=False).returncode:
        return ""
    return str(python)


class Peer:
    """A process that encodes when it is told to, so that rounds of both alternate."""

    def __init__(self, python: str, k: int, n: int, size_bytes: int) -> None:
        words = [python, __file__, str(k), str(n), str(size_bytes)]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def round(self) -> float:
        """MB/s of data."""
        assert self._process.stdin is not None and self._process.stdout is not None
        print("go", file=self._process.stdin, flush=True)
        speed: float = json.loads(self._process.stdout.readline())
        return speed

    def close(self) -> None:
        self._process.communicate()


def main() -> None:
    import zfec

    k, n, size = (int(word) for word in sys.argv[1:])
    encoder: Any = zfec.Encoder(k, n)
    parts = [os.urandom(size // k) for _ in range(k)]
    for _ in sys.stdin:
        count, started = 0, time.perf_counter()
        while time.perf_counter() - started < 0.2:
            encoder.encode(parts)
            count += 1
        print(json.dumps(count * size / MB / (time.perf_counter() - started)), flush=True)


if __name__ == "__main__":
    main()
