"""Keys that sign: passphrases, modes, the counter of leaves, and who else accepts their signatures."""

import os
import shutil
import signal
import stat
import subprocess
import sys
from multiprocessing import Process, get_context
from pathlib import Path
from typing import Any

import pyhsslms  # type: ignore[import-untyped]
import pytest
from Crypto.Util.asn1 import DerSequence

from ota import cbor, cose
from ota.errors import CoreletError, LimitError, TrustError, UsageError
from tests.expect import raises
from tools.maker import files, keys, leaves, passphrases

WORDS = b"correct horse battery"
MESSAGE = b"what is signed"


@pytest.fixture(autouse=True)
def witness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORELET_MAKER_STATE", str(tmp_path / "witness"))


def made(folder: Path, kind: str = keys.HSS, name: str = "key") -> Path:
    keys.make(folder / name, kind, 5, WORDS)
    return folder / name


def signed(path: Path, payload: bytes = MESSAGE) -> cose.Signature:
    return cose.read_signature(keys.open_signer(path, WORDS).sign(payload))


def leaf(signature: cose.Signature) -> int:
    return int.from_bytes(signature.proof[4:8], "big")


def test_p256_by_openssl(tmp_path: Path) -> None:
    """openssl opens the key file, and verifies what the key signs, with the exported public key."""
    path = made(tmp_path, keys.P256)
    found = signed(path)
    (tmp_path / "message").write_bytes(cbor.encode(["Signature1", found.signed, b"", MESSAGE]))
    numbers = [int.from_bytes(half, "big") for half in (found.proof[:32], found.proof[32:])]
    (tmp_path / "proof").write_bytes(DerSequence(numbers).encode())
    (tmp_path / "pw").write_bytes(WORDS)
    verify = ["openssl", "dgst", "-sha256", "-verify", "key.pub", "-signature", "proof", "message"]
    assert subprocess.run(verify, cwd=tmp_path, capture_output=True, check=False).returncode == 0
    public = ["openssl", "pkey", "-in", "key", "-passin", "file:pw", "-pubout"]
    done = subprocess.run(public, cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout == (tmp_path / "key.pub").read_bytes()
    (tmp_path / "message").write_bytes(b"something else")
    assert subprocess.run(verify, cwd=tmp_path, capture_output=True, check=False).returncode == 1


def test_hss_by_pyhsslms_and_each_leaf_once(tmp_path: Path) -> None:
    path = made(tmp_path)
    public = keys.read_public(path)
    for number in range(3):
        found = signed(path)
        message = cbor.encode(["Signature1", found.signed, b"", MESSAGE])
        assert pyhsslms.HssPublicKey.deserialize(public).verify(message, found.proof) and leaf(found) == number
    state = keys.leaves_left(path)
    assert state is not None and (state.left, state.following) == (29, 3)


def test_the_last_leaf_is_the_last(tmp_path: Path) -> None:
    path = made(tmp_path)
    signer = keys.open_signer(path, WORDS)
    for _ in range(32):
        signer.sign(MESSAGE)
    assert raises(LimitError, signer.sign, MESSAGE).code == "leaves"
    assert raises(LimitError, keys.open_signer(path, WORDS).sign, MESSAGE).code == "leaves"


@pytest.mark.parametrize("kind", [keys.P256, keys.HSS])
def test_every_form_says_the_same_key(tmp_path: Path, kind: str) -> None:
    path = made(tmp_path, kind)
    public = keys.read_public(path)
    for form in ("pem", "cose") + (("raw",) if kind == keys.HSS else ()):
        (tmp_path / form).write_bytes(keys.exported(public, form))
        assert keys.read_public(tmp_path / form) == public
    if kind == keys.P256:
        assert raises(UsageError, keys.exported, public, "raw").code == "form"


@pytest.mark.parametrize("kind", [keys.P256, keys.HSS])
def test_wrong_passphrases_and_damaged_files(tmp_path: Path, kind: str) -> None:
    path = made(tmp_path, kind)
    for words in (b"", b"correct horse batterx", WORDS + b" ", b"\xff\xfe"):
        assert raises(UsageError, keys.open_signer, path, words).code == "passphrase"
    whole, public, refused = path.read_bytes(), keys.read_public(path), 0
    for at in range(60, len(whole) - 40, 43):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:  # an HSS key that opens all the same is another one, and its leaves know it
            assert keys.open_signer(path, WORDS).sign(MESSAGE) and keys.open_signer(path, WORDS).public == public
        except CoreletError:
            refused += 1
    assert refused  # damage to the public half inside is read over: it is computed
    path.write_bytes(whole)
    signed(path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o777])
def test_what_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = made(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(keys.leaves_path(path).stat().st_mode) == 0o600
    for one in (path, keys.leaves_path(path)):
        one.chmod(mode)
        assert raises(UsageError, lambda: keys.open_signer(path, WORDS).sign(MESSAGE)).code == "readable_by_others"
        one.chmod(0o600)
    (tmp_path / "pw").write_bytes(WORDS)
    (tmp_path / "pw").chmod(mode)
    assert raises(UsageError, passphrases.passphrase, str(tmp_path / "pw"), path).code == "readable_by_others"


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    path = made(tmp_path)
    for name in ("key", "key.pub", "key.leaves"):
        other = tmp_path / name
        assert raises(UsageError, files.check_new, other).code == "exists"
    before = path.read_bytes()
    assert raises(UsageError, keys.make, path, keys.P256, 5, WORDS).code == "exists" and path.read_bytes() == before


def test_a_copy_and_an_older_state_are_refused(tmp_path: Path) -> None:
    path = made(tmp_path)
    state = keys.leaves_path(path)
    signed(path)
    old = state.read_bytes()
    signed(path)
    (tmp_path / "away").mkdir()
    for one in (path, keys.public_path(path), state):
        shutil.copy2(one, tmp_path / "away" / one.name)
    assert raises(TrustError, signed, tmp_path / "away/key").code == "leaf_state"
    newest = state.read_bytes()
    state.write_bytes(old)  # in place: the inode is the same, only the witness knows
    assert raises(TrustError, signed, path).code == "leaf_state"
    state.write_bytes(newest)
    assert leaf(signed(path)) == 2
    other = made(tmp_path, name="other")
    state.write_bytes(keys.leaves_path(other).read_bytes())
    assert raises(TrustError, signed, path).code == "leaf_state"
    state.write_bytes(bytes(8192))
    assert raises(TrustError, signed, path).code == "leaf_state"


def test_a_torn_record_leaves_the_other_one(tmp_path: Path) -> None:
    """The record of leaf 3 is torn in the middle: its signature never left, so leaf 3 is the next."""
    path = made(tmp_path)
    state = keys.leaves_path(path)
    for _ in range(3):
        signed(path)
    whole = state.read_bytes()
    torn = bytearray(whole)
    torn[20:60] = bytes(40)  # block 0 would have been written next
    state.write_bytes(torn)
    assert leaf(signed(path)) == 3


def test_a_moved_key_is_claimed(tmp_path: Path) -> None:
    path = made(tmp_path)
    for _ in range(3):
        signed(path)
    (tmp_path / "away").mkdir()
    away = tmp_path / "away/key"
    for one in (path, keys.leaves_path(path)):
        shutil.copy2(one, away.parent / one.name)
    signer = keys.open_signer(away, WORDS)
    assert isinstance(signer, keys.HssSigner)
    for number in (0, 2, 33):
        assert raises(UsageError, signer.claim, number).code == "leaf"
    assert signer.claim(7).left == 25 and leaf(cose.read_signature(signer.sign(MESSAGE))) == 7


def test_one_signs_at_a_time(tmp_path: Path) -> None:
    path = made(tmp_path)
    signer = keys.open_signer(path, WORDS)
    assert isinstance(signer, keys.HssSigner)
    with signer.leaves.locked():
        assert raises(TrustError, signed, path).code == "leaf_busy"
    assert leaf(signed(path)) == 0


def _sign_many(path: Path, out: Path) -> None:
    signer = keys.open_signer(path, WORDS)
    while True:
        try:
            found = cose.read_signature(signer.sign(MESSAGE))
        except TrustError:
            continue
        except LimitError:
            return
        (out / f"{os.getpid()}-{leaf(found)}").touch()


def test_signers_side_by_side_never_share_a_leaf(tmp_path: Path) -> None:
    path = made(tmp_path)
    (tmp_path / "out").mkdir()
    context = get_context("fork")
    running: list[Any] = [context.Process(target=_sign_many, args=(path, tmp_path / "out")) for _ in range(3)]
    for one in running:
        one.start()
    for one in running:
        one.join(60)
        assert one.exitcode == 0
    used = [int(one.name.partition("-")[2]) for one in (tmp_path / "out").iterdir()]
    assert sorted(used) == list(range(32))


CUTS = ("pwrite", "fsync", "reserve", "sign")


def _killed(path: Path, cut: str) -> None:
    """Ends by SIGKILL: before a record is written, before it is flushed, after the leaf is counted, after it signed."""

    def die(*_: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    signer = keys.open_signer(path, WORDS)
    assert isinstance(signer, keys.HssSigner)
    if cut in ("pwrite", "fsync"):
        setattr(os, cut, die)
    elif cut == "reserve":
        signer._private.sign = die
    else:
        whole = signer._private.sign
        signer._private.sign = lambda message: die(whole(message))
    signer.sign(MESSAGE)


@pytest.mark.parametrize("cut", CUTS)
def test_killed_between_leaf_and_signature(tmp_path: Path, cut: str) -> None:
    """A leaf may be lost, none is used twice: the one that was counted is never given again."""
    path = made(tmp_path)
    signed(path)
    child: Process = get_context("fork").Process(target=_killed, args=(path, cut))  # type: ignore[assignment]
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    # before the write nothing was counted, and nothing was signed either
    assert leaf(signed(path)) == (1 if cut == "pwrite" else 2)
    assert leaf(signed(path)) == (2 if cut == "pwrite" else 3)


def test_the_state_is_on_the_disk_before_it_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path)
    signer = keys.open_signer(path, WORDS)
    assert isinstance(signer, keys.HssSigner)
    said: list[str] = []
    write, flush, sign = os.pwrite, os.fsync, signer._private.sign
    monkeypatch.setattr(os, "pwrite", lambda *words: (said.append("write"), write(*words))[1])
    monkeypatch.setattr(os, "fsync", lambda *words: (said.append("flush"), flush(*words))[1])
    signer._private.sign = lambda message: (said.append("sign"), sign(message))[1]
    signer.sign(MESSAGE)
    assert said == ["write", "flush", "write", "flush", "flush", "sign"], "state, then witness and its folder"


def test_a_passphrase_is_asked_for_only_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert leaves.witness_folder() == tmp_path / "witness/leaves"
    with (tmp_path / "empty").open("w+") as empty:
        monkeypatch.setattr(sys, "stdin", empty)
        assert raises(UsageError, passphrases.passphrase, None, tmp_path).code == "passphrase"
    for words, is_good in ((b"short\n", False), (b"long enough\r\nmore", True), (b"\n", False), (b"x" * 1025, False)):
        (tmp_path / "pw").write_bytes(words)
        (tmp_path / "pw").chmod(0o600)
        if is_good:
            assert passphrases.passphrase(str(tmp_path / "pw"), tmp_path, True) == b"long enough"
        else:
            assert raises(UsageError, passphrases.passphrase, str(tmp_path / "pw"), tmp_path, True).code == "passphrase"


def test_without_its_library_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyhsslms", None)
    told = raises(UsageError, keys.make, tmp_path / "key", keys.HSS, 5, WORDS)
    assert told.code == "library" and "[maker]" in told.text and not list(tmp_path.glob("key*"))
    made(tmp_path, keys.P256)
