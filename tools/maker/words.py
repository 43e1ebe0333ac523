"""Every command of corelet-maker as data: its words, options, one line of help, an example, and what runs."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tools.maker import key_commands, release_commands, trust_commands

Answer = tuple[dict[str, Any], list[str]]
Option = tuple[tuple[str, ...], dict[str, Any]]


class Command(NamedTuple):
    """`run` gives (answer, lines): the object for --json, and the same for a person."""

    words: str
    about: str
    example: str
    run: Callable[[argparse.Namespace], Answer]
    options: tuple[Option, ...] = ()


def _number(least: int, most: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} to {most}")
        return int(text)

    return number


def _digest(text: str) -> bytes:
    if len(text) != 64 or text.strip("0123456789abcdef"):
        raise argparse.ArgumentTypeError(f"{text!r} is not 64 hex digits in small letters")
    return bytes.fromhex(text)


def _file(name: str, about: str) -> Option:
    return (name,), {"type": Path, "metavar": name.upper(), "help": about}


def _named(flag: str, metavar: str, about: str, **more: Any) -> Option:
    return (flag,), {"metavar": metavar, "help": about, **more}


def _files(flag: str, about: str) -> Option:
    return _named(flag, "FILE", about, type=Path, action="append", default=[])


GROUPS = (
    ("keys", "private keys that sign, and who holds the next ones"),
    ("root", "who may sign what: the documents that devices trust"),
    ("release", "packs and the signed envelopes that name them"),
    ("approval", "a go or no-go for a release, by those whom the root names for it"),
    ("beacon", "what a full core lets its devices take (a running core signs its own)"),
)

SECONDS_MAX = (1 << 53) - 1
NUMBER_MAX = (1 << 64) - 1

PASSPHRASE = _named("--passphrase-file", "FILE", "its first line; - for standard input (default: asked for)")
OUTPUT: Option = (("-o", "--output"), {"type": Path, "metavar": "FILE", "required": True, "help": "where to"})
FOLDER: Option = (("-o", "--output"), {"type": Path, "metavar": "DIR", "required": True, "help": "where to"})
ELSEWHERE: Option = (("-o", "--output"), {"type": Path, "metavar": "FILE", "help": "where to (default: in its place)"})
KEY = _named("--key", "FILE", "the private key", type=Path, required=True)
AFTER = _named("--after", "FILE", "the root before it, if the key is only in that one", type=Path)

_PAIR = {"nargs": 2, "action": "append", "default": []}
CHANGES: tuple[Option, ...] = (
    (("--add",), {**_PAIR, "metavar": ("ROLE", "KEY"), "help": "a public key: root, release or approval"}),
    (("--threshold",), {**_PAIR, "metavar": ("ROLE", "N"), "help": "how many keys of the role must sign"}),
    _named("--beacon-age", "S", "how old a beacon may be (at first 604800, a week)", type=_number(1, SECONDS_MAX)),
    (
        ("--offline-ok",),
        {"choices": ("yes", "no"), "help": "whether a release without a beacon may be installed (at first no)"},
    ),
)
LESS: tuple[Option, ...] = (
    (("--remove",), {**_PAIR, "metavar": ("ROLE", "KEY"), "help": "a public key of that role"}),
    (("--replace",), {**_PAIR, "metavar": ("OLD", "NEW"), "help": "a public key by another, in every role"}),
)


def _sign(kind: str, about: str, example: str, *more: Option) -> Command:
    place = _file("file", "what is signed and passed on")
    options = (place, KEY, PASSPHRASE, ELSEWHERE, *more)
    return Command(f"{kind} sign", about, example, trust_commands.sign(kind), options)


def _merge(kind: str) -> Command:
    copies: Option = ("files",), {"type": Path, "metavar": "FILE", "nargs": "+", "help": "copies that people signed"}
    about = "put the signatures of several copies into one file"
    return Command(f"{kind} merge", about, "one two -o both", trust_commands.merge(kind), (copies, OUTPUT))


KEY_COMMANDS = (
    Command(
        "keys new",
        "make a key: FILE, FILE.pub and, for hss, FILE.leaves",
        "ann.key --kind hss",
        key_commands.new,
        (
            _file("file", "the name of the new key"),
            (("--kind",), {"choices": ("p256", "hss"), "default": "p256", "help": "default p256; hss: post-quantum"}),
            (
                ("--height",),
                {"type": int, "choices": (5, 10), "default": 10, "help": "of hss: 2^N signatures (default 10)"},
            ),
            PASSPHRASE,
        ),
    ),
    Command(
        "keys show",
        "say what a key is and how many signatures an hss key has left",
        "ann.key",
        key_commands.show,
        (_file("file", "a private or a public key"),),
    ),
    Command(
        "keys export",
        "write the public key in another form",
        "ann.key --form cose -o ann.cbor",
        key_commands.export,
        (
            _file("file", "a private key (FILE.pub is read) or a public one"),
            (("--form",), {"choices": ("pem", "cose", "raw"), "default": "pem", "help": "raw: hss only (default pem)"}),
            OUTPUT,
        ),
    ),
    Command(
        "keys claim",
        "say that an hss key was moved here for good, and from which leaf on none was ever used",
        "ann.key --leaf 17",
        key_commands.claim,
        (
            _file("file", "the private key"),
            _named("--leaf", "N", "the first leaf that was never used, anywhere", type=_number(0, 1024), required=True),
            PASSPHRASE,
        ),
    ),
    Command(
        "keys rotate",
        "make the next root with other keys; m of the old and m of the new root keys then sign it (root sign)",
        "root-1 -o root-2 --replace ann.pub eve.pub",
        trust_commands.rotate,
        (_file("root", "the root that is in force"), OUTPUT, *CHANGES, *LESS),
    ),
)

ROOT_COMMANDS = (
    Command(
        "root new",
        "make the first root, unsigned",
        "-o root-1 --add root ann.pub --threshold root 1 --add release bob.pub --threshold release 1",
        trust_commands.new_root,
        (OUTPUT, *CHANGES),
    ),
    _sign("root", "sign a root", "root-2 --key ann.key", AFTER),
    _merge("root"),
    Command(
        "root verify",
        "prove a chain of roots, the first one first, and say what the last one says",
        "root-1 root-2",
        trust_commands.verify_roots,
        ((("files",), {"type": Path, "metavar": "ROOT", "nargs": "+", "help": "in the order of their versions"}),),
    ),
)

APPROVAL_COMMANDS = (
    Command(
        "approval new",
        "make an approval of a release, unsigned",
        "release.suit -o go --board raspberry-pi-zero-2w",
        trust_commands.new_approval,
        (
            _file("release", "the envelope"),
            OUTPUT,
            _named("--board", "BOARD", "only for devices of this board (default: all)"),
            _named("--vendor", "DOMAIN", "whose board (default corelet.invalid)", default=""),
            (("--no-go",), {"action": "store_true", "help": "forbid it"}),
            _named("--not-before", "S", "core time (default 0)", type=_number(0, SECONDS_MAX), default=0),
        ),
    ),
    _sign("approval", "sign an approval", "go --key ann.key"),
    _merge("approval"),
    Command(
        "approval verify",
        "prove an approval by a root, and say what it says",
        "go --root root-1",
        trust_commands.verify_approval,
        (_file("file", "the approval"), _named("--root", "FILE", "the root in force", type=Path, required=True)),
    ),
)

BEACON_COMMANDS = (
    Command(
        "beacon new",
        "make a beacon, unsigned",
        "-o beacon --time 1790000000 --newest 7 --allow DIGEST",
        trust_commands.new_beacon,
        (
            OUTPUT,
            _named("--time", "S", "Unix time, later than any before", type=_number(0, SECONDS_MAX), required=True),
            _named("--newest", "N", "the newest release there is", type=_number(0, NUMBER_MAX), required=True),
            _named("--allow", "DIGEST", "a release that may be taken", type=_digest, action="append", default=[]),
            _named("--abort", "DIGEST", "a release that is to stop", type=_digest, action="append", default=[]),
            _named("--device", "ID", "only for this device (default: for all)"),
        ),
    ),
    _sign("beacon", "sign a beacon", "beacon --key core.key"),
    Command(
        "beacon verify",
        "prove a beacon by the key of its core, and say what it says",
        "beacon --key core.pub",
        trust_commands.verify_beacon,
        (_file("file", "the beacon"), _named("--key", "FILE", "the core's public key", type=Path, required=True)),
    ),
)

JUDGED: tuple[Option, ...] = (
    _file("file", "the envelope"),
    _files("--key", "a public key whose signature counts"),
    _named("--pack", "FILE", "its pack: digests, size and needs must agree", type=Path),
)

RELEASE_COMMANDS = (
    Command(
        "release build",
        "make the pack of a board from the tree, and its envelope, unsigned: a folder that devices can take it from",
        "raspberry-pi-zero-2w --sequence 7 -o out",
        release_commands.build,
        (
            (("board",), {"metavar": "BOARD", "help": "a profile's name (see: corelet boards)"}),
            _named(
                "--sequence",
                "N",
                "higher than that of every release before",
                type=_number(1, NUMBER_MAX),
                required=True,
            ),
            FOLDER,
            _named(
                "--floor", "N", "once confirmed, nothing below runs (default 0)", type=_number(0, NUMBER_MAX), default=0
            ),
            _named("--vendor", "DOMAIN", "whose board it is (default corelet.invalid)", default=""),
            _named("--tree", "DIR", "the source (default: where this command runs from)", type=Path),
            (
                ("--dirty",),
                {"action": "store_true", "help": "also from a checkout with changes that git does not have"},
            ),
        ),
    ),
    _sign("release", "sign a release; --pack is checked first", "release.suit --key ann.key", JUDGED[2]),
    _merge("release"),
    Command(
        "release verify",
        "judge a release as a device does",
        "release.suit --root root-1",
        release_commands.verify,
        (
            *JUDGED,
            _named("--threshold", "N", "how many of the keys must have signed", type=_number(1, 16), default=1),
            _named("--root", "FILE", "take keys and threshold from this root", type=Path),
        ),
    ),
    Command(
        "release inspect",
        "show what is in an envelope, and whether a device could read it",
        "release.suit --json",
        release_commands.inspect,
        JUDGED,
    ),
)

COMMANDS = (*KEY_COMMANDS, *ROOT_COMMANDS, *RELEASE_COMMANDS, *APPROVAL_COMMANDS, *BEACON_COMMANDS)
