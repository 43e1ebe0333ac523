"""Commands on documents of trust, and those on every kind of file that people sign: sign and merge."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.limits import counted
from ota import cose, trust
from ota.errors import UsageError
from tools.maker import documents, files, keys, signed
from tools.maker.identity import class_id, known_board
from tools.maker.packs import check_pack, summary
from tools.maker.passphrases import passphrase

Answer = tuple[dict[str, Any], list[str]]


def _change(options: argparse.Namespace) -> documents.Change:
    return documents.Change(
        [(_role(word), keys.read_public(Path(name))) for word, name in options.add],
        [(_role(word), keys.read_public(Path(name))) for word, name in vars(options).get("remove", [])],
        [(keys.read_public(Path(a)), keys.read_public(Path(b))) for a, b in vars(options).get("replace", [])],
        {_role(word): _threshold(number) for word, number in options.threshold},
        options.beacon_age,
        None if options.offline_ok is None else options.offline_ok == "yes",
    )


def _role(word: str) -> int:
    if word not in documents.ROLES:
        raise UsageError("role", f"expected a role: {', '.join(documents.ROLES)}; got {word}")
    return documents.ROLES[word]


def _threshold(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= cose.KEYS_MAX:
        raise UsageError("threshold", f"expected a number of keys from 1 to {cose.KEYS_MAX}, got {text}")
    return int(text)


def new_root(options: argparse.Namespace) -> Answer:
    data = documents.first_root(_change(options))
    files.write(options.output, data)
    root = trust.held_root(data)
    return documents.told(root), [f"written: {options.output}, root 1, unsigned", *_signers(root, None)]


def rotate(options: argparse.Namespace) -> Answer:
    old = trust.held_root(files.read(options.root, trust.DOCUMENT_BYTES_MAX))
    data = documents.next_root(old, _change(options))
    files.write(options.output, data)
    root = trust.held_root(data)
    lines = [f"written: {options.output}, root {root.version}, unsigned", *_signers(root, old)]
    return documents.told(root), lines


def _signers(root: trust.Root, before: trust.Root | None) -> list[str]:
    lines = []
    for words, one in (("", root), ("of root before it ", before)):
        if one is not None:
            threshold, publics = one.roles[trust.ROOT]
            names = ", ".join(keys.key_id(public).hex() for public in publics)
            lines.append(f"to be signed by {threshold} {words}of: {names}")
    return lines


def verify_roots(options: argparse.Namespace) -> Answer:
    root = documents.chain([files.read(one, trust.DOCUMENT_BYTES_MAX) for one in options.files])
    lines = [f"root {root.version} is signed as it must be"]
    for word, role in documents.ROLES.items():
        if role in root.roles:
            threshold, publics = root.roles[role]
            names = ", ".join(keys.key_id(public).hex() for public in publics)
            lines.append(f"{word:<9}{threshold} of {len(publics)}: {names}")
    return documents.told(root), lines


def sign(kind: str) -> Callable[[argparse.Namespace], Answer]:
    def run(options: argparse.Namespace) -> Answer:
        found = signed.opened(kind, files.read(options.file))
        if kind == signed.RELEASE and options.pack is not None:
            check_pack(found, files.read(options.pack))
        signer = keys.open_signer(options.key, passphrase(options.passphrase_file, options.key))
        if kind == signed.ROOT:
            before = files.read(options.after, trust.DOCUMENT_BYTES_MAX) if options.after else None
            old = trust.held_root(before) if before else None
            documents.check_signer(trust.held_root(found.encoded()), old, signer.public)
        made = signed.sign(found, signer)
        output = options.output or options.file
        files.write(output, made.encoded())
        name = keys.key_id(signer.public).hex()
        answer = {"file": str(output), "signed_by": name, "signatures": len(made.signatures)}
        lines = [
            f"signed by {name}: {output}, {counted(len(made.signatures), 'signatures')}, {len(made.encoded())} bytes"
        ]
        return answer, lines + (summary(made) if kind == signed.RELEASE else [])

    return run


def merge(kind: str) -> Callable[[argparse.Namespace], Answer]:
    def run(options: argparse.Namespace) -> Answer:
        made = signed.merge([signed.opened(kind, files.read(one)) for one in options.files])
        files.write(options.output, made.encoded())
        answer = {"file": str(options.output), "signatures": len(made.signatures)}
        return answer, [f"written: {options.output}, {len(made.signatures)} signatures"]

    return run


def new_approval(options: argparse.Namespace) -> Answer:
    release = signed.opened(signed.RELEASE, files.read(options.release))
    assert release.envelope is not None
    board = class_id(known_board(options.board), options.vendor) if options.board else None
    data = documents.approval(release.envelope.digest, not options.no_go, board, options.not_before)
    files.write(options.output, data)
    word = "no-go" if options.no_go else "go"
    answer = {"file": str(options.output), "digest": release.envelope.digest.hex(), "go": not options.no_go}
    return answer, [f"written: {options.output}, {word} for {release.envelope.digest.hex()}, unsigned"]


def verify_approval(options: argparse.Namespace) -> Answer:
    root = trust.held_root(files.read(options.root, trust.DOCUMENT_BYTES_MAX))
    found = trust.read_approval(root, files.read(options.file, trust.DOCUMENT_BYTES_MAX))
    board = found.class_id.hex() if found.class_id else None
    answer = {"digest": found.digest.hex(), "go": found.is_go, "class": board, "not_before": found.not_before}
    words = f"{'go' if found.is_go else 'no-go'} for {found.digest.hex()}, class {board or 'any'}"
    return answer, [f"{words}, from {found.not_before} on; signed as root {root.version} asks"]


def new_beacon(options: argparse.Namespace) -> Answer:
    data = documents.beacon(options.time, options.newest, options.allow, options.abort, options.device)
    files.write(options.output, data)
    return {"file": str(options.output)}, [f"written: {options.output}, unsigned"]


def verify_beacon(options: argparse.Namespace) -> Answer:
    data = files.read(options.file, trust.DOCUMENT_BYTES_MAX)
    device = trust.held_beacon(data).device
    found = trust.read_beacon(keys.read_public(options.key), data, device or "", -1)
    allowed, aborted = [[one.hex() for one in digests] for digests in (found.allowed, found.aborted)]
    answer = {"time": found.time, "newest": found.newest, "allowed": allowed, "aborted": aborted, "device": device}
    lines = [f"time {found.time}, newest release {found.newest}, for {device or 'every device'}"]
    return answer, lines + [f"allowed: {one}" for one in allowed] + [f"aborted: {one}" for one in aborted]
