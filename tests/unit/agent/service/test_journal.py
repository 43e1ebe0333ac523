"""The device's log on a real folder."""

import os

from agent.errors import PortError
from agent.port import clock, files
from agent.service.journal import RETRY_MS, Journal

FOLDER = "/tmp/corelet-journal-" + os.urandom(6).hex()


def _in_folder(body):
    """With a wall clock that stands still: one that is set back within a test would end a fold early."""
    unix_time = clock.unix_time
    clock.unix_time = lambda: 1700000000
    files.make_folder(FOLDER)
    try:
        body(FOLDER + "/logs")
    finally:
        files.remove_tree(FOLDER)
        clock.unix_time = unix_time


def _texts(folder):
    found = []
    for segment in (0, 1):
        path = f"{folder}/{segment}.log"
        if files.exists(path):
            found += files.read(path, 100000).decode().split("\n")[:-1]
    return [line.partition(" ")[2] for line in found if not line.startswith("#")]


def test_lines_reach_disk_and_console():
    def body(folder):
        console = []
        book = Journal(folder, 8192, console.append)
        book.info("a", "one")
        book.warning("b", "two")
        for _ in range(5):
            book.error("c", "three")
        book.close()
        wanted = ["info a: one", "warning b: two", "error c: three", "error c: three (repeated 4 times)"]
        assert _texts(folder) == wanted
        assert [line.partition(" ")[2] for line in console] == wanted
        assert os.stat(folder + "/0.log")[0] & 0o777 == 0o600

    _in_folder(body)


def test_a_restart_goes_on_and_heals_a_torn_line():
    def body(folder):
        Journal(folder, 8192).info("a", "one")
        files.append(folder + "/0.log", b"2026 torn by a power cu")
        book = Journal(folder, 8192)
        book.info("a", "two")
        assert _texts(folder) == ["info a: one", "torn by a power cu", "info a: two"]

    _in_folder(body)


def test_the_cap_holds_over_restarts_and_when_it_shrinks():
    def body(folder):
        for count in range(60):
            book = Journal(folder, 8192 if count < 30 else 4096)
            for line in range(7):
                book.info("s", f"{count} {line} " + "x" * 60)
            total = sum([files.size(folder + "/" + name) for name in files.list(folder)])
            assert total <= (8192 if count < 30 else 4096), total
        assert "59 6 x" in "".join(_texts(folder))

    _in_folder(body)


def test_a_foreign_file_is_replaced():
    def body(folder):
        files.make_folder(folder)
        files.append(folder + "/0.log", b"not ours")
        files.append(folder + "/1.log", b"# corelet log, segment 99999999999999999\n")
        Journal(folder, 4096).info("a", "one")
        assert _texts(folder) == ["info a: one"]

    _in_folder(body)


def test_a_disk_that_refuses_does_not_stop_the_device():
    class Broken:
        code = ""

        def append(self, path, data):
            if self.code:
                raise PortError(self.code, "No.")
            return keep_append(path, data)

    def body(folder):
        book = Journal(folder, 4096)
        broken.code = "disk_full"
        book.info("a", "one")
        book.info("a", "two")
        assert book.disk_error.code == "disk_full" and book.unwritten == 2 and len(book.lines()) == 2
        broken.code = ""
        book.info("a", "too soon")
        assert book.unwritten == 3
        now = clock.now_ms
        clock.now_ms = lambda: now() + RETRY_MS
        try:
            book.info("a", "again")
        finally:
            clock.now_ms = now
        assert book.disk_error is None and book.unwritten == 0
        assert _texts(folder) == ["warning journal: 3 lines were not written (disk_full).", "info a: again"]

    keep_append = files.append
    broken = Broken()
    files.append = broken.append
    try:
        _in_folder(body)
    finally:
        files.append = keep_append


def test_memory_only():
    book = Journal(None, 4096)
    book.info("a", "one")
    assert book.lines()[0].endswith("info a: one") and book.unwritten == 0
