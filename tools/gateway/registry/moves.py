"""What becomes of one shard, in the registry's rows: its place and state, and the jobs that wait for it.

Each works in a transaction of the caller's: a shard's state and its job are written together or not at all.
"""

from typing import Any

import sqlalchemy as sa

from tools.gateway.registry.tables import QUEUE, SHARDS, Placed


def is_shard(shard: Placed) -> list[sa.ColumnElement[bool]]:
    return [SHARDS.c.object == shard.object, SHARDS.c.stripe == shard.stripe, SHARDS.c.number == shard.number]


def set_shard(connection: sa.Connection, shard: Placed, device: str, state: str, was: str = "") -> bool:
    """`was`: only from this state, and only while it is where the caller believes it to be."""
    where = is_shard(shard)
    if was:
        where += [SHARDS.c.state == was, SHARDS.c.device == shard.device]
    changed = connection.execute(sa.update(SHARDS).where(*where).values(device=device, state=state))
    return bool(changed.rowcount)


def job_of(kind: str, shard: Placed) -> dict[str, Any]:
    kept = {key: value for key, value in shard._asdict().items() if key != "state"}
    return kept | {"kind": kind, "tries": 0, "due": 0}


def enqueue(connection: sa.Connection, jobs: list[dict[str, Any]]) -> None:
    """A job that already waits is not doubled. A shard that is wanted again must not be deleted by an older job."""
    if not jobs:
        return
    connection.execute(sa.insert(QUEUE).prefix_with("OR IGNORE"), jobs)
    for job in jobs:
        if job["kind"] == "put" and job["device"]:
            older = (QUEUE.c.kind == "delete", QUEUE.c.device == job["device"], QUEUE.c.name == job["name"])
            connection.execute(sa.delete(QUEUE).where(*older))


def withdraw(connection: sa.Connection, kind: str, shard: Placed) -> None:
    where = (QUEUE.c.kind == kind, QUEUE.c.device == shard.device, QUEUE.c.name == shard.name)
    connection.execute(sa.delete(QUEUE).where(*where))
