"""What the core must not forget: paired devices, objects with their keys, where each shard is, and work still to do.

SQLAlchemy Core over SQLite in WAL mode, file mode 0600; one process (the state folder's lock), one thread. It is the
truth about objects; devices only hold blobs. Rows of a put in progress are committed without waiting for the disk and
made durable by the commit that finishes the object, so a stripe costs no flush. After a power cut an unfinished put is
undone from what was written down of it.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError, IntegrityError

from agent.errors import PortError, UsageError
from tools.gateway.registry.margins import MarginRows
from tools.gateway.registry.moves import enqueue, is_shard, job_of, set_shard, withdraw
from tools.gateway.registry.tables import (
    ABSENCES,
    DEVICES,
    METADATA,
    OBJECTS,
    PAIRINGS,
    QUEUE,
    SHARDS,
    SHARDS_OF,
    Device,
    Job,
    Object,
    Placed,
)

REFERENCE_CHARS_MIN = 4  # an id may be shortened to this many characters
Found = TypeVar("Found")


@contextmanager
def _said(path: Path) -> Iterator[None]:
    """SQLite's complaints as one sentence each."""
    try:
        yield
    except IntegrityError:
        raise  # a rule of ours, not the disk's: the caller knows what it means
    except DatabaseError as error:
        reason = str(error.orig)
        if "full" in reason:
            text = f"the disk that holds {path} is full: free some space there and try again"
            raise PortError("disk_full", text) from error
        if "readonly" in reason or "read-only" in reason or "unable to open" in reason:
            raise PortError(
                "read_only", f"{path} cannot be written: make its folder writable or use --state"
            ) from error
        if "not a database" in reason or "malformed" in reason:
            raise PortError("registry", f"{path} is damaged: restore the backup of this core") from error
        raise PortError("registry", f"the registry {path} failed: {reason}") from error


class Registry(MarginRows):
    """Open (and create) the registry in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "registry.sqlite"
        try:
            # SQLite gives its -wal and -shm files the mode of the main file, so that one is made first.
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise PortError("read_only", f"{self._path} cannot be written: {error.strerror}") from error
        self._durable = self._engine("FULL")
        self._quick = self._engine("NORMAL")
        with _said(self._path):
            METADATA.create_all(self._durable)
            SHARDS_OF.create(self._durable, checkfirst=True)  # a registry of before has the table without it
        self._look_who_pairs()

    def _engine(self, synchronous: str) -> sa.Engine:
        engine = sa.create_engine(f"sqlite:///{self._path}")

        @sa.event.listens_for(engine, "connect")
        def _prepare(connection: Any, _record: Any) -> None:
            for setting in ("journal_mode=WAL", f"synchronous={synchronous}", "busy_timeout=5000"):
                connection.execute(f"PRAGMA {setting}")

        return engine

    def close(self) -> None:
        """Finish; SQLite folds its write-ahead log into the file."""
        self._quick.dispose()
        self._durable.dispose()

    @contextmanager
    def _write(self, durable: bool = True) -> Iterator[sa.Connection]:
        with _said(self._path), (self._durable if durable else self._quick).begin() as connection:
            yield connection

    def _rows(self, query: sa.Select[*tuple[Any, ...]]) -> Sequence[sa.Row[*tuple[Any, ...]]]:
        with _said(self._path), self._durable.connect() as connection:
            return connection.execute(query).all()

    # Devices

    def add_device(self, device: Device) -> None:
        """Add, or replace after a new pairing."""
        with self._write() as connection:
            connection.execute(sa.delete(DEVICES).where(DEVICES.c.id == device.id))
            connection.execute(sa.insert(DEVICES).values(device._asdict() | {"serial": str(device.serial)}))

    def devices(self) -> list[Device]:
        """Paired ones and those that have left, in the order they were added."""
        return [device for device in self._every_device() if device.state != "forgotten"]

    def paired(self) -> list[Device]:
        """Those that belong to this core now."""
        return [device for device in self._every_device() if device.state == "paired"]

    def forgotten(self) -> list[Device]:
        """Forgotten ones whose certificate may still have to be revoked."""
        return [device for device in self._every_device() if device.state == "forgotten"]

    def _every_device(self) -> list[Device]:
        rows = self._rows(sa.select(DEVICES).order_by(DEVICES.c.added, DEVICES.c.id))
        return [Device(**row._mapping)._replace(serial=int(row.serial)) for row in rows]

    def device(self, reference: str) -> Device:
        """By id, else by name, else by the beginning of an id. UsageError("no_such_device", "ambiguous")."""
        return _one("device", reference, [(device.id, device.name, device) for device in self.devices()])

    def set_device(self, device_id: str, **fields: Any) -> None:
        """Change some columns."""
        with self._write() as connection:
            connection.execute(sa.update(DEVICES).where(DEVICES.c.id == device_id).values(**fields))

    def remove_device(self, device_id: str) -> int:
        """Forget it; the shards it kept are to be made again elsewhere. Returns how many."""
        with self._write() as connection:
            connection.execute(sa.delete(DEVICES).where(DEVICES.c.id == device_id))
            connection.execute(sa.delete(PAIRINGS).where(PAIRINGS.c.id == device_id))
            lost = _release(connection, device_id)
        self._look_who_pairs()
        return lost

    def part_device(self, device_id: str) -> int:
        """It has left by its owner's will: as `remove_device`, but its row stays to tell the operator."""
        with self._write() as connection:
            connection.execute(sa.update(DEVICES).where(DEVICES.c.id == device_id).values(state="left"))
            return _release(connection, device_id)

    # Objects

    def start_object(self, found: Object) -> None:
        """A put begins: nothing is listed yet."""
        with self._write() as connection:
            connection.execute(sa.insert(OBJECTS).values(found._asdict() | {"state": "writing"}))

    def add_shards(self, shards: Iterable[Placed]) -> None:
        """Write down where shards are about to be sent, before they are."""
        with self._write(durable=False) as connection:
            connection.execute(sa.insert(SHARDS), [shard._asdict() for shard in shards])

    def settle_stripe(self, kept: Sequence[Placed], missing: Sequence[Placed]) -> None:
        """Receipts came for `kept` (on the device named there); `missing` are queued to be made again."""
        with self._write(durable=False) as connection:
            for shard in kept:
                set_shard(connection, shard, device=shard.device, state="kept")
            for shard in missing:
                set_shard(connection, shard, device=shard.device, state="missing")
            enqueue(connection, [job_of("put", shard) for shard in missing])

    def finish_object(self, object_id: str, size: int, sha256: bytes, replaces: str = "") -> None:
        """The put is complete: from here on it is listed, and everything written about it is on disk."""
        with self._write() as connection:
            if replaces:
                if connection.execute(sa.select(OBJECTS.c.id).where(OBJECTS.c.id == replaces)).scalar() is None:
                    raise UsageError("no_such_object", "what was to be replaced has been removed meanwhile")
                _drop_object(connection, replaces)
            try:
                connection.execute(
                    sa.update(OBJECTS).where(OBJECTS.c.id == object_id).values(size=size, sha256=sha256, state="stored")
                )
            except IntegrityError as error:
                text = "another object took this name meanwhile: choose one with --name"
                raise UsageError("name_taken", text) from error

    def drop_object(self, object_id: str) -> int:
        """Remove it from the list and queue the deletion of its shards on every device. Returns how many."""
        with self._write() as connection:
            return _drop_object(connection, object_id)

    def unfinished(self) -> list[str]:
        """Ids of puts that a stop interrupted."""
        return [row.id for row in self._rows(sa.select(OBJECTS.c.id).where(OBJECTS.c.state == "writing"))]

    def objects(self) -> list[Object]:
        """Stored ones, oldest first."""
        query = sa.select(OBJECTS).where(OBJECTS.c.state == "stored").order_by(OBJECTS.c.created, OBJECTS.c.id)
        return [Object(**row._mapping) for row in self._rows(query)]

    def object_by_id(self, object_id: str) -> Object | None:
        """In any state."""
        rows = self._rows(sa.select(OBJECTS).where(OBJECTS.c.id == object_id))
        return Object(**rows[0]._mapping) if rows else None

    def object(self, reference: str) -> Object:
        """By name, id or the beginning of an id. UsageError("no_such_object", "ambiguous")."""
        return _one("object", reference, [(found.id, found.name, found) for found in self.objects()])

    def has_name(self, name: str) -> bool:
        """Whether a stored object carries it."""
        query = sa.select(OBJECTS.c.id).where(OBJECTS.c.state == "stored", OBJECTS.c.name == name)
        return bool(self._rows(query))

    def shards(self, object_id: str, first: int = 0, stripes: int = 1 << 40) -> dict[int, list[Placed]]:
        """Shards of some stripes, by stripe number."""
        query = (
            sa.select(SHARDS)
            .where(SHARDS.c.object == object_id, SHARDS.c.stripe >= first, SHARDS.c.stripe < first + stripes)
            .order_by(SHARDS.c.stripe, SHARDS.c.number)
        )
        found: dict[int, list[Placed]] = {}
        for row in self._rows(query):
            found.setdefault(row.stripe, []).append(Placed(**row._mapping))
        return found

    def doubt_shard(self, shard: Placed) -> None:
        """A read of it failed, and nothing proves who answered: read it last and ask its device again later."""
        with self._write(durable=False) as connection:
            if set_shard(connection, shard, device=shard.device, state="suspect", was="kept"):
                enqueue(connection, [job_of("check", shard)])

    def trust_shard(self, shard: Placed) -> None:
        """A doubted one was read from its device and has the right hash."""
        with self._write(durable=False) as connection:
            if set_shard(connection, shard, device=shard.device, state="kept", was="suspect"):
                withdraw(connection, "check", shard)

    def lose_shard(self, shard: Placed) -> None:
        """A doubted one did not come back: queue it to be made again. Until a receipt names its new place, the row
        names the old one, and reads still ask there."""
        with self._write() as connection:
            if set_shard(connection, shard, device=shard.device, state="missing", was="suspect"):
                withdraw(connection, "check", shard)
                enqueue(connection, [job_of("put", shard._replace(device=""))])

    def queue_repairs(self, shards: Sequence[Placed]) -> None:
        """These are made again on any device that has room. Until a receipt names a new place the row names the old
        one: a device that comes back in time keeps its shard."""
        with self._write(durable=False) as connection:
            for shard in shards:
                if set_shard(connection, shard, device=shard.device, state="missing", was=shard.state):
                    enqueue(connection, [job_of("put", shard._replace(device=""))])

    def queue_moves(self, shards: Sequence[Placed]) -> None:
        """These are made on another device; until then they are where they are."""
        with self._write(durable=False) as connection:
            enqueue(connection, [job_of("put", shard._replace(device="")) for shard in shards])

    def withdraw_delete(self, shard: Placed) -> None:
        """It is about to be stored there again: an older deletion must not take it away."""
        with self._write(durable=False) as connection:
            withdraw(connection, "delete", shard)

    # Work for later

    def enqueue_delete(self, shards: Iterable[Placed]) -> None:
        """Remove these from the devices named in them, when those can be reached."""
        with self._write() as connection:
            enqueue(connection, [job_of("delete", shard) for shard in shards])

    def jobs(self, device: str, now: int, count: int) -> list[Job]:
        """Due for this device ("" = for any), oldest first."""
        query = sa.select(QUEUE).where(QUEUE.c.device == device, QUEUE.c.due <= now).order_by(QUEUE.c.id).limit(count)
        return [Job(**row._mapping) for row in self._rows(query)]

    def due(self, now: int) -> list[str]:
        """Devices for which jobs are due, "" for any first."""
        query = sa.select(QUEUE.c.device).where(QUEUE.c.due <= now).distinct().order_by(QUEUE.c.device)
        return [row[0] for row in self._rows(query)]

    def job_counts(self) -> Mapping[tuple[str, str], int]:
        """(device, kind) -> waiting jobs."""
        query = sa.select(QUEUE.c.device, QUEUE.c.kind, sa.func.count()).group_by(QUEUE.c.device, QUEUE.c.kind)
        return {(row[0], row[1]): row[2] for row in self._rows(query)}

    def has_job(self, job: Job) -> bool:
        """False when it was withdrawn or finished meanwhile."""
        return bool(self._rows(sa.select(QUEUE.c.id).where(QUEUE.c.id == job.id)))

    def free_job(self, job: Job) -> None:
        """Its device will not take the shard: any other may."""
        with self._write() as connection:
            connection.execute(sa.delete(QUEUE).where(QUEUE.c.id == job.id))
            values = {key: value for key, value in job._asdict().items() if key != "id"}
            enqueue(connection, [values | {"device": "", "tries": 0, "due": 0}])

    def waiting_for_any(self) -> int:
        """Shards that any device with room may take."""
        query = sa.select(sa.func.count()).where(QUEUE.c.device == "")
        return int(self._rows(query)[0][0])

    def jobs_of(self, object_id: str) -> int:
        """How many wait for this object."""
        query = sa.select(sa.func.count()).where(QUEUE.c.object == object_id)
        return int(self._rows(query)[0][0])

    def finish_job(self, job: Job, kept: Placed | None = None) -> None:
        """Done; a rebuilt shard is `kept` from now on. Its old place, and a shard whose object has gone meanwhile, are
        to be deleted."""
        with self._write() as connection:
            connection.execute(sa.delete(QUEUE).where(QUEUE.c.id == job.id))
            if kept is not None:
                old = connection.execute(sa.select(SHARDS.c.device).where(*is_shard(kept))).scalar()
                if not set_shard(connection, kept, device=kept.device, state="kept"):
                    enqueue(connection, [job_of("delete", kept)])
                elif old and old != kept.device:
                    enqueue(connection, [job_of("delete", kept._replace(device=old))])

    def postpone_job(self, job: Job, due: int, is_try: bool = True) -> None:
        """It failed; try again at `due`."""
        values = {"tries": job.tries + is_try, "due": due}
        with self._write(durable=False) as connection:
            connection.execute(sa.update(QUEUE).where(QUEUE.c.id == job.id).values(values))

    def hasten_jobs(self, device: str) -> None:
        """The device is back: everything for it is due now, save a denial that must stand for a while to count."""
        is_free = sa.or_(QUEUE.c.kind == "put", QUEUE.c.tries == 0)
        with self._write(durable=False) as connection:
            connection.execute(sa.update(QUEUE).where(QUEUE.c.device == device, is_free).values(due=0))


def _release(connection: sa.Connection, device_id: str) -> int:
    """What it kept is to be made again elsewhere: repair.py finds it by its rows. Returns how many shards."""
    connection.execute(sa.delete(QUEUE).where(QUEUE.c.device == device_id))
    connection.execute(sa.delete(ABSENCES).where(ABSENCES.c.device == device_id))
    lost = sa.update(SHARDS).where(SHARDS.c.device == device_id).values(device="", state="missing")
    return connection.execute(lost).rowcount


def _drop_object(connection: sa.Connection, object_id: str) -> int:
    """Shards without a receipt are deleted too: the device may have stored them all the same."""
    connection.execute(sa.delete(QUEUE).where(QUEUE.c.object == object_id, QUEUE.c.kind != "delete"))
    column = SHARDS.c
    copied: list[Any] = [column.device, column.object, column.stripe, column.number, column.name, column.size]
    rows = sa.select(sa.literal("delete"), *copied, sa.literal(0), sa.literal(0)).where(
        column.object == object_id, column.device != ""
    )
    names = ["kind", "device", "object", "stripe", "number", "name", "size", "tries", "due"]
    queued = connection.execute(sa.insert(QUEUE).prefix_with("OR IGNORE").from_select(names, rows))
    connection.execute(sa.delete(SHARDS).where(column.object == object_id))
    connection.execute(sa.delete(OBJECTS).where(OBJECTS.c.id == object_id))
    return queued.rowcount


def _one(kind: str, reference: str, entries: list[tuple[str, str, Found]]) -> Found:
    """The entry whose id is `reference`, else the one of that name, else the only one whose id starts with it."""
    same = [found for identifier, _, found in entries if identifier == reference]
    exact = same or [found for _, name, found in entries if name == reference]
    begins = [found for identifier, _, found in entries if identifier.startswith(reference)]
    matches = exact or (begins if len(reference) >= REFERENCE_CHARS_MIN else [])
    if not matches:
        listing = "corelet-core ls" if kind == "object" else "corelet-core devices"
        raise UsageError(f"no_such_{kind}", f"there is no {kind} called {reference!r}: {listing} shows what there is")
    if len(matches) > 1:
        raise UsageError("ambiguous", f"{reference!r} fits {len(matches)} {kind}s: use the full id")
    return matches[0]
