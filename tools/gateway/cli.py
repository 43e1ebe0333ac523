"""The command `corelet-core`: what an operator types. Everything it shows it can say with --json.

Exit status: 0 done, 1 failed, 2 wrong use. Secrets never come by argument; a setup code is good for one pairing, and
`pair -` reads it from standard input all the same.
"""

import argparse
import os
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from agent import __version__
from agent.errors import CoreletError, UsageError
from tools.gateway.addresses import parsed

WORDS = "list; credentials --user NAME; key new NAME; key list; key remove NAME"  # as relay_commands.py has them
NEW_PORT = -1  # as tools/gateway/app.py has it; that module is slow to load

SECONDS_MAX = 30 * 86400
RATE_MIN, RATE_MAX = 65536, 1 << 40

WRONG_USE = ("code", "qr", "name", "address", "usage", "state_path", "range", "share", "span", "waves", "sample")
WIDTH = 78


class _Narrow(argparse.HelpFormatter):
    """80 columns wherever it is read."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=WIDTH)


class _Parser(argparse.ArgumentParser):
    """Wrong use is one sentence, as all else is."""

    def error(self, message: str) -> NoReturn:
        from tools.gateway.state import program

        words = self.prog.partition(" ")[2]
        self.exit(2, f"corelet-core: {message}; see: {program()} {words + ' ' if words else ''}--help\n")


class _Lines(_Narrow, argparse.RawDescriptionHelpFormatter):
    """With the lines as they stand."""


def parser() -> argparse.ArgumentParser:
    """All commands; each with an example."""
    from tools.gateway.state import default_folder

    shared = _Parser(add_help=False)
    shared.add_argument(
        "--state", type=Path, metavar="DIR", help=f"the core's state folder (default {default_folder()})"
    )
    shared.add_argument("--json", action="store_true", help="print the result as JSON, for scripts")
    top = _Parser(
        prog="corelet-core",
        formatter_class=_Lines,
        description="Run a full core: pair devices, keep files safe on them, run the fleet.",
        epilog="What a command takes: corelet-core COMMAND --help\n"
        "example: corelet-core up, then in another terminal:\n"
        "         corelet-core pair 7QK2-M9XD-4TPH",
    )
    top.add_argument("--version", action="version", version=f"corelet-core {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")

    def command(name: str, words: str, example: str) -> argparse.ArgumentParser:
        text = words[0].upper() + words[1:] + "."
        epilog = f"example: corelet-core {example}"
        made = commands.add_parser(name, parents=[shared], help=words, description=text, epilog=epilog)
        made.formatter_class = _Narrow
        return made

    _add_running(command)
    _add_devices(command)
    _add_files(command)
    _add_relays(command)
    _add_updates(command)
    _add_token(command)
    return top


Command = Callable[[str, str, str], argparse.ArgumentParser]


def _add_running(command: Command) -> None:
    up = command("up", "start the core and keep it running", "up --name home")
    up.add_argument("--name", default="", help="what devices call this core (default: this machine's name)")
    up.add_argument("--listen", default="", metavar="ADDR", help="use only this address (default: all)")
    up.add_argument("--broker", default="auto", help="auto, mosquitto, embedded, or mqtts://HOST:PORT (default auto)")
    words = "the broker's port (default: that of before, at first 8883); 0 = that of before, at first any free one; new"
    words += " = another one, and the devices have to be paired again"
    words_web = "answer applications that ask for credentials of relays, over HTTP (default: off; ADDR: 127.0.0.1)"
    up.add_argument("--web", type=_web, default=None, metavar="[ADDR:]PORT", help=words_web)
    up.add_argument("--port", type=_port, default=None, metavar="N", help=words)
    words_update = "the port that devices fetch updates from (default: that of before, at first 8885 or any free one; "
    words_update += "0 = that of before, at first any free one)"
    up.add_argument("--update-port", type=_number, default=None, metavar="N", help=words_update)
    words_away = (
        "make shards of a device that is away for so long again elsewhere (default 14400, four hours; shorter: "
    )
    words_away += "also where the next loss would take a file, for which ten minutes are enough)"
    up.add_argument("--repair-after", type=_seconds, default=14400, metavar="S", help=words_away)
    words_rate = "how fast repairs and coding anew may read (default 16777216)"
    up.add_argument("--background-rate", type=_rate, default=16 << 20, metavar="BYTES/S", help=words_rate)
    command("status", "say how the core is", "status")


def _add_devices(command: Command) -> None:
    command("devices", "list the paired devices: up or down, and since when", "devices")
    audit = command("audit", "ask devices now to prove that they have what they keep", "audit attic")
    audit.add_argument(
        "device", nargs="?", default="", metavar="DEVICE", help="only this one: name, id, or its beginning"
    )
    command("discover", "list the devices on this network, paired or not", "discover")
    pair = command("pair", "pair a device by the setup code on its screen", "pair 7QK2-M9XD-4TPH --name attic")
    pair.add_argument("code", nargs="?", metavar="CODE", help="XXXX-XXXX-XXXX, or - to read it from standard input")
    pair.add_argument("--qr", metavar="TEXT", help="the text of the device's QR code instead of the code")
    pair.add_argument("--address", default="", metavar="HOST:PORT", help="where it is, when discovery cannot see it")
    pair.add_argument("--name", default="", help="what to call it (default: its own name)")
    forget = command("forget", "forget a device: its link falls silent at once", "forget attic")
    forget.add_argument("device", metavar="DEVICE", help="name, id, or the beginning of the id")
    forget.add_argument("--force", action="store_true", help="even if files can no longer be read then")


def _add_relays(command: Command) -> None:
    relay = command("relay", "the devices' relays (TURN), and who may use them", "relay credentials --user alice")
    relay.add_argument("words", nargs="+", metavar="WORD", help=WORDS)
    relay.add_argument("--user", default="", metavar="NAME", help="whose credentials: letters, digits and . _ @ -")
    relay.add_argument("--ttl", type=int, default=3600, metavar="S", help="how long they are good (default 3600)")
    relay.add_argument("--lan", action="store_true", help="for clients in the devices' own network")


def _add_updates(command: Command) -> None:
    words = "releases that this core may hand out: add, list, remove"
    release = command("release", words, "release add out/releases/DIGEST --pack out/packs/NAME --root root-1")
    release.add_argument("words", nargs="+", metavar="WORD", help="add ENVELOPE; ls; rm DIGEST")
    release.add_argument("--pack", default="", metavar="FILE", help="the release's pack")
    for name, text in (
        ("--approval", "what approves it, where the root asks for that; may be given again, as others sign"),
        ("--root", "with the first release the root that you trust; later each new one, in order"),
    ):
        release.add_argument(name, action="append", default=[], metavar="FILE", help=text)
    words = "give a release to devices, a few at first, and stop by itself when it is bad"
    rollout = command("rollout", words, "rollout start DIGEST --canary 1% --waves 10%,50%,100% --soak 30m")
    rollout.add_argument("words", nargs="+", metavar="WORD", help="start DIGEST; status; pause; resume; abort")
    for name, value, text in (
        ("--canary", "SHARE", "the first wave (default 1%%)"),
        ("--waves", "SHARES", "those after it, of all devices (default 10%%,50%%,100%%)"),
        ("--soak", "TIME", "how long a wave must stay well before the next (default 30m)"),
        ("--abort-at", "SHARE", "stop when more of the open devices than this failed (default 3%%)"),
        ("--deadline", "TIME", "who is silent for so long has failed (default 1h)"),
    ):
        rollout.add_argument(name, default="", metavar=value, help=text)
    text = "outcomes before it may stop by itself (default 5, or all of a smaller wave)"
    rollout.add_argument("--sample", type=int, default=5, metavar="N", help=text)


def _add_files(command: Command) -> None:
    put = command("put", "store a file, encrypted, over the devices", "put holiday.mp4")
    put.add_argument("file", metavar="FILE", help="the file, or - for standard input (then --name is needed)")
    put.add_argument("--name", default="", help="what to call it (default: the file's name)")
    get = command("get", "read a file back", "get holiday.mp4 -o copy.mp4")
    get.add_argument("object", metavar="OBJECT", help="name, id, or the beginning of the id")
    get.add_argument("-o", "--output", metavar="FILE", help="where to; - for standard output (default: its name, here)")
    words = "only these bytes, from 0, both included; also FIRST- or -COUNT. What is needed of it is read and"
    words += " authenticated, not the SHA-256 of the whole"
    get.add_argument("--range", default="", metavar="FIRST-LAST", help=words)
    command("ls", "list the stored files and how many losses each survives now", "ls")
    objects = command("objects", "list the stored files; how safe is each, and why not more", "objects --health")
    objects.add_argument("--health", action="store_true", help="device losses each survives now, and what is repaired")
    remove = command("rm", "remove a file from all devices", "rm holiday.mp4")
    remove.add_argument("object", metavar="OBJECT", help="name, id, or the beginning of the id")


def _add_token(command: Command) -> None:
    words = "make a bearer token for a store that runs without a core"
    token = command("token", words, "token --key-file store.key --op get --shard HEX")
    token.add_argument("--key-file", required=True, metavar="FILE", help="that of the store, mode 0600")
    token.add_argument("--op", required=True, choices=("put", "offer", "get", "head", "delete"), help="what it allows")
    token.add_argument("--shard", required=True, type=_shard, metavar="HEX", help="the shard's SHA-256, 64 hex digits")
    token.add_argument(
        "--bytes", type=int, default=None, metavar="N", help="how long the shard is, for --op put and offer"
    )
    token.add_argument("--device", type=_device, default=None, metavar="ID", help="what the store got as --device")


def _hex(text: str, digits: int) -> bytes:
    if len(text) != digits or text.strip("0123456789abcdef"):
        raise argparse.ArgumentTypeError(f"{text!r} is not {digits} hex digits in small letters")
    return bytes.fromhex(text)


def _shard(text: str) -> bytes:
    return _hex(text, 64)


def _device(text: str) -> str:
    return _hex(text, 16).hex()


def _port(text: str) -> int:
    if text == "new":
        return NEW_PORT
    if not text.isascii() or not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number from 0 to 65535, or new")
    return int(text)


def _number(text: str) -> int:
    number = _port(text)
    if number == NEW_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number from 0 to 65535")
    return number


def _seconds(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= SECONDS_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: a number of seconds from 1 to {SECONDS_MAX}")
    return int(text)


def _rate(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not RATE_MIN <= int(text) <= RATE_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is no rate: a number of bytes from {RATE_MIN} to {RATE_MAX}")
    return int(text)


def _web(text: str) -> tuple[str, int]:
    host, _, number = text.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if parsed(host) is None or not number.isascii() or not number.isdigit() or int(number) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no place to listen: write PORT or ADDR:PORT, such as 8480")
    return host, int(number)


def _up(options: argparse.Namespace, folder: Path) -> int:
    from agent import port
    from tools.gateway import life
    from tools.gateway.app import Options
    from tools.gateway.objects.care import Care

    port.files  # noqa: B018 (the port is loaded before the loop starts: it is part of the start's time)
    name = options.name or socket.gethostname().partition(".")[0] or "core"
    if not name.isprintable() or len(name.encode()) > 32:
        raise UsageError("name", "a core's name has at most 32 bytes and no control characters: choose another --name")
    if options.listen and parsed(options.listen) is None:
        raise UsageError("address", f"{options.listen!r} is no address: --listen takes one of this machine's")
    care = Care.of(options.repair_after, options.background_rate)
    ports = options.port, options.web
    made = Options(folder, name, options.listen, options.broker, *ports, care, options.update_port)
    return life.run(made, options.json)


def run(options: argparse.Namespace) -> int:
    """One parsed command line."""
    from tools.gateway.state import default_folder

    folder = options.state or default_folder()
    if options.command == "up":
        return _up(options, folder)
    if options.command == "token":
        from tools.gateway.command.bearer import bearer

        return bearer(options)
    from tools.gateway.command import commands, object_commands, screen, update_commands
    from tools.gateway.command.client import Client

    client = Client(folder)
    try:
        known = commands.COMMANDS | {"objects": object_commands.objects}
        known |= {"release": update_commands.release, "rollout": update_commands.rollout}
        has_progress = options.command in ("put", "get", "pair")
        with screen.patience("waiting for the core ...", not has_progress and not options.json):
            return known[options.command](client, options)
    finally:
        client.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script."""
    top = parser()
    options = top.parse_args(arguments)
    if options.command is None:
        top.print_help()
        return 2
    try:
        return run(options)
    except CoreletError as error:
        from tools.gateway.state import as_typed

        print(f"corelet-core: {as_typed(error.text, options.state)}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) and error.code in WRONG_USE else 1
    except KeyboardInterrupt:
        print("corelet-core: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output has left. Nothing more can be said; keep the interpreter's last flush quiet too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(f"corelet-core: this could not be written or read: {error.strerror or error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
