"""The registry's tables and the records that come out of them. Data only; registry.py does the reading and writing."""

from typing import NamedTuple

import sqlalchemy as sa

from tools.gateway.objects.coding import Profile
from tools.gateway.objects.stripes import Layout

METADATA = sa.MetaData()
DEVICES = sa.Table(
    "devices",
    METADATA,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("board", sa.String, nullable=False),
    sa.Column("fw", sa.String, nullable=False),
    sa.Column("public", sa.LargeBinary, nullable=False),
    sa.Column("serial", sa.String, nullable=False),  # of its certificate, decimal: larger than SQLite's integers
    sa.Column("link_secret", sa.LargeBinary, nullable=False),
    sa.Column("state", sa.String, nullable=False),  # "paired"; "left"; "forgotten" until its certificate is revoked
    sa.Column("address", sa.String, nullable=False),
    sa.Column("added", sa.Integer, nullable=False),
)
PAIRINGS = sa.Table(  # what is not a pairing yet, or a certificate that is still to be revoked
    "pairings",
    METADATA,
    sa.Column("serial", sa.String, primary_key=True),
    sa.Column("id", sa.String, nullable=False),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("board", sa.String, nullable=False),
    sa.Column("fw", sa.String, nullable=False),
    sa.Column("public", sa.LargeBinary, nullable=False),
    sa.Column("link_secret", sa.LargeBinary, nullable=False),
    sa.Column("address", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),  # "issued"; "given": the device may commit it; "void": to be revoked
    sa.Column("started", sa.Integer, nullable=False),
)
OBJECTS = sa.Table(
    "objects",
    METADATA,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("name", sa.String, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("sha256", sa.LargeBinary, nullable=False),  # of the plaintext; it never leaves the core
    sa.Column("key", sa.LargeBinary, nullable=False),
    sa.Column("k", sa.Integer, nullable=False),
    sa.Column("n", sa.Integer, nullable=False),
    sa.Column("slot", sa.Integer, nullable=False),
    sa.Column("state", sa.String, nullable=False),  # "writing", "stored"
    sa.Column("created", sa.Integer, nullable=False),
)
SHARDS = sa.Table(
    "shards",
    METADATA,
    sa.Column("object", sa.String, primary_key=True),
    sa.Column("stripe", sa.Integer, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("name", sa.LargeBinary, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("device", sa.String, nullable=False),  # "" = none yet
    sa.Column("state", sa.String, nullable=False),  # "sent" (no receipt yet), "kept", "suspect", "missing"
    sqlite_with_rowid=False,
)
QUEUE = sa.Table(
    "queue",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("kind", sa.String, nullable=False),  # "put": rebuild and store; "check": ask again; "delete"
    sa.Column("device", sa.String, nullable=False),  # "" = any that has room
    sa.Column("object", sa.String, nullable=False),
    sa.Column("stripe", sa.Integer, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("name", sa.LargeBinary, nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False, default=0),
    sa.Column("due", sa.Integer, nullable=False),
    sa.UniqueConstraint("kind", "device", "name"),
    sa.Index("queue_due", "device", "due"),
)
ABSENCES = sa.Table(
    "absences",
    METADATA,
    sa.Column("device", sa.String, primary_key=True),
    sa.Column("seconds", sa.Integer, nullable=False),  # that the core was there to see
)
PROOFS = sa.Table(  # what tells whether an answer about a shard is true; rows of objects that are gone are swept
    "proofs",
    METADATA,
    sa.Column("object", sa.String, primary_key=True),
    sa.Column("stripe", sa.Integer, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("root", sa.LargeBinary, nullable=False),  # of its Merkle tree
    sa.Column("salt", sa.LargeBinary, nullable=False),  # b"" = spent
    sa.Column("salted", sa.LargeBinary, nullable=False),  # SHA-256(salt || shard)
    sqlite_with_rowid=False,
)
REPUTATIONS = sa.Table(
    "reputations",
    METADATA,
    sa.Column("device", sa.String, primary_key=True),
    sa.Column("since", sa.Integer, nullable=False),  # when it was paired: one that is paired anew starts anew
    sa.Column("good", sa.Float, nullable=False),
    sa.Column("bad", sa.Float, nullable=False),
    sa.Column("audits", sa.Integer, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("confessed", sa.Integer, nullable=False),
    sa.Column("outcome", sa.String, nullable=False),  # of the last audit
    sa.Column("at", sa.Integer, nullable=False),
    sa.Column("contained", sa.String, nullable=False),  # what it did not answer and is asked again; "" = nothing
    sa.Column("tries", sa.Integer, nullable=False),  # how often it did not
)
RELAY_KEYS = sa.Table(
    "relay_keys",
    METADATA,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("digest", sa.LargeBinary, nullable=False),  # SHA-256; the key itself is shown once and kept nowhere
    sa.Column("lan", sa.Boolean, nullable=False),  # its clients are in the devices' network
    sa.Column("created", sa.Integer, nullable=False),
)
RELAYED = sa.Table(
    "relayed",
    METADATA,
    sa.Column("device", sa.String, primary_key=True),
    sa.Column("packets", sa.Integer, nullable=False),
    sa.Column("bytes", sa.Integer, nullable=False),
    sa.Column("last_packets", sa.Integer, nullable=False),  # of its present start
    sa.Column("last_bytes", sa.Integer, nullable=False),
)
ROLLOUTS = sa.Table(
    "rollouts",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("digest", sa.String, nullable=False),  # of the release, hex
    sa.Column("plan", sa.String, nullable=False),  # JSON, updates/plan.py
    sa.Column("state", sa.String, nullable=False),  # "running", "paused", "aborted", "done"
    sa.Column("why", sa.String, nullable=False),
    sa.Column("wave", sa.Integer, nullable=False),
    sa.Column("clock", sa.Float, nullable=False),  # seconds that the core listened
    sa.Column("wave_at", sa.Float, nullable=False),
    sa.Column("quiet_at", sa.Float, nullable=False),
    sa.Column("started", sa.Integer, nullable=False),
)
ROLLOUTS_OF = sa.Table(  # updates/places.py says what each is
    "rollout_places",
    METADATA,
    sa.Column("rollout", sa.Integer, primary_key=True),
    sa.Column("device", sa.String, primary_key=True),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("text", sa.String, nullable=False),
    sa.Column("wave", sa.Integer, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("since", sa.Float, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("boot", sa.Integer, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("again_at", sa.Float, nullable=False),
)
BEACONS = sa.Table(
    "beacons",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),  # 1
    sa.Column("time", sa.Integer, nullable=False),
)
PROMISED = ("kept", "suspect")  # states of a shard that its device gave a receipt for
# What each device keeps is reckoned every few seconds: with its size at hand, in an eighth of the time.
SHARDS_OF = sa.Index("shards_of_device", SHARDS.c.device, SHARDS.c.state, SHARDS.c.size)
sa.Index("objects_name", OBJECTS.c.name, unique=True, sqlite_where=OBJECTS.c.state == "stored")


class RelayKey(NamedTuple):
    """What an application shows to get credentials."""

    name: str
    digest: bytes
    lan: bool
    created: int


class RolloutRow(NamedTuple):
    """One roll-out as it is written down; `id` 0: not yet."""

    id: int
    digest: str
    plan: str
    state: str
    why: str
    wave: int
    clock: float
    wave_at: float
    quiet_at: float
    started: int


class Device(NamedTuple):
    """One paired device; `serial` is its certificate's."""

    id: str
    name: str
    board: str
    fw: str
    public: bytes
    serial: int
    link_secret: bytes
    state: str
    address: str
    added: int


class Pairing(NamedTuple):
    """A certificate that was issued and what became of it; the device is paired by it when it says that it is bound."""

    serial: int
    id: str
    name: str
    board: str
    fw: str
    public: bytes
    link_secret: bytes
    address: str
    state: str
    started: int


class Object(NamedTuple):
    """One stored object (or one being written)."""

    id: str
    name: str
    size: int
    sha256: bytes
    key: bytes
    k: int
    n: int
    slot: int
    state: str
    created: int

    @property
    def layout(self) -> Layout:
        """How it is cut into stripes."""
        return Layout(bytes.fromhex(self.id), self.key, Profile(self.k, self.n), self.slot)


class Placed(NamedTuple):
    """One shard: `number` is its index in the stripe, `name` its SHA-256, `device` who has it ("" = nobody)."""

    object: str
    stripe: int
    number: int
    name: bytes
    size: int
    device: str
    state: str


class Proof(NamedTuple):
    """Of one shard: `root` of its Merkle tree; `salted` = SHA-256(salt || shard), both b"" when it is spent."""

    root: bytes
    salt: bytes
    salted: bytes


class Job(NamedTuple):
    """One piece of work for later."""

    id: int
    kind: str
    device: str
    object: str
    stripe: int
    number: int
    name: bytes
    size: int
    tries: int
    due: int
