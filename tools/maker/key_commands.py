"""`corelet-maker keys new|show|export|claim`."""

import argparse
from typing import Any

from ota.errors import UsageError
from tools.maker import files, keys
from tools.maker.passphrases import passphrase

Answer = tuple[dict[str, Any], list[str]]


def new(options: argparse.Namespace) -> Answer:
    for one in (options.file, keys.public_path(options.file), keys.leaves_path(options.file)):
        files.check_new(one)
    public = keys.make(
        options.file, options.kind, options.height, passphrase(options.passphrase_file, options.file, True)
    )
    answer, lines = show(options)
    lines.append(
        f"give away {keys.public_path(options.file)}; keep {options.file} and its passphrase apart and offline"
    )
    if len(public) != 65:
        lines.append(f"{keys.leaves_path(options.file)} goes where the key goes: moved, never copied, never restored")
    return answer, lines


def show(options: argparse.Namespace) -> Answer:
    public = keys.read_public(options.file)
    kind, name = keys.kind_of(public), keys.key_id(public).hex()
    answer: dict[str, Any] = {"file": str(options.file), "id": name, "kind": kind, "public": public.hex()}
    lines = [f"{options.file}: {'P-256 (ESP256)' if kind == keys.P256 else 'HSS/LMS'}, id {name}"]
    state = keys.leaves_left(options.file)
    if state is not None:
        answer |= {"leaves_left": state.left, "leaf": state.following}
        lines.append(f"{state.left} signatures left, the next leaf is {state.following}")
    return answer, lines


def export(options: argparse.Namespace) -> Answer:
    data = keys.exported(keys.read_public(options.file), options.form)
    files.write(options.output, data)
    return {"file": str(options.output), "form": options.form}, [f"written: {options.output} ({options.form})"]


def claim(options: argparse.Namespace) -> Answer:
    signer = keys.open_signer(options.file, passphrase(options.passphrase_file, options.file))
    if not isinstance(signer, keys.HssSigner):
        raise UsageError("key", "expected an HSS key, got one of P-256: it has no leaves and may be copied")
    state = signer.claim(options.leaf)
    answer = {"leaf": state.following, "leaves_left": state.left}
    return answer, [f"leaf {state.following} is next, {state.left} signatures left"]
