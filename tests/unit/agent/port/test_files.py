"""The contract of agent.port.files, on whichever interpreter runs this."""

import asyncio
import os
import socket
import struct

from agent.errors import PortError, UsageError
from agent.port import MICROPYTHON, faults, files, folders
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
        files.write_atomic(folder + "/victim", b"precious")
        for target in ("victim", "nowhere"):
            os.system(f"ln -s {target} {folder}/a.new")
            files.write_atomic(folder + "/a", b"newer")
            assert files.list(folder) == ["a", "victim"] and files.read(folder + "/victim", 100) == b"precious"

    _in_folder(body)


def test_without_descriptors_nothing_was_done():
    for number in (23, 24):
        assert faults.file_fault(OSError(number, "too many open files"), "a slab").code == "stopped"


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


def test_a_stranger_who_sees_the_inode_cannot_hold_the_lock():
    def body(folder):
        info = os.stat(folder)
        name = faults.lock_name(info[2], info[1])
        stranger = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        stranger.bind(struct.pack("@H", 1) + b"\0" + name if MICROPYTHON else b"\0" + name)
        try:
            files.lock(folder).close()
        finally:
            stranger.close()
        secret = files.read(folder + "/lock/name", 64)
        assert len(secret) == 32 and _mode(folder + "/lock/name") == 0o600 and _mode(folder + "/lock") == 0o700
        files.lock(folder).close()
        assert files.read(folder + "/lock/name", 64) == secret and files.list(folder) == ["lock"]

    _in_folder(body)


def test_of_two_first_starts_one_names_the_lock():
    """The other finds no name, and then, when it brings its own, that there is one."""

    def body(folder):
        names = []

        class Late:
            def __init__(self):
                self.looks = 0

            def exists(self, path):
                self.looks += 1
                if self.looks == 1:
                    names.append(folders.lock_name(files, folder, 1, 2))
                    return False
                return files.exists(path)

        late = Late()
        for call in ("make_folder", "make_private", "write_atomic", "rename", "remove_tree", "read"):
            setattr(late, call, getattr(files, call))
        assert [folders.lock_name(late, folder, 1, 2)] == names and late.looks == 2
        assert files.list(folder) == ["lock"]

    _in_folder(body)


def test_a_folder_made_by_hand_becomes_private():
    def body(folder):
        inner = folder + "/it's open"
        files.make_folder(inner)
        os.system("chmod 777 '" + folder + "'/*")
        assert _mode(inner) == 0o777
        for _ in range(2):
            files.make_private(inner)
            assert _mode(inner) == 0o700
        me = os.stat(inner)[4]
        saved = folders.os
        folders.os = Elsewhere(saved, me + 1)
        try:
            error = raises(PortError, files.make_private, inner)
        finally:
            folders.os = saved
        assert error.code == "denied" and inner in error.text and str(me + 1) in error.text
        assert raises(PortError, files.make_private, folder + "/none").code == "not_found"

    _in_folder(body)


def test_a_folder_with_files_that_others_can_write_is_refused():
    """What they may have put there would become ours; who can only read is shut out from now on."""

    def body(folder):
        inner = folder + "/inner"
        files.make_folder(inner)
        files.write_atomic(inner + "/settings.json", b"{}")
        os.system("chmod 711 " + folder)
        for mode in ("770", "703", "720", "1777"):
            os.system("chmod " + mode + " " + inner)
            error = raises(PortError, files.make_private, inner)
            assert error.code == "denied" and error.text.endswith("chmod -R go-w " + inner), error.text
            assert _mode(inner) == int(mode[-3:], 8), "and nothing is changed"
        for mode, above in (("755", "711"), ("777", "700")):  # below one that others cannot enter nobody could
            os.system("chmod " + mode + " " + inner + "; chmod " + above + " " + folder)
            files.make_private(inner)
            assert _mode(inner) == 0o700 and files.list(inner) == ["settings.json"]

    _in_folder(body)


class Elsewhere:
    """`os`, but every file belongs to another user."""

    def __init__(self, real, owner):
        self._real = real
        self._owner = owner

    def stat(self, path):
        info = tuple(self._real.stat(path))
        return info[:4] + (self._owner,) + info[5:10]


def test_state_folder_is_absolute():
    folder = files.state_folder("corelet-x")
    assert folder.startswith("/") and folder.endswith("/corelet-x")
