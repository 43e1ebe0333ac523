"""A whole device: stage-0's loop, the real agent as it is in this checkout or in a release, a real core that orders;
and a source of releases that corelet-maker's functions build and sign, over plain HTTP with the core's beacon."""

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from Crypto.PublicKey import ECC

from ota import manifest, trust
from tests.e2e.network import Core, Device, Network
from tests.programs import ROOT, interpreter, until
from tools.maker import documents, packs, signed, tree
from tools.maker.identity import class_id, vendor_id
from tools.maker.keys import P256Signer

BOARD = "generic-linux"
PEOPLE = [P256Signer(ECC.generate(curve="P-256")) for _ in range(3)]
WAIT_S = 90


class Releases:
    """`folder` is a source. Two of three people sign."""

    def __init__(self, folder: Path, core: Core) -> None:
        self.folder, self.root = folder, folder / "root-1"
        key = ECC.import_key((core.state / "ca" / "ca.key").read_text())
        self._core = P256Signer(key)
        self._time = int(time.time())
        for name in ("releases", "packs"):
            (folder / name).mkdir(parents=True)
        added = [(role, one.public) for role in (trust.ROOT, trust.RELEASE) for one in PEOPLE]
        change = documents.Change(added, [], [], {trust.ROOT: 2, trust.RELEASE: 2})
        self.root.write_bytes(_signed(signed.ROOT, documents.first_root(change)))
        self._files = tree.files_of(BOARD, ROOT)

    def build(self, sequence: int, **changes: bytes) -> str:
        """Its digest. `changes`: files of agent/ that are others in it, by name."""
        data = packs.encode(self._files | {f"agent/{name}.py": changes[name] for name in changes})
        ids = vendor_id(""), class_id(BOARD, "")
        made = packs.envelope(data, packs.Facts(sequence, *ids, tree.needs_of(BOARD, ROOT), 0, [0, sequence]))
        digest = manifest.read_envelope(made).digest.hex()
        name = packs.pack_name(hashlib.sha256(data).digest())
        (self.folder / name).write_bytes(data)
        (self.folder / "releases" / digest).write_bytes(_signed(signed.RELEASE, made))
        return digest

    def allow(self, *digests: str) -> None:
        """The core's next beacon."""
        self._time += 1
        data = documents.beacon(self._time, 99, [bytes.fromhex(one) for one in digests], [], None)
        made = signed.sign(signed.opened(signed.BEACON, data), self._core)
        (self.folder / "beacon").write_bytes(made.encoded())


def _signed(kind: str, data: bytes) -> bytes:
    made = signed.opened(kind, data)
    for one in PEOPLE[:2]:
        made = signed.sign(made, one)
    return made.encoded()


class Whole:
    """A `Device` of e2e/network.py under stage-0; its package is this checkout, release 1."""

    def __init__(self, network: Network, core: Core, runtime: str) -> None:
        self.device: Device = network.device(runtime)
        self.core, self.runtime = core, runtime
        self.updates = self.device.state / "ota"
        self.progress = network.folder / f"{self.device.state.name}.progress"
        self._plain = self.device.command
        self.device.environment = {
            "CORELET_PACKAGE": "1", "CORELET_WATCHDOG": "/nothing", "CORELET_DELAY_S": "0", "CORELET_HEALTHY_S": "1",
            "CORELET_AGAIN_S": "1", "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        self.id = ""

    def start(self, ready: str = "waiting for a full core") -> None:
        words = ["sh", str(ROOT / "ota" / "stage0.sh"), str(self.updates), str(self.progress)]
        self.device.command = [*words, " ".join(interpreter(self.runtime))]
        self.device.start(ready=ready)
        self.device.command = self._plain

    def pair(self) -> None:
        self.core.pair(self.device)
        self.id = self.device.status()["device"]

    def trust(self, root: Path) -> None:
        self.device.say("trust", str(root), "--core", self.core.id)

    def __enter__(self) -> "Whole":
        return self

    def __exit__(self, *_: object) -> None:
        """Stage-0 ends what it started; whatever happened, nothing stays."""
        pid = self.device.process.pid
        self.device.process.stop(signal.SIGTERM)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)

    def order(self, **body: str) -> dict[str, Any]:
        return self.core.ask_with("POST", "/order", {"device": self.id, "body": body})

    @property
    def said(self) -> dict[str, Any]:
        """What its last birth says of updates, as the core heard it."""
        found: dict[str, Any] = self.core.ask("/update/" + self.id)["update"]
        return found

    def told(self) -> dict[str, Any]:
        """By `-m ota status`."""
        command = [*interpreter(self.runtime), "-m", "ota", "status", str(self.updates)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def children(self, words: str) -> list[int]:
        """Processes of stage-0 whose command line has `words`."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                stat = (path.parent / "stat").read_text().rpartition(")")[2].split()
                is_ours = int(stat[2]) == self.device.process.pid
                if is_ours and words in path.read_bytes().replace(b"\0", b" ").decode(errors="replace"):
                    found.append(int(path.parent.name))
        return found

    def runs(self, slot: str, sequence: int, state: str = "idle") -> None:
        """By its birth, after a last order that has ended."""

        def is_so() -> bool:
            said = self.said
            return (said.get("slot"), said.get("sequence"), said.get("state")) == (slot, sequence, state)

        until(f"release {sequence} in {slot}, {state}: {self.said}", is_so, WAIT_S)
