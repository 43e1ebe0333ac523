"""Packs that come by deltas and from several sources, of which some lie; whole devices are in tests/e2e."""

from ota import fetch, pack, patch
from ota.commands import HEAD_DIGEST
from ota.content import IMAGE_SIZE, PACK_OFFSET
from ota.disk import Disk
from ota.errors import CoreletError, PeerError, PortError
from tests.expect import raises
from tests.unit.ota.making import sha256
from tests.unit.ota.packing import build, head_of
from tests.unit.ota.patching import delta_name, encode, number, stored

SEGMENT_BYTES = 256
SLOT_BYTES = 1200
RECORDS = 86  # where they start in a delta of five
BODY = bytes([33 + (number * number * 7 + number * number // 89) % 90 for number in range(900)])
MOVED = b"#" * 40 + BODY  # each segment is new, and all but 40 bytes are in the base


class small_segments:
    """As in a pack a hundred times as large."""

    def __enter__(self):
        pack.SEGMENT_BYTES = SEGMENT_BYTES

    def __exit__(self, *_):
        pack.SEGMENT_BYTES = 32768


class Cut(Exception):
    """The power goes; what was flushed stays."""


class File:
    def __init__(self, size):
        self.data = bytearray(size)
        self.flushes_left, self.is_full = 0, False

    def read(self, offset, length):
        return bytes(self.data[offset : offset + length])

    def write(self, offset, data):
        assert offset + len(data) <= len(self.data), "behind the slot"
        if self.is_full:
            raise PortError("disk_full", "expected room, got none")
        self.data[offset : offset + len(data)] = data

    def flush(self):
        self.flushes_left -= 1
        if self.flushes_left == 0:
            raise Cut()


class Folder:
    def __init__(self, base):
        self.files = {"a": Shifted(SLOT_BYTES), "b": Shifted(SLOT_BYTES)}
        self.files["a"].data[: len(base)] = base

    def file(self, name):
        return self.files[name]


class Shifted(File):
    """Without the room for an envelope, which a small heap has not."""

    def read(self, offset, length):
        return File.read(self, offset - PACK_OFFSET, length)

    def write(self, offset, data):
        File.write(self, offset - PACK_OFFSET, data)


class Source:
    """`files`: by name. `wrong`: names of those whose every answer is damaged; `dead`: whether nothing answers."""

    def __init__(self, files, wrong="", is_dead=False):
        self.files, self.wrong, self.is_dead, self.asked = files, wrong, is_dead, []

    def read(self, uri, start, length):
        self.asked.append(uri)
        if self.is_dead:
            raise PortError("slow", "expected an answer, it goes on")
        if uri not in self.files:
            raise PeerError("source", "expected status 206, got status 404")
        data = self.files[uri][start : start + length]
        yield data[:-1] + bytes([data[-1] ^ 1]) if self.wrong and uri.startswith(self.wrong) else data


class Device:
    def __init__(self, sources, base=BODY, target=MOVED):
        with small_segments():
            self.base = build([("a.py", base)]) if base else b""
            self.target = build([("a.py", target)])
            self.files = {"packs/8": self.target, delta_name(self.base, self.target): encode(self.base, self.target)}
        self.folder = Folder(self.base)
        self.disk = Disk(self.folder, [one(self) for one in sources])

    def run(self, is_base_whole=True):
        with small_segments():
            found = {IMAGE_SIZE: len(self.target), HEAD_DIGEST: sha256(head_of(self.target))}
            base = ("a", len(self.base), sha256(self.base) if self.base else bytes(32))
            machine = fetch.Fetch("b", found, sha256(self.target), base, len(self.disk.sources))
            self.disk.run(machine.run("packs/8"))
        assert self.folder.files["b"].data[: len(self.target)] == self.target
        assert (self.folder.files["a"].data[: len(self.base)] == self.base) is is_base_whole
        return self.disk.came

    def asked(self, which):
        return [uri.partition("/")[0] for uri in self.disk.sources[which].asked]


def good(device):
    return Source(device.files)


def without_delta(device):
    return Source({"packs/8": device.target})


def dead(device):
    return Source(device.files, is_dead=True)


def lying(device):
    return Source({"packs/8": device.target}, "packs")


def wrong_delta(device):
    return Source(device.files, "deltas")


def nothing(device):
    return Source({})


def large_delta(device):
    """It makes a head of more than there is room for."""
    uri = delta_name(device.base, device.target)
    data = device.files[uri]
    first = int.from_bytes(data[76:78], "big")
    head = device.target[:24] + device.target[24 : 24 + device.target[15]] + bytes(2000)
    record = stored(number(len(head)) + head)
    made = data[:10] + len(head).to_bytes(2, "big") + data[12:76] + len(record).to_bytes(2, "big")
    return Source(dict(device.files, **{uri: made + data[78:RECORDS] + record + data[RECORDS + first :]}))


class Stopping(Source):
    def read(self, uri, start, length):
        if uri[:7] == "deltas/" and start >= RECORDS:
            self.asked.append(uri)
            raise PortError("slow", "expected an answer, it goes on")
        return Source.read(self, uri, start, length)


def stopping(device):
    return Stopping(device.files)


def test_by_delta_and_in_full():
    device = Device([good])
    assert device.run() == [0, len(device.files[delta_name(device.base, device.target)])]
    assert set(device.asked(0)) == {"deltas"} and len(device.asked(0)) == 3, "its head, and all records at once"
    device = Device([without_delta])
    assert device.run() == [len(device.target), 0]
    device = Device([good], base=b"")
    assert device.run()[0] == 0, "of nothing: what the package came with runs"


def test_what_is_there_is_not_fetched():
    device = Device([good])
    device.run()
    device.disk.came = [0, 0]
    device.folder.files["b"].data[500] ^= 1
    in_full, by_delta = device.run()
    assert in_full == 0 and by_delta <= len(device.files[delta_name(device.base, device.target)])
    device.folder.files["a"].data[500] ^= 1  # the base rots
    device.folder.files["b"].data[:] = bytes(SLOT_BYTES)
    device.disk.came = [0, 0]
    device.run(is_base_whole=False)
    assert 0 < device.disk.came[0] <= 2 * SEGMENT_BYTES, "what it spoils comes in full"


def test_a_delta_that_lies():
    for bad in (wrong_delta, large_delta):
        for sources in ([bad], [bad, good], [bad, without_delta], [without_delta, bad]):
            Device(sources).run()
    device = Device([wrong_delta, good])
    device.disk.sources[0].files = dict(device.files)
    device.run()
    assert device.asked(0).count("deltas") <= 2, "its head is wrong: another is asked"
    assert set(device.asked(1)) == {"deltas"}


def test_a_delta_is_given_up_after_some_faults():
    device = Device([good])
    uri = delta_name(device.base, device.target)
    data = device.files[uri]
    last = len(data) - int.from_bytes(data[RECORDS - 2 : RECORDS], "big")
    files = {"packs/8": device.target, uri: data[:RECORDS] + b"\xff" * (last - RECORDS) + data[last:]}
    device.disk.sources[0].files = files
    in_full, by_delta = device.run()
    assert by_delta == len(data) and in_full == len(device.target), "also the last record, which is right"


def test_a_delta_that_does_not_come_is_given_up_at_once():
    device = Device([stopping])
    device.run()
    assert device.asked(0).count("deltas") == 3 and device.disk.came[0] == len(device.target)
    device = Device([stopping, good])
    device.run()
    assert device.disk.came[0] < len(device.target), "the other one is asked"


def test_the_next_source():
    for sources in ([dead, good], [lying, without_delta], [nothing, good], [dead, lying, nothing, good]):
        device = Device(sources)
        device.run()
        assert len(device.asked(0)) <= 3, "it is left after a failure"


def test_no_source():
    for sources, code in (
        ([dead], "slow"),
        ([lying], "head"),
        ([nothing], "source"),
        ([lying, dead], "slow"),
        ([], "source"),
    ):
        assert raises(CoreletError, Device(sources).run).code == code, code


def test_a_segment_that_no_source_has_right():
    device = Device([without_delta])
    wrong = bytearray(device.target)
    wrong[-1] ^= 1
    device.disk.sources[0].files = {"packs/8": bytes(wrong)}
    assert raises(CoreletError, device.run).code == "segment"
    device.disk.sources.append(good(device))
    device.run()


def test_a_cut_costs_one_segment():
    """Of the pack; of a delta what was read ahead, and its head again."""
    for source in (good, without_delta):
        whole = sum(Device([source]).run())
        for flushes in range(1, 6):
            device = Device([source])
            device.folder.files["b"].flushes_left = flushes
            raises(Cut, device.run)
            twice = sum(device.run())  # `came` goes on
            assert twice <= whole + min(patch.AHEAD_BYTES + RECORDS, whole), flushes
            assert source is good or twice == whole, "what was flushed is not fetched again"


def test_a_full_disk_is_no_fault_of_a_source():
    for source in (good, without_delta):
        device = Device([source, source])
        device.folder.files["b"].is_full = True
        assert raises(PortError, device.run).code == "disk_full"
        assert "packs" not in device.asked(1), "another one finds no room either"
