"""The registry remembers devices, objects and work; a put counts only when finished; the file is private."""

import os
import stat

import pytest
import sqlalchemy as sa

from agent.errors import PortError, UsageError
from tools.gateway.registry import update_rows
from tools.gateway.registry.registry import Registry
from tools.gateway.registry.tables import Device, Object, Pairing, Placed, RolloutRow


@pytest.fixture
def registry(tmp_path):
    opened = Registry(tmp_path)
    yield opened
    opened.close()


def device(number, name="attic"):
    return Device(
        f"{number:016x}", name, "generic-linux", "0.1.0", b"\4" * 65, 1 << 150, b"s" * 32, "paired", "", number & 0xFFFF
    )


def stored(registry, name="photo", k=2, n=3, object_id="ab" * 16, stripes=2):
    registry.start_object(Object(object_id, name, 0, b"", b"k" * 32, k, n, 65536, "writing", 5))
    shards = [
        Placed(
            object_id, stripe, number, bytes([stripe, number]) + bytes.fromhex(object_id), 100, f"{number:016x}", "sent"
        )
        for stripe in range(stripes)
        for number in range(n)
    ]
    registry.add_shards(shards)
    for stripe in range(stripes):
        registry.settle_stripe([shard for shard in shards if shard.stripe == stripe], [])
    registry.finish_object(object_id, 1000, b"h" * 32)
    return shards


def test_files_are_private_and_reopen(tmp_path):
    registry = Registry(tmp_path)
    registry.add_device(device(1))
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    registry.close()
    again = Registry(tmp_path)
    assert again.devices() == [device(1)]
    assert again.devices()[0].serial == 1 << 150
    again.close()


def test_devices_by_name_id_and_prefix(registry):
    registry.add_device(device(0xABCDEF0123456789))
    registry.add_device(device(2, "cellar"))
    registry.add_device(device(2, "cellar"))  # paired again
    assert [found.name for found in registry.devices()] == ["cellar", "attic"]
    assert registry.device("attic") == registry.device("abcd") == registry.device("abcdef0123456789")
    for reference, code in (("abc", "no_such_device"), ("nobody", "no_such_device")):
        with pytest.raises(UsageError) as caught:
            registry.device(reference)
        assert caught.value.code == code
    registry.add_device(device(3, "attic"))
    with pytest.raises(UsageError, match="fits 2 devices"):
        registry.device("attic")
    registry.set_device(device(3).id, name="loft", state="pairing")
    assert registry.device("loft").state == "pairing"


def test_object_is_listed_only_when_finished(registry):
    registry.start_object(Object("cd" * 16, "draft", 0, b"", b"k", 1, 1, 65536, "writing", 1))
    assert registry.objects() == [] and not registry.has_name("draft")
    assert registry.unfinished() == ["cd" * 16]
    registry.finish_object("cd" * 16, 7, b"h")
    assert registry.object("draft").size == 7 and registry.unfinished() == []
    assert registry.object("cdcd").layout.profile == (1, 1)


def test_one_name_one_object(registry):
    stored(registry)
    registry.start_object(Object("cd" * 16, "photo", 0, b"", b"k", 1, 1, 65536, "writing", 1))
    with pytest.raises(UsageError) as caught:
        registry.finish_object("cd" * 16, 7, b"h")
    assert caught.value.code == "name_taken"
    assert registry.unfinished() == ["cd" * 16]


def test_survival_counts_devices_that_are_up(registry):
    stored(registry)
    every = [f"{number:016x}" for number in range(3)]
    assert registry.survival(every) == {"ab" * 16: (6, 1)}
    assert registry.survival(every[:2]) == {"ab" * 16: (6, 0)}
    assert registry.survival([]) == {"ab" * 16: (6, -2)}


def test_drop_queues_a_deletion_for_every_shard(registry):
    stored(registry)
    assert registry.drop_object("ab" * 16) == 6
    assert registry.objects() == [] and registry.shards("ab" * 16) == {}
    assert registry.job_counts() == {(f"{number:016x}", "delete"): 2 for number in range(3)}
    jobs = registry.jobs(f"{1:016x}", 0, 10)
    registry.postpone_job(jobs[0], 50, is_try=False)
    assert len(registry.jobs(f"{1:016x}", 49, 10)) == 1 and registry.jobs(f"{1:016x}", 50, 1)[0].tries == 0
    registry.hasten_jobs(f"{1:016x}")
    assert len(registry.jobs(f"{1:016x}", 0, 10)) == 2
    for job in jobs:
        registry.finish_job(job)
    assert registry.jobs(f"{1:016x}", 100, 10) == []


def test_lost_shard_is_queued_once_and_kept_again(registry):
    shard = stored(registry)[1]
    every = [f"{number:016x}" for number in range(3)]
    registry.lose_shard(shard)  # nothing is lost without a doubt first
    registry.doubt_shard(shard)
    registry.doubt_shard(shard)
    (job,) = registry.jobs(shard.device, 0, 10)
    assert (job.kind, job.stripe, job.number) == ("check", 0, 1)
    assert registry.survival(every)["ab" * 16] == (5, 0)
    registry.trust_shard(shard)
    assert registry.survival(every)["ab" * 16] == (6, 1) and not registry.job_counts()
    registry.doubt_shard(shard)
    registry.lose_shard(shard)
    registry.lose_shard(shard)
    (job,) = registry.jobs("", 0, 10)
    assert (job.kind, job.stripe, job.number) == ("put", 0, 1)
    row = registry.shards("ab" * 16)[0][1]
    assert (row.device, row.state) == (shard.device, "missing")
    registry.finish_job(job, shard)
    assert registry.survival(every)["ab" * 16] == (6, 1) and not registry.job_counts()


def test_doubted_shards_keep_an_object_readable_but_no_losses_survivable(registry):
    for shard in stored(registry):
        registry.doubt_shard(shard)
    every = [f"{number:016x}" for number in range(3)]
    assert registry.survival(every)["ab" * 16] == (0, 0)
    assert registry.survival(every[:1])["ab" * 16] == (0, -1)
    assert registry.shard_counts() == dict.fromkeys(every, 2)


def test_old_news_of_a_shard_that_has_moved_changes_nothing(registry):
    shard = stored(registry)[1]
    registry.doubt_shard(shard)
    registry.lose_shard(shard)
    moved = shard._replace(device=f"{9:016x}")
    registry.finish_job(registry.jobs("", 0, 10)[0], moved)
    assert [job.kind for job in registry.jobs(shard.device, 0, 10)] == ["delete"]
    registry.doubt_shard(shard)
    assert registry.shards("ab" * 16)[0][1] == moved._replace(state="kept")


def test_shard_restored_after_its_object_was_removed_is_deleted(registry):
    shard = stored(registry)[1]
    registry.doubt_shard(shard)
    registry.lose_shard(shard)
    (job,) = registry.jobs("", 0, 10)
    registry.drop_object("ab" * 16)
    registry.finish_job(job, shard._replace(device=f"{9:016x}"))
    assert [job.kind for job in registry.jobs(f"{9:016x}", 0, 10)] == ["delete"]


def test_a_shard_wanted_again_is_not_deleted(registry):
    shard = stored(registry)[0]
    registry.enqueue_delete([shard])
    registry.settle_stripe([], [shard])
    assert [job.kind for job in registry.jobs(shard.device, 0, 10)] == ["put"]
    registry.enqueue_delete([shard])
    registry.withdraw_delete(shard)
    assert [job.kind for job in registry.jobs(shard.device, 0, 10)] == ["put"]


def test_forgotten_device_leaves_its_shards_to_others(registry):
    registry.add_device(device(1))
    stored(registry)
    registry.doubt_shard(registry.shards("ab" * 16)[0][1])
    assert registry.remove_device(device(1).id) == 2
    assert registry.devices() == [] and registry.homeless() == 2
    assert registry.jobs(device(1).id, 0, 10) == []


def test_recoded_object_replaces_the_old_one(registry):
    stored(registry)
    registry.start_object(Object("cd" * 16, "photo", 0, b"", b"k", 1, 1, 65536, "writing", 1))
    registry.finish_object("cd" * 16, 1000, b"h" * 32, replaces="ab" * 16)
    assert [found.id for found in registry.objects()] == ["cd" * 16]
    assert sum(registry.job_counts().values()) == 6


def test_unwritable_folder_is_one_sentence(tmp_path):
    with pytest.raises(PortError) as caught:
        Registry(tmp_path / "absent")
    assert "cannot be written" in caught.value.text


def test_damaged_file_is_one_sentence(tmp_path):
    (tmp_path / "registry.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(PortError) as caught:
        Registry(tmp_path)
    assert "restore the backup" in caught.value.text


def test_full_disk_is_one_sentence(registry, tmp_path):
    import sqlalchemy as sa

    with registry._durable.connect() as connection:
        pages = connection.execute(sa.text("PRAGMA page_count")).scalar()
    registry._durable.dispose()

    @sa.event.listens_for(registry._durable, "connect")
    def _cap(connection, _record):
        connection.execute(f"PRAGMA max_page_count={pages}")

    with pytest.raises(PortError) as caught:
        for number in range(200):
            registry.add_device(device(number + 10, "x" * 5000))
    assert caught.value.code == "disk_full" and os.fspath(tmp_path) in caught.value.text


def test_an_exact_id_wins_over_a_name(registry):
    registry.add_device(device(1, "attic"))
    registry.add_device(device(2, f"{1:016x}"))
    assert registry.device(f"{1:016x}").name == "attic"


def test_a_pairing_stands_beside_the_row_until_it_is_bound(tmp_path):
    registry = Registry(tmp_path)
    registry.add_device(device(1))
    new = Pairing(7 << 140, device(1).id, "attic", "b", "2", b"p", b"n" * 32, "", "given", 5)
    registry.add_pairing(new._replace(state="issued", link_secret=b""))
    registry.add_pairing(new)
    registry.add_pairing(new._replace(serial=8))
    registry.close()
    registry = Registry(tmp_path)
    assert registry.devices() == [device(1)] and registry.is_pairing(new.id) and new in registry.pairings()
    bound = registry.bind_pairing(new, 9)
    assert registry.devices() == [bound] and bound.link_secret == b"n" * 32 and bound.state == "paired"
    void = {row.serial: (row.state, row.link_secret) for row in registry.pairings()}
    assert void == {device(1).serial: ("void", b""), 8: ("void", b"")} and not registry.is_pairing(new.id)
    for serial in void:
        registry.drop_pairing(serial)
    assert registry.pairings() == []
    registry.close()


def test_device_that_has_left_is_listed_without_shards_and_is_no_member(registry):
    registry.add_device(device(1))
    stored(registry)
    assert registry.part_device(device(1).id) == 2
    assert [each.state for each in registry.devices() if each.id == device(1).id] == ["left"]
    assert device(1).id not in [each.id for each in registry.paired()]
    assert registry.shard_counts().get(device(1).id, 0) == 0
    assert registry.part_device(device(1).id) == 0 and registry.homeless() == 2


def plan(registry, question):
    """How SQLite answers what `question` asks."""
    said = []

    @sa.event.listens_for(registry._durable, "before_cursor_execute")
    def hear(_connection, _cursor, statement, values, *_rest):
        said.append((statement, values))

    question()
    sa.event.remove(registry._durable, "before_cursor_execute", hear)
    with registry._durable.connect() as connection:
        rows = [connection.exec_driver_sql("EXPLAIN QUERY PLAN " + text, values).all() for text, values in said]
    return " ".join(row.detail for found in rows for row in found)


def test_what_each_device_keeps_is_read_from_an_index_alone(tmp_path):
    """Every few seconds, on the loop: 340 ms of 192,000 shards when each row was looked up, 45 since."""
    old = Registry(tmp_path)
    with old._write() as connection:
        connection.exec_driver_sql("DROP INDEX shards_of_device")
    old.close()
    registry = Registry(tmp_path)
    for question in (registry.kept_bytes, registry.shard_counts):
        assert "COVERING INDEX shards_of_device" in plan(registry, question)
    registry.close()


def test_who_has_due_work_is_one_question(registry):
    shards = stored(registry)
    registry.enqueue_delete(shards)
    registry.doubt_shard(shards[0])
    registry.lose_shard(shards[0])
    devices = [f"{number:016x}" for number in range(3)]
    assert registry.due(0) == ["", *devices]
    for job in registry.jobs(devices[1], 0, 64):
        registry.postpone_job(job, 9)
    assert registry.due(8) == ["", devices[0], devices[2]] and registry.due(9) == ["", *devices]
    assert "COVERING INDEX queue_due" in plan(registry, lambda: registry.due(0))


def test_what_was_aborted_outlives_the_rollouts_after_it(registry, monkeypatch):
    monkeypatch.setattr(update_rows, "ROLLOUTS_MAX", 3)
    monkeypatch.setattr(update_rows, "ABORTED_MAX", 2)
    row = RolloutRow(0, "", "{}", "aborted", "", 0, 0.0, 0.0, -1.0, 0)
    for number in range(3):
        registry.add_rollout(row._replace(digest=f"bad {number}"))
    for number in range(5):
        registry.add_rollout(row._replace(digest=f"good {number}", state="done"))
    assert registry.aborted() == ["bad 2", "bad 1"]
    assert [one.digest for one in registry.rollouts()] == ["good 4", "good 3", "good 2", "bad 2", "bad 1"]
