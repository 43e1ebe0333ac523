"""The environment block of GRUB; grub-editenv reads and writes the same in tests/e2e/test_backends.py."""

from ota.backends import grub
from ota.slots import NONE
from tests.unit.ota.backends.memory import Memory, state_of


def loaded(memory):
    backend = grub.Backend(grub.places("boot"))
    memory.run(backend.load())
    return backend


def test_a_block():
    backend = grub.Backend(grub.places("boot"))
    backend.good, backend.trial, backend.tries, backend.generation = 0, 1, 3, 12
    data = backend.encode()
    lines = data.split(b"\n")
    assert len(data) == 1024 and lines[0] == b"# GRUB Environment Block" and lines[-1].strip(b"#") == b""
    assert lines[1:6] == [
        b"corelet_generation=12", b"corelet_good=a", b"corelet_trial=b", b"corelet_tries=3", b"corelet_check=12/a/b/3",
    ]  # fmt: skip
    assert data.index(lines[5]) + len(lines[5]) < 512, "all in the first sector"
    assert backend.decode(data) == (12, 0, 1, 3)


def test_a_block_whose_variables_do_not_agree():
    backend = grub.Backend(grub.places("boot"))
    backend.good, backend.trial, backend.tries, backend.generation = 0, 1, 3, 12
    data = backend.encode()
    end = data.index(b"####")
    for place in range(end):
        for bit in range(8):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            assert backend.decode(bytes(changed)) is None, place
    for rest in (b"\xff" * 512, b"\n" + b"\xff" * 511, b"#" * 511 + b"\0"):
        assert backend.decode(data[:512] + rest) is None
    assert backend.decode(data[:-1]) is None and backend.decode(b"") is None


def test_a_try_is_charged_in_place_and_a_torn_one_ends_the_trial():
    memory = Memory()
    memory.run(loaded(memory).format(0))
    memory.run(loaded(memory).begin(1))
    newest = loaded(memory)._newest
    before = bytes(memory.files[f"boot/corelet{2 - newest}.env"])
    assert memory.run(loaded(memory).charge()) == 1 and state_of(loaded(memory)) == (0, 1, 2)
    assert bytes(memory.files[f"boot/corelet{2 - newest}.env"]) == before
    memory.files[f"boot/corelet{1 + newest}.env"][80:512] = b"\xa5" * 432
    assert state_of(loaded(memory)) == (0, NONE, 0)
    assert memory.run(loaded(memory).charge()) == 0
