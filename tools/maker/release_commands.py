"""`corelet-maker release build|verify|inspect`; sign and merge are in trust_commands.py.

The verdict and every line about an envelope come from ota, which is what a device runs: there is no second verifier.
"""

import argparse
import hashlib
import json
from typing import Any

from ota import manifest, trust
from ota.errors import CoreletError, UsageError
from ota.report import report, write_json
from tools.maker import files, keys, packs, signed, tree
from tools.maker.identity import class_id, known_board, vendor_id

Answer = tuple[dict[str, Any], list[str]]


def build(options: argparse.Namespace) -> Answer:
    board, source = known_board(options.board), (options.tree or tree.ROOT).resolve()
    if options.floor > options.sequence:
        raise UsageError("floor", f"expected a floor of at most the sequence {options.sequence}, got {options.floor}")
    found = tree.files_of(board, source)
    commit = tree.commit_of(source, list(found), options.dirty)
    ids = vendor_id(options.vendor), class_id(board, options.vendor)
    needs, version = tree.needs_of(board, source), tree.version_of(source)
    data = packs.encode(found)
    made = packs.envelope(data, packs.Facts(options.sequence, *ids, needs, options.floor, version))
    digest = hashlib.sha256(data).digest()
    release = manifest.read_envelope(made).digest
    pack_path = options.output / packs.pack_name(digest)
    path = options.output / f"releases/{release.hex()}"
    for one in (pack_path, path):
        one.parent.mkdir(parents=True, exist_ok=True)
    files.write(pack_path, data)
    if not path.exists():  # signatures of another day
        files.write(path, made)
    answer = {"envelope": str(path), "pack": str(pack_path), "digest": release.hex(), "files": len(found)}
    answer |= {
        "vendor": ids[0].hex(),
        "class": ids[1].hex(),
        "pack_bytes": len(data),
        "commit": commit,
        "needs": needs,
        "sequence": options.sequence,
    }
    lines = [f"to sign: {path}", f"its pack: {pack_path}, {len(found)} files, from {commit or 'a tree without git'}"]
    return answer, lines + packs.summary(signed.opened(signed.RELEASE, made))


def verify(options: argparse.Namespace) -> Answer:
    publics = [keys.read_public(one) for one in options.key]
    names, threshold = [str(one) for one in options.key], options.threshold
    if options.root is not None:
        if options.key:
            raise UsageError("usage", "expected --root or --key, got both: the root names the keys")
        root = trust.held_root(files.read(options.root, trust.DOCUMENT_BYTES_MAX))
        threshold, publics = root.roles[trust.RELEASE][0], list(root.roles[trust.RELEASE][1])
        names = [keys.key_id(public).hex() for public in publics]
    if threshold > len(publics):
        raise UsageError("usage", f"expected as many keys as the threshold {threshold}, got {len(publics)}")
    if len(set(publics)) != len(publics):
        raise UsageError("key", "expected each key once, got one twice")
    return _judged(options, names, publics, threshold)


def inspect(options: argparse.Namespace) -> Answer:
    return _judged(options, [str(one) for one in options.key], [keys.read_public(one) for one in options.key], 0)


def _judged(options: argparse.Namespace, names: list[str], publics: list[bytes], threshold: int) -> Answer:
    data = files.read(options.file)
    pieces: list[str] = []
    write_json(report(data, names, tuple(publics), threshold), pieces.append)
    answer: dict[str, Any] = json.loads("".join(pieces))
    if options.pack is not None and answer["verdict"] != "reject":
        _add_pack(answer, data, files.read(options.pack))
    return answer, _lines(answer, data)


def _add_pack(answer: dict[str, Any], data: bytes, came: bytes) -> None:
    try:
        packs.check_pack(signed.opened(signed.RELEASE, data), came)
        answer["pack_ok"] = True
    except CoreletError as error:
        answer |= {"pack_ok": False, "verdict": "reject", "reason": error.code, "text": error.text}


def _lines(answer: dict[str, Any], data: bytes) -> list[str]:
    lines = [f"{answer['verdict']}: {answer['text']}"]
    for row in answer.get("auth", []):
        by = row["verifies_with"] or (f"nobody of those named (it says {row['kid']})" if row["kid"] else "nobody named")
        lines.append(f"signature by {by}, algorithm {row['alg']}")
    if "pack_ok" in answer:
        lines.append("the pack is that of the envelope" if answer["pack_ok"] else "the pack is another")
    try:
        return lines + packs.summary(signed.opened(signed.RELEASE, data))
    except CoreletError:
        return [*lines, *[json.dumps(row, sort_keys=True) for row in answer.get("trace", [])]]
