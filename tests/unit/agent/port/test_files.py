"""The contract of agent.port.files, on whichever interpreter runs this."""

import asyncio
import os

from agent.errors import PortError, UsageError
from agent.port import files
from tests.expect import raises

FOLDER = "/tmp/corelet-files-" + os.urandom(6).hex()


def _in_folder(body):
    files.make_folder(FOLDER)
    try:
        body(FOLDER)
    finally:
        files.remove_tree(FOLDER)
    assert not files.exists(FOLDER)


def _mode(path):
    return os.stat(path)[0] & 0o777


def test_write_atomic_replaces_and_is_private():
    def body(folder):
        path = folder + "/it's a file"
        for data in (b"one", b"", b"three"):
            files.write_atomic(path, data)
            assert files.read(path, 5) == data and files.size(path) == len(data)
        assert _mode(path) == 0o600 and _mode(folder) == 0o700
        assert files.list(folder) == ["it's a file"]

    _in_folder(body)


def test_a_leftover_of_a_power_cut_is_no_obstacle():
    def body(folder):
        with open(folder + "/a.new", "wb") as file:
            file.write(b"torn, and longer than what comes")
        files.write_atomic(folder + "/a", b"new")
        assert files.read(folder + "/a", 100) == b"new" and files.list(folder) == ["a"]

    _in_folder(body)


def test_append():
    def body(folder):
        for piece in (b"a\n", b"b\n"):
            files.append(folder + "/log", piece)
        assert files.read(folder + "/log", 4) == b"a\nb\n" and _mode(folder + "/log") == 0o600

    _in_folder(body)


def test_folders_rename_remove():
    def body(folder):
        files.make_folder(folder + "/a/b/c")
        files.make_folder(folder + "/a/b/c")
        assert _mode(folder + "/a") == 0o700 and _mode(folder + "/a/b/c") == 0o700
        files.write_atomic(folder + "/a/x", b"1")
        files.rename(folder + "/a/x", folder + "/a/b/y")
        assert not files.exists(folder + "/a/x") and files.list(folder + "/a/b") == ["c", "y"]
        files.remove(folder + "/a/b/y")
        files.remove(folder + "/a/b/y")
        files.remove_tree(folder + "/none")
        assert files.free_bytes(folder) > 0

    _in_folder(body)


def test_remove_tree_does_not_follow_links():
    def body(folder):
        files.make_folder(folder + "/kept")
        files.write_atomic(folder + "/kept/file", b"1")
        files.make_folder(folder + "/gone")
        command = "ln -s ../kept {0}/gone/link; ln -s nowhere {0}/gone/broken".format(folder)  # noqa: UP032
        assert os.system(command) == 0  # noqa: S605
        files.remove_tree(folder + "/gone")
        assert files.list(folder) == ["kept"] and files.list(folder + "/kept") == ["file"]

    _in_folder(body)


def test_errors_have_codes():
    def body(folder):
        none = folder + "/none"
        for call in (files.size, files.list, files.open_slab, files.lock, files.free_bytes):
            assert raises(PortError, call, none).code == "not_found"
        assert raises(PortError, files.read, none, 10).code == "not_found"
        assert raises(PortError, files.write_atomic, none + "/x", b"").code == "not_found"
        assert raises(PortError, files.append, none + "/x", b"").code == "not_found"
        files.write_atomic(folder + "/big", b"12345")
        assert raises(PortError, files.read, folder + "/big", 4).code == "too_big"
        assert folder in raises(PortError, files.list, none).text

    _in_folder(body)


def test_full_disk_keeps_the_old_file():
    """/dev/full answers every write with ENOSPC, as the file aside."""

    def body(folder):
        assert os.system("ln -s /dev/full " + folder + "/log") == 0  # noqa: S605
        error = raises(PortError, files.append, folder + "/log", b"x")
        assert error.code == "disk_full" and folder in error.text

    _in_folder(body)


def test_slab():
    def body(folder):
        path = folder + "/slab"
        slab = files.create_slab(path, 10001)
        assert files.size(path) == 10001 and _mode(path) == 0o600 and slab.length == 10001
        assert slab.read(0, 10001) == bytes(10001)
        slab.write(9998, b"abc")
        slab.write(0, memoryview(b"xyz"))
        asyncio.run(slab.flush())
        assert raises(UsageError, slab.write, 9999, b"abc").code == "slab_range"
        assert raises(UsageError, slab.write, -1, b"abc").code == "slab_range"
        slab.close()
        slab.close()
        slab = files.open_slab(path)
        assert slab.read(0, 4) == b"xyz\0" and slab.read(9998, 3) == b"abc" and slab.read(9999, 9) == b"bc"
        slab.close()
        assert raises(UsageError, files.create_slab, path, 5).code == "slab_exists"
        assert files.list(folder) == ["slab"]

    _in_folder(body)


def test_lock_excludes_and_is_released():
    def body(folder):
        held = files.lock(folder)
        error = raises(PortError, files.lock, folder + "/../" + folder.rpartition("/")[2])
        assert error.code == "state_in_use" and folder in error.text
        held.close()
        files.lock(folder).close()

    _in_folder(body)


def test_state_folder_is_absolute():
    folder = files.state_folder("corelet-x")
    assert folder.startswith("/") and folder.endswith("/corelet-x")
