"""corelet-maker as a person types it: keys, a root by two people, a release by two of three, judged by openssl, by
pyhsslms and by the devices' own command on both interpreters; and a device that runs from what the pack holds."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyhsslms  # type: ignore[import-untyped]
import pytest

from ota import cbor, cose, manifest, pack
from tests.e2e import needs
from tests.programs import ENVIRONMENT, ROOT, Program, interpreter

FULL = os.environ.get("CORELET_FULL") == "1"
KILLS = 60 if FULL else 15
WORDS = "correct horse battery staple"


class Desk:
    """One folder, and the command in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = dict(ENVIRONMENT, CORELET_MAKER_STATE=str(folder / "state"), PYTHONPATH=str(ROOT))
        self.secret("pw", WORDS + "\n")

    def secret(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(0o600)

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "tools.maker.cli", *words]

    def typed(self, *words: str, given: str = "") -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            self.command(*words), cwd=self.folder, env=self.environment, input=given, capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip
        assert "Traceback" not in done.stderr and WORDS not in done.stdout + done.stderr, done.stderr
        return done

    def does(self, *words: str) -> str:
        done = self.typed(*words)
        assert done.returncode == 0, done
        return done.stdout

    def json(self, *words: str) -> Any:
        return json.loads(self.does(*words, "--json"))

    def refused(self, status: int, *words: str, given: str = "") -> str:
        """The one sentence."""
        done = self.typed(*words, given=given)
        assert done.returncode == status and not done.stdout, done
        assert done.stderr.startswith("corelet-maker: ") and done.stderr.count("\n") == 1, done.stderr
        return done.stderr

    def key(self, name: str, *words: str) -> None:
        self.does("keys", "new", name, "--passphrase-file", "pw", *words)

    def signs(self, kind: str, name: str, key: str, *words: str) -> None:
        self.does(kind, "sign", name, "--key", key, "--passphrase-file", "pw", *words)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Three people (one of them with an HSS key), root 1, and a release for each of two boards."""
    made = Desk(tmp_path_factory.mktemp("maker"))
    made.key("ann")
    made.key("bob")
    made.key("cat", "--kind", "hss", "--height", "5")
    people = [word for name in ("ann", "bob", "cat") for word in ("--add", "release", name)]
    made.does(
        "root", "new", "-o", "root-1", "--add", "root", "ann.pub", "--add", "root", "bob.pub", "--threshold", "root",
        "2", *people, "--threshold", "release", "2", "--add", "approval", "bob", "--threshold", "approval", "1",
    )  # fmt: skip
    made.signs("root", "root-1", "ann")
    made.signs("root", "root-1", "bob")
    yield made


def built(desk: Desk, board: str, sequence: int) -> Any:
    return desk.json("release", "build", board, "--sequence", str(sequence), "-o", "out", "--dirty")


def test_a_release_by_two_of_three_people(desk: Desk) -> None:
    """Ann and Cat sign copies, apart and offline; what they sign is what every device judges, on both interpreters."""
    release = built(desk, "raspberry-pi-zero-2w", 7)
    envelope, packed = release["envelope"], release["pack"]
    assert desk.typed("release", "verify", envelope, "--root", "root-1").returncode == 1
    desk.signs("release", envelope, "ann", "-o", "of-ann", "--pack", packed)
    desk.signs("release", envelope, "cat", "-o", "of-cat")
    desk.does("release", "merge", "of-ann", "of-cat", "-o", envelope)
    told = desk.json("release", "verify", envelope, "--root", "root-1", "--pack", packed)
    assert told["verdict"] == "accept" and told["pack_ok"] and len(told["verified"]) == 2
    keys = ["--key", "ann.pub", "--key", "bob.pub", "--key", "cat.pub", "--threshold", "2"]
    for runtime in ("cpython", "micropython"):
        words = [*interpreter(runtime), "-m", "ota", "verify", envelope, *keys]
        done = subprocess.run(words, cwd=desk.folder, env=desk.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0 and json.loads(done.stdout)["digest"] == release["digest"], done.stdout
    inspected = desk.json("release", "inspect", envelope)
    assert inspected["verdict"] == "readable" and inspected["sequence"] == 7 and inspected["trace"]
    assert "accept: " in desk.does("release", "verify", envelope, *keys)
    data = bytearray((desk.folder / packed).read_bytes())
    data[-1] ^= 1
    (desk.folder / "other-pack").write_bytes(data)
    done = desk.typed("release", "verify", envelope, *keys, "--pack", "other-pack", "--json")
    assert done.returncode == 1 and json.loads(done.stdout)["reason"] == "digest"
    assert "pack" in desk.refused(1, "release", "sign", envelope, "--key", "bob", "--pack", "other-pack")


def test_signatures_by_the_library(desk: Desk) -> None:
    """pyhsslms accepts what Cat signed; tests/tools/test_maker_keys.py asks openssl about P-256."""
    envelope = built(desk, "gl-mt300n-v2", 8)["envelope"]
    desk.signs("release", envelope, "cat")
    found = manifest.read_envelope((desk.folder / envelope).read_bytes())
    proof = cose.read_signature(found.signatures[0])
    desk.does("keys", "export", "cat", "--form", "raw", "-o", "cat.raw")
    public = pyhsslms.HssPublicKey.deserialize((desk.folder / "cat.raw").read_bytes())
    assert public.verify(cbor.encode(["Signature1", proof.signed, b"", found.signed]), proof.proof)


def test_the_next_root_and_other_documents(desk: Desk) -> None:
    desk.key("eve")
    desk.does("keys", "rotate", "root-1", "-o", "root-2", "--replace", "ann.pub", "eve.pub")
    assert "expected signatures by 2 keys" in desk.refused(1, "root", "verify", "root-1", "root-2")
    desk.signs("root", "root-2", "eve")
    assert "--after FILE" in desk.refused(1, *"root sign root-2 --key ann --passphrase-file pw".split())
    desk.signs("root", "root-2", "bob")
    desk.refused(1, "root", "verify", "root-1", "root-2")  # 2 of the new, only one of the old
    desk.signs("root", "root-2", "ann", "--after", "root-1")
    assert desk.json("root", "verify", "root-1", "root-2")["version"] == 2
    envelope = built(desk, "generic-linux", 9)["envelope"]
    desk.does("approval", "new", envelope, "-o", "go", "--board", "generic-linux", "--not-before", "5")
    desk.signs("approval", "go", "bob")
    assert desk.json("approval", "verify", "go", "--root", "root-1")["go"] is True
    digest = desk.json("release", "inspect", envelope)["digest"]
    desk.does("beacon", "new", "-o", "beacon", "--time", "1790000000", "--newest", "9", "--allow", digest)
    desk.signs("beacon", "beacon", "eve")
    assert desk.json("beacon", "verify", "beacon", "--key", "eve.pub")["allowed"] == [digest]
    assert desk.refused(1, "beacon", "verify", "beacon", "--key", "ann.pub")


def test_what_is_refused_at_the_desk(desk: Desk) -> None:
    envelope = built(desk, "generic-linux", 10)["envelope"]
    before = (desk.folder / envelope).read_bytes()
    sign = ["release", "sign", envelope, "--key", "ann"]
    desk.secret("wrong", "another passphrase\n")
    assert "expected the passphrase of ann" in desk.refused(2, *sign, "--passphrase-file", "wrong")
    assert "no terminal" in desk.refused(2, *sign)
    (desk.folder / "pw").chmod(0o644)
    assert "chmod 600 pw" in desk.refused(2, *sign, "--passphrase-file", "pw")
    (desk.folder / "pw").chmod(0o600)
    (desk.folder / "ann").chmod(0o604)
    assert "chmod 600 ann" in desk.refused(2, *sign, "--passphrase-file", "pw")
    (desk.folder / "ann").chmod(0o600)
    assert (desk.folder / envelope).read_bytes() == before
    assert "there already" in desk.refused(2, "keys", "new", "ann", "--passphrase-file", "pw")
    assert "expected a board" in desk.refused(2, *"release build toaster --sequence 1 -o out".split())
    assert "at most the sequence" in desk.refused(2, *"release build generic-linux --sequence 1 --floor 2 -o o".split())
    assert "see: corelet-maker release build --help" in desk.refused(2, "release", "build")
    assert "see: corelet-maker --help" in desk.refused(2)
    done = desk.typed(*sign, "--passphrase-file", "-", given=WORDS + "\n")
    assert done.returncode == 0, done.stderr
    assert "has not signed" in desk.refused(1, *sign, "--passphrase-file", "pw")
    told = desk.typed(*sign, "--passphrase-file", "pw", "--json")
    assert told.returncode == 1 and json.loads(told.stdout)["error"] == "signer_twice"
    (desk.folder / "junk").write_bytes(b"junk")
    for words in ("release inspect junk", "release verify junk --key ann.pub"):
        assert desk.typed(*words.split()).returncode == 1
    desk.refused(1, *"release sign junk --key ann --passphrase-file pw".split())


def test_every_command_has_help_with_its_example(desk: Desk) -> None:
    from tools.maker.words import COMMANDS

    assert "example: corelet-maker keys new" in desk.does("--help")
    for command in (COMMANDS[0], COMMANDS[-1], *[one for one in COMMANDS if one.words == "release build"]):
        said = " ".join(desk.does(*command.words.split(), "--help").split())
        assert f"example: corelet-maker {command.words}" in said and "--json" in said


def test_killed_while_it_signs(desk: Desk, tmp_path: Path) -> None:
    """SIGKILL at any moment: the file is the old one or a whole signed one, and no leaf signs twice."""
    seed = random.Random(5)
    own = Desk(tmp_path)
    own.key("hss", "--kind", "hss", "--height", "10" if FULL else "5")
    envelope = built(desk, "generic-linux", 11)["envelope"]
    shutil.copy(desk.folder / envelope, tmp_path / "release")
    before, used, killed = (tmp_path / "release").read_bytes(), [], 0
    started = time.monotonic()
    own.signs("release", "release", "hss", "-o", "first")
    whole_s = time.monotonic() - started
    for number in range(KILLS):
        name = f"signed-{number}"
        command = own.command("release", "sign", "release", "--key", "hss", "--passphrase-file", "pw", "-o", name)
        running = subprocess.Popen(command, cwd=tmp_path, env=own.environment, stdout=subprocess.DEVNULL)
        time.sleep(whole_s * seed.uniform(0.5, 1.1))
        running.send_signal(signal.SIGKILL)
        killed += running.wait() == -signal.SIGKILL
        if (tmp_path / name).exists():
            found = manifest.read_envelope((tmp_path / name).read_bytes())
            manifest.check_digest(found)
            used.append(int.from_bytes(cose.read_signature(found.signatures[0]).proof[4:8], "big"))
    assert killed and len(used) == len(set(used)) and (tmp_path / "release").read_bytes() == before
    own.signs("release", "release", "hss", "-o", "last")
    last = cose.read_signature(manifest.read_envelope((tmp_path / "last").read_bytes()).signatures[0])
    assert int.from_bytes(last.proof[4:8], "big") > max(used, default=0)


BOARDS = pytest.mark.parametrize(
    ("runtime", "board"), [("cpython", "raspberry-pi-zero-2w"), ("micropython", "gl-mt300n-v2")]
)


def published(desk: Desk, source: Path, board: str, sequence: int) -> Any:
    """Built into a source, signed by two and approved."""
    made = desk.json("release", "build", board, "--sequence", str(sequence), "-o", source.name, "--dirty")
    desk.signs("release", made["envelope"], "ann")
    desk.signs("release", made["envelope"], "bob")
    approval = f"{source.name}/approvals/{made['digest']}"
    (source / "approvals").mkdir(exist_ok=True)
    desk.does("approval", "new", made["envelope"], "-o", approval)
    desk.signs("approval", approval, "bob")
    return made


@BOARDS
def test_a_device_takes_it(desk: Desk, tmp_path: Path, runtime: str, board: str) -> None:
    """What was built is a source as it stands: the device's own client installs from it, but not another board's."""
    source = desk.folder / f"source-{runtime}"
    own, other = published(desk, source, board, 30), published(desk, source, "qemu-x86-64", 31)
    desk.key(f"core-{runtime}")

    def device(word: str, *words: str) -> Any:
        command = [*interpreter(runtime), "-m", "ota", word, str(tmp_path / "state"), *words]
        done = subprocess.run(
            command, cwd=desk.folder, env=desk.environment, capture_output=True, text=True, check=False, timeout=60
        )
        return done.returncode, json.loads(done.stdout)

    ids = ["--vendor", own["vendor"], "--class", own["class"], "--core", f"core-{runtime}.pub"]
    assert device("init", "--root", "root-1", *ids, "--slot-bytes", "2097152")[0] == 0
    for time_s, allowed, expected in ((1790000000, other, (1, "class")), (1790000001, own, (0, None))):
        words = ["--newest", "31", "--allow", allowed["digest"]]
        beacon = f"{source.name}/beacon"
        desk.does("beacon", "new", "-o", beacon, "--time", str(time_s), *words)
        desk.signs("beacon", beacon, f"core-{runtime}")
        assert device("refresh", source.name)[0] == 0
        status, told = device("install", source.name)
        assert (status, told.get("reason")) == expected, told
    status, told = device("boot")
    assert status == 0 and told["sequence"] == 30, told


@BOARDS
def test_a_device_runs_from_what_the_pack_holds(desk: Desk, tmp_path: Path, runtime: str, board: str) -> None:
    """Unpacked here; ota imports from the pack itself. Nothing that was left out is missed."""
    needs.program("micropython")
    data = (desk.folder / built(desk, board, 20)["pack"]).read_bytes()
    found = pack.Pack(data[: pack.read_prefix(data[:24])[0]])
    for line in found.index.decode().split("\n")[1:-1]:
        name = line.partition(" ")[0]
        place = found.find(name)
        assert place is not None
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_bytes(data[place[0] : place[0] + place[1]])
    tree = str(tmp_path / "tree")
    words = "--listen 127.0.0.1 --port 0 --data-port 0 --relay-port 0".split()
    up = [*interpreter(runtime), "-m", "agent", "up", "--state", str(tmp_path / "state"), "--board", board, *words]
    (tmp_path / "logs").mkdir()
    environment = {"PYTHONPATH": tree, "MICROPYPATH": f"{tree}:.frozen"}
    program = Program("device", up, tmp_path / "logs", environment)
    program.start(Path(tree))
    try:
        program.says("setup code")
    finally:
        program.stop(signal.SIGTERM)
