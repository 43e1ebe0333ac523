"""The state folder: whatever moment the power goes, what is found is the old state or the new one."""

from agent import settings
from agent.errors import LimitError, PortError, UsageError
from agent.port import codec
from agent.state import CORES_MAX, COUNTERS, FOLDERS, KEY, State, new_identity
from tests.expect import raises
from tests.unit.agent.memory_files import MemoryFiles, PowerCut

CORE, OTHER = "c0c0c0c0c0c0c0c0", "0123456789abcdef"


class FakeCrypto:
    def __init__(self) -> None:
        self.count = 0

    def entropy(self, length):
        self.count += 1
        return bytes([self.count]) * length

    def sha256(self, data):
        return bytes([sum(data) & 255]) * 32

    def p256_public(self, scalar):
        return b"\x04" + scalar.to_bytes(32, "big") * 2


CRYPTO = FakeCrypto()


def bundle(core, name="attic"):
    return {"core": core, "name": name, "ca": b"ca", "cert": b"cert", "brokers": [["192.0.2.1", 8883]], "ceilings": {}}


def opened(files):
    state = State(files, codec(), "/s")
    state.open()
    return state


def paired(files):
    """A device with a history: identity, two boots, attempts, a core, a shard, a log, settings."""
    state = opened(files)
    state.next_boot()
    state.next_boot()
    state.identity(lambda: CRYPTO)
    state.write_counters({"record": b"r", "attempts": 3})
    state.save_pending(bundle(CORE), b"s" * 32)
    assert state.commit_pending() == CORE
    values = settings.defaults()
    values["name"] = "attic"
    state.write_settings(values)
    files.content["/s/shards/slab.64.0"] = b"shard"
    files.content["/s/logs/0.log"] = b"log"
    return state


def cut_everywhere(start, change, check):
    """`change(state)` on a copy of `start`, the power cut before each of its writes and once not at all; after each,
    `check(files)` of a state that was opened again. Returns how often."""
    count = 0
    while True:
        files = start.copy()
        state = opened(files)
        files.cut_at = files.changes + count
        try:
            change(state)
            is_cut = False
        except PowerCut:
            is_cut = True
        files.cut_at = None
        check(opened(files), is_cut)
        count += 1
        if not is_cut:
            return count


def test_every_folder_is_made_private():
    files = MemoryFiles()
    files.folders.append("/s")
    opened(files)
    assert sorted(files.private) == ["/s"] + ["/s/" + name for name in sorted(FOLDERS)]


def test_boot_counts_up_and_never_back():
    files = MemoryFiles()
    state = opened(files)
    assert [state.next_boot(), state.next_boot()] == [1, 2]
    seen = []

    def check(after, is_cut):
        boot = after.next_boot()
        assert boot in ((3, 4) if is_cut else (4,))
        seen.append(boot)

    assert cut_everywhere(files, lambda state: state.next_boot(), check) == 3
    assert seen[0] == 3 and seen[-1] == 4


def test_identity_is_made_once():
    files = MemoryFiles()
    first = opened(files).identity(lambda: CRYPTO)

    def no_crypto():
        raise AssertionError("an idle device must not load its cryptography")

    again = opened(files).identity(no_crypto)
    assert (again.scalar, again.public, again.device_id) == (first.scalar, first.public, first.device_id)
    record = new_identity(CRYPTO)
    assert 0 < int.from_bytes(record["scalar"], "big") < 1 << 256 and len(record["id"]) == 16


def test_pairing_is_there_or_not():
    files = MemoryFiles()
    opened(files).identity(lambda: CRYPTO)
    seen = []

    def change(state):
        state.save_pending(bundle(CORE), b"s" * 32)
        state.commit_pending()

    def check(state, is_cut):
        ids = state.core_ids()
        seen.append(len(ids))
        assert state.pending() is None
        if ids:
            assert state.core(CORE)["link_secret"] == b"s" * 32
        assert is_cut or ids == [CORE]
        change(state)  # and it can be done (again) after any cut
        assert state.core_ids() == [CORE]

    assert cut_everywhere(files, change, check) == 4 and seen[0] == 0 and seen[-1] == 1


def test_leaving_is_done_or_not():
    files = MemoryFiles()
    paired(files)

    def check(state, is_cut):
        ids = state.core_ids()
        assert ids in ([CORE], []) and (is_cut or ids == [])
        assert not ids or state.core(CORE)["name"] == "attic"
        if ids:
            state.remove_core(CORE)
        assert "belongs to: none" in raises(UsageError, state.remove_core, CORE).text

    assert cut_everywhere(files, lambda state: state.remove_core(CORE), check) > 1


def test_reset_forgets_what_it_should_or_nothing():
    files = MemoryFiles()
    before = paired(files).identity(lambda: CRYPTO).device_id
    outcomes = []

    def check(state, is_cut):
        content = state._files.content
        is_new = KEY not in [path[3:] for path in content]
        outcomes.append(is_new)
        assert is_new or is_cut
        assert (state.core_ids() == []) is is_new
        assert ("/s/shards/slab.64.0" in content) is not is_new
        assert (state.read_counters() == {}) is is_new
        assert content["/s/logs/0.log"] == b"log" and state.read_settings()["name"] == "attic"
        assert state.next_boot() == 3
        assert (state.identity(lambda: CRYPTO).device_id == before) is not is_new

    assert cut_everywhere(files, lambda state: state.reset(), check) > 6
    assert outcomes == sorted(outcomes) and outcomes[0] is False and outcomes[-1] is True


def test_a_planned_reset_happens_at_the_next_start():
    files = MemoryFiles()
    paired(files).plan_reset()
    assert opened(files).core_ids() == []
    assert opened(files).next_boot() == 3


def test_cores_max():
    state = opened(MemoryFiles())
    for number in range(CORES_MAX):
        state.save_pending(bundle(f"{number:016x}"), b"s")
        state.commit_pending()
    error = raises(LimitError, state.save_pending, bundle(OTHER), b"s")
    assert error.code == "cores" and "corelet leave" in error.text
    state.save_pending(bundle(f"{1:016x}", "renamed"), b"t")  # one that is there may pair again
    assert state.commit_pending() == f"{1:016x}" and state.core(f"{1:016x}")["name"] == "renamed"
    state.remove_core(f"{2:016x}")
    state.save_pending(bundle(OTHER), b"s")
    state.drop_pending()
    assert state.pending() is None
    assert raises(UsageError, state.commit_pending).code == "pairing"


def test_that_it_leaves_a_core_is_kept_until_it_is_paired_anew():
    files = MemoryFiles()
    state = paired(files)
    assert not state.is_leaving(CORE)
    state.set_leaving(CORE, True)
    assert opened(files).is_leaving(CORE) and state.core_ids() == [CORE]
    state.set_leaving(CORE, False)
    state.set_leaving(CORE, False)  # harmless
    assert not opened(files).is_leaving(CORE)
    state.set_leaving(CORE, True)
    state.save_pending(bundle(CORE), b"s")
    assert state.is_leaving(CORE)
    state.commit_pending()
    assert not opened(files).is_leaving(CORE)


def test_a_damaged_record_is_named():
    files = MemoryFiles()
    paired(files)
    for path in sorted([path for path in files.content if path.endswith(".cbor")]):
        good = files.content[path]
        flipped = bytes([good[0]]) + bytes([good[1] ^ 4]) + good[2:]
        for bad in (b"", good[:3], good[:-1], good + b"x", flipped, b"\xff" * len(good), b"x" * 9000):
            files.content[path] = bad
            state = opened(files)
            calls = {"boot": state.next_boot, "pairing": state.read_counters, "core": lambda s=state: s.core(CORE)}
            call = calls.get(path.split("/")[-1][:-5], lambda s=state: s.identity(lambda: CRYPTO))
            error = raises(UsageError, call)
            cure = "corelet leave " + CORE if path.endswith("core.cbor") else "corelet reset"
            assert path in error.text and error.text.endswith(cure), error.text
        files.content[path] = good


def test_reset_heals_a_damaged_state():
    files = MemoryFiles()
    paired(files)
    for path in files.content:
        if path.endswith(".cbor"):
            files.content[path] = b"junk"
    opened(files).reset()
    state = opened(files)
    assert state.next_boot() == 1  # under a new identity the count may begin again
    assert state.identity(lambda: CRYPTO).device_id and state.core_ids() == []


def test_faults_of_the_disk_pass_through():
    files = MemoryFiles()
    state = paired(files)
    files.fault = PortError("disk_full", "The disk is full.")
    before = dict(files.content)
    for call in (state.next_boot, state.reset, lambda: state.write_counters({"attempts": 4})):
        assert raises(PortError, call).code == "disk_full"
    assert files.content == before and state.read_counters()["attempts"] == 3
    assert COUNTERS in [path[3:] for path in files.content]
