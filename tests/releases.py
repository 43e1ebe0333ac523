"""A source of releases as a folder (ota/README.md), signed with the test keys; for tests with processes.

source = Source(folder); one = source.release(7, FILES); source.allow(one); source.root(2)
"""

from pathlib import Path

from ota import cbor, trust
from tests.unit.ota.making import CLASS, KEYS, VENDOR, digest_of, document, envelope, image_digest, public, sha256
from tests.unit.ota.making import manifest as make_manifest
from tests.unit.ota.packing import build, head_of

PUBLICS = [public(scalar) for scalar in (*KEYS, 55)]
CORE = 55
NEEDS = {"cpython": [[3, 11], [4]], "micropython": [[1, 20], [2]]}
# Writes that it lives where the test looks, and goes on, or ends as the word in its file says.
PROGRAM = b"""
import sys, time
NAME = %r
def main():
    with open(sys.argv[1], "a") as file:
        file.write(NAME + "\\n")
    if NAME.startswith("crash"):
        raise ValueError(NAME)
    if NAME.startswith("end"):
        return 0
    number = 0
    while True:
        if not NAME.startswith("hang") or number == 0:
            number += 1
            with open(sys.argv[2], "w") as file:
                file.write(str(number) + "\\n")
        time.sleep(0.1)
"""


class Source:
    def __init__(self, folder: Path, beacon_age_max_s: int = 86400, offline_ok: bool = False) -> None:
        self.folder = folder
        self.age, self.offline_ok = beacon_age_max_s, offline_ok
        self.time = 1000
        for name in ("roots", "releases", "approvals", "packs"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self.root(1)
        (folder / "core.key").write_bytes(cbor.encode({1: 2, -1: 1, -2: PUBLICS[4][1:33], -3: PUBLICS[4][33:]}))

    def root(self, version: int, approval: bool = False, signers: tuple[int, ...] = KEYS[:2]) -> None:
        """2 of 3 for roots and for releases."""
        roles = {trust.ROOT: [2, 0, 1, 2], trust.RELEASE: [2, 0, 1, 2]}
        if approval:
            roles[trust.APPROVAL] = [1, 3]
        value = {1: version, 2: PUBLICS[:4], 3: roles, 4: self.age, 5: self.offline_ok}
        self.write_root(value, signers)

    def write_root(self, value: "dict[int, object]", signers: tuple[int, ...]) -> None:
        (self.folder / "roots" / str(value[1])).write_bytes(document(value, trust.KIND_ROOT, signers))

    def release(self, sequence: int, files: dict[str, bytes], **changes: object) -> str:
        """Its digest. `changes`: parameters by name: floor, class_id, vendor, needs, uri, size, signers, pack."""
        pack = build(sorted(files.items()))
        uri = str(changes.get("uri", f"packs/{sequence}"))
        parameters = {
            1: changes.get("vendor", VENDOR), 2: changes.get("class_id", CLASS), 3: image_digest(sha256(pack)),
            14: changes.get("size", len(pack)), -1: changes.get("floor", 0), -2: sha256(head_of(pack)),
            -3: cbor.encode(changes.get("needs", NEEDS)),
        }  # fmt: skip
        install = cbor.encode([20, {21: uri}, 21, 2, 3, 15])
        made = make_manifest(sequence, [20, parameters, 1, 15, 2, 15], {20: install})
        digest = digest_of(made).hex()
        (self.folder / "releases" / digest).write_bytes(envelope(made, changes.get("signers", KEYS[:2])))
        (self.folder / "packs" / str(sequence)).write_bytes(pack)
        return digest

    def allow(
        self, *digests: str, aborted: tuple[str, ...] = (), newest: int = 99, device: "str | None" = None
    ) -> None:
        """The next beacon."""
        self.time += 1
        lists = [[bytes.fromhex(one) for one in some] for some in (digests, aborted)]
        self.write_beacon({1: self.time, 2: newest, 3: lists[0], 4: lists[1], 5: device})

    def write_beacon(self, value: "dict[int, object]", scalar: int = CORE) -> None:
        (self.folder / "beacon").write_bytes(document(value, trust.KIND_BEACON, (scalar,)))

    def approve(self, digest: str, is_go: bool = True) -> None:
        value = {1: bytes.fromhex(digest), 2: is_go, 3: None, 4: 0}
        (self.folder / "approvals" / digest).write_bytes(document(value, trust.KIND_APPROVAL, KEYS[3:]))


def program(name: str) -> dict[str, bytes]:
    """The files of a release whose agent writes `name`."""
    return {"agent/__init__.py": b"", "agent/__main__.py": PROGRAM % name}


INIT = ("--vendor", VENDOR.hex(), "--class", CLASS.hex(), "--device", "board", "--slot-bytes", "131072")
