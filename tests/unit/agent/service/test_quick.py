"""What is answered at once: only a GET that the other path would answer with the same bytes."""

from agent.core.shards.access import Access
from agent.errors import TrustError
from agent.service import quick
from agent.wire.token import Claims

CORE, OTHER, DEVICE = "00112233445566aa", "1111111111111111", "ffeeddccbbaa0099"
SHARD = bytes(range(32))
NOW = 1_700_000_000


class Kept:
    core = CORE
    length = 1000
    head = b"the head of all of it"


class Hot:
    def __init__(self):
        self.held = {SHARD: Kept}
        self.is_gone = False

    def take(self, shard, kept):
        return not self.is_gone


class World:
    """Cores and tokens: a token's text says what it is; `macs` counts what was verified."""

    def __init__(self, known_max=8):
        self.open = ""
        self.now = NOW
        self.secrets = {CORE: b"one", OTHER: b"two"}
        self.secret = self.secrets.get
        self.macs = 0
        self.hot = Hot()
        self.quick = quick.Quick(self.hot, Access(DEVICE, 1, 512), self, self._claims, known_max)

    def time(self, core):
        return self.now

    def _claims(self, head):
        self.macs += 1
        core, operation, _ = (head.headers.get("authorization", "") + "//").split("/")[:3]
        if core not in self.secrets:
            raise TrustError("token", "None.")
        return Claims(core, DEVICE, NOW + 100, b"12345678", operation, SHARD, 0, 0)

    def ask(self, *fields, method="GET", path=None, token=CORE + "/get", rest=b""):
        lines = [f"{method} {path or '/shards/' + SHARD.hex()} HTTP/1.1", "Host: x"]
        lines += ["Authorization: " + token] * bool(token) + list(fields)
        self.asked = ("\r\n".join(lines) + "\r\n\r\n").encode()
        return self.quick.answer(self.asked + rest)


def test_all_of_it_and_again():
    world = World()
    for _ in range(3):
        assert world.ask(rest=b"GET /next") == (len(world.asked), Kept.head, Kept, 0, 1000)
    assert world.macs == 1


def test_a_part_of_it():
    world = World()
    for _ in range(2):
        length, head, kept, first, count = world.ask("Range: bytes=10-19")
        assert head.startswith(b"HTTP/1.1 206 ") and b"Content-Range: bytes 10-19/1000" in head
        assert (first, count, length) == (10, 10, len(world.asked))
    assert world.ask("Range: bytes=990-")[3:] == (990, 10) and world.macs == 1, "one token, one MAC"
    assert world.ask("Range: bytes=1000-") is None, "the other path says 416"


def test_what_is_left_to_the_other_path():
    for fields, words in (
        (("Content-Length: 0",), {}),
        (("Expect: 100-continue",), {}),
        (("If-Range: x",), {}),
        (("Want-Merkle-Path: 1",), {}),
        (("Connection: close",), {}),
        (("Transfer-Encoding: chunked",), {}),
        (("Host: y",), {}),
        ((" folded",), {}),
        ((), {"method": "HEAD"}),
        ((), {"method": "PUT"}),
        ((), {"path": "/shards/" + "ab" * 32}),
        ((), {"path": "/shards/" + SHARD.hex() + "?x"}),
        ((), {"token": ""}),
        ((), {"token": "nobody/get"}),
        ((), {"token": CORE + "/put"}),
        ((), {"token": OTHER + "/get"}),
    ):
        world = World()
        assert world.ask(*fields, **words) is None, (fields, words)
        assert world.ask("Connection: keep-alive") is not None
    world = World()
    assert world.ask() is not None
    for data in (b"", b"\r\n\r\n", world.asked[:-1], b"\r\n" + world.asked):
        assert world.quick.answer(data) is None, data


def test_a_known_head_is_judged_each_time():
    world = World()
    assert world.ask() is not None
    world.now = NOW + 101
    assert world.ask() is None, "expired"
    world.now = None
    assert world.ask() is not None, "the core's time is not known: as the other path has it"
    world.now = NOW
    world.secrets[CORE] = b"paired again"
    assert world.ask() is None and world.ask() is not None and world.macs == 2, "its MAC is checked with the new secret"
    del world.secrets[CORE]
    assert world.ask() is None, "left"


def test_what_was_deleted_or_is_gone():
    world = World()
    assert world.ask() is not None
    world.hot.is_gone = True
    assert world.ask() is None
    world.hot.held.clear()
    assert world.ask() is None


def test_open_reads():
    world = World()
    world.open = CORE
    assert world.ask(token="") is not None and world.macs == 0
    assert world.ask(token="nobody/get") is None, "a token that is there must be right"
    world.open = OTHER
    assert world.ask(token="") is None, "another core's"


def test_what_is_remembered_is_bounded():
    world = World(known_max=4)
    for number in range(20):
        assert world.ask(f"X-Number: {number}", token=f"{CORE}/get/{number}") is not None
        assert len(world.quick._known) <= 4 and len(world.quick._tokens) <= 4
