"""The log ring, on a fake clock."""

from agent.core import journal
from agent.core.journal import Journal
from tests.expect import raises


class Disk:
    """The sizes of the two segments, how each begins, and the largest size that both had together."""

    def __init__(self):
        self.sizes = [0, 0]
        self.first = [b"", b""]
        self.last = b""
        self.bytes_max = 0
        self.written = 0

    def carry(self, ring):
        for segment, is_fresh, data in ring.drain():
            if is_fresh:
                self.sizes[segment], self.first[segment] = 0, data[:40]
            self.sizes[segment] += len(data)
            self.last = data
            self.written += len(data)
            self.bytes_max = max(self.bytes_max, self.sizes[0] + self.sizes[1])


def _lines_of(ring):
    return [line.partition(" ")[2] for line in ring.lines()]


def test_format_time():
    for unix_time, text in (
        (0, "1970-01-01T00:00:00Z"),
        (951782400, "2000-02-29T00:00:00Z"),
        (1783252799, "2026-07-05T11:59:59Z"),
        (4102444800, "2100-01-01T00:00:00Z"),
        (4107542399, "2100-02-28T23:59:59Z"),
    ):
        assert journal.format_time(unix_time) == text, journal.format_time(unix_time)


def test_lines_are_clean_and_bounded():
    ring = Journal(10000)
    ring.log("info", "a\x1b", "red \x1b[31m\r\nline\x00\x7f\x9b\u202eend", 0)
    assert _lines_of(ring) == ["info a : red  [31m  line    end"]
    ring.log("info", "a", "\u00e9" * 1000, 0)
    line = ring.lines()[-1]
    assert len(line.encode()) <= 300 and line.endswith("\u00e9") and len(line.encode()) > 296
    raises(KeyError, ring.log, "debug", "a", "b", 0)


def test_repeats_are_folded():
    ring = Journal(10000)
    for _ in range(813):
        ring.log("error", "link", "refused", 5)
    assert _lines_of(ring) == ["error link: refused"]
    ring.log("info", "other", "x", 66)
    assert _lines_of(ring)[1:] == ["error link: refused (repeated 812 times)", "info other: x"]
    ring.log("error", "link", "refused", 70)  # still within the second, longer window
    ring.settle(71)
    assert _lines_of(ring)[3:] == ["error link: refused (repeated once)"]


def test_long_texts_keep_their_count():
    ring = Journal(10000)
    for second in range(3):
        ring.log("error", "s", "x" * 400, second)
    ring.settle(5)
    assert ring.lines()[1].endswith("x (repeated 2 times)") and len(ring.lines()[1]) <= 300


def test_clock_set_back_does_not_silence():
    ring = Journal(10000)
    ring.log("error", "s", "x", 1700000000)
    ring.log("error", "s", "x", 1700000001)
    ring.log("error", "s", "x", 1000)
    ring.log("error", "s", "x", 1000 + journal.FOLD_S_MAX)
    assert "error s: x (repeated once)" in _lines_of(ring)


def test_a_storm_of_different_texts_is_budgeted():
    ring = Journal(10000)
    for count in range(1000):
        ring.log("error", "s", "x" + str(count), 100)
    assert ring.lines()[-1].endswith("x99")
    ring.log("info", "s", "another level speaks on", 100)
    assert ring.lines()[-1].endswith("speaks on")
    ring.log("error", "s", "later", 100 + journal.LINE_EVERY_S)
    assert ring.lines()[-2].endswith("error journal: 900 lines were left out; too many came.")
    assert ring.lines()[-1].endswith("error s: later")


def _storm(texts, seconds):
    ring, disk = Journal(16384), Disk()
    for second in range(seconds):
        for tenth in range(10):
            ring.log("error", "link", texts[(second * 10 + tenth) % len(texts)], 1700000000 + second)
        disk.carry(ring)
    return ring, disk


def test_storms_stay_inside_the_cap():
    for texts in (["refused"], ["refused", "timeout"], [f"text {n}" for n in range(100)]):
        ring, disk = _storm(texts, 600)
        assert disk.bytes_max <= 16384, disk.bytes_max
        assert sum([len(line) for line in ring.lines()]) <= journal.MEMORY_BYTES_MAX
        assert disk.written < 30000, (len(texts), disk.written)


def test_memory_keeps_the_newest_whole_lines():
    ring = Journal(4096)
    for count in range(300):
        ring.log("info", "s", f"{count} \u00e9" + "x" * (count % 250), count * 100)
        ring.drain()
        if count % 60 == 0 or count == 299:
            lines = _lines_of(ring)
            first = int(lines[0].split(" ")[2])
            for offset in range(len(lines)):
                number = first + offset
                assert lines[offset] == f"info s: {number} \u00e9" + "x" * (number % 250)
            assert first + len(lines) - 1 == count
    assert sum([len(line) for line in ring.lines()]) > journal.MEMORY_BYTES_MAX - 700


def test_segments_take_turns():
    ring, disk = Journal(4096), Disk()
    for count in range(200):
        ring.log("info", "s", f"line {count}", count * 100)
        disk.carry(ring)
    assert disk.bytes_max <= 4096 and min(disk.sizes) > 0
    assert 2 < ring.generation < 9  # a new segment only when the last is full
    newest = ring.generation % 2
    assert disk.first[newest].startswith(f"# corelet log, segment {ring.generation}\n".encode())
    assert disk.first[1 - newest].startswith(f"# corelet log, segment {ring.generation - 1}\n".encode())
    assert disk.last.endswith(b"line 199\n")


def test_resume():
    ring = Journal(4096)
    ring.resume(7, 2040)
    ring.log("info", "s", "x", 0)
    segment, is_fresh, data = ring.drain()[0]
    assert (segment, is_fresh) == (0, True) and data.startswith(b"# corelet log, segment 8\n")
    ring = Journal(4096)
    ring.resume(7, 100)
    ring.log("info", "s", "x", 0)
    assert ring.drain()[0][:2] == (1, False)
