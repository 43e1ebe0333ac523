"""Invariant: settings from any bytes, and a profile with any values, are either complete and inside their ranges, or
refused with a UsageError that names what is wrong; never another exception."""

import json
import os
import random

import pytest

from agent import limits, settings
from agent.errors import UsageError
from boards import generic_linux, schema

ROUNDS = 200_000 if os.environ.get("CORELET_FULL") else 4_000
WORDS = ("", "a", "name", "\x1b[2J", "é" * 40, "127.0.0.1", "::1", "999999999", "cpython")


def value(rng: random.Random, depth: int = 0) -> object:
    kind = rng.randrange(9 if depth < 3 else 6)
    if kind < 2:
        return rng.choice((0, 1, -1, 7411, 65535, 65536, 1 << 44, (1 << 44) + 1, 1 << 80, rng.getrandbits(20)))
    if kind == 2:
        return rng.choice(WORDS)
    if kind == 3:
        return rng.choice((None, True, False))
    if kind == 4:
        return rng.choice((0.5, -1e300, 65536.0))
    if kind == 5:
        return rng.choice((b"x", 1j, object)) if depth else "x"
    if kind == 6:
        return [value(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind == 7:
        return tuple(value(rng, depth + 1) for _ in range(rng.randrange(4)))
    return {rng.choice((*WORDS, *schema.CEILINGS)): value(rng, depth + 1) for _ in range(rng.randrange(4))}


def parsed(text: bytes) -> bool:
    try:
        found = settings.parse(text)
    except UsageError as error:
        assert error.code == "settings" and error.text
        return False
    assert sorted(found) == sorted(row[0] for row in settings.FIELDS)
    assert 0 <= found["control_port"] <= 65535 and len(found["name"]) <= settings.NAME_BYTES_MAX
    profile = dict.fromkeys(schema.CEILINGS, 1 << 50)
    assert limits.in_force(profile, found["ceilings"])  # whatever was accepted can be put in force
    assert settings.parse(settings.encode(found)) == found
    return True


@pytest.mark.parametrize("seed", range(4))
def test_settings_from_any_json(seed: int) -> None:
    rng = random.Random(seed)
    accepted = 0
    for _ in range(ROUNDS):
        keys = [row[0] for row in settings.FIELDS if rng.random() < 0.3]
        text = json.dumps({key: value(rng) for key in keys}, default=str).encode()
        accepted += parsed(text)
    assert accepted > ROUNDS // 50  # the generator also meets what is right


@pytest.mark.parametrize("seed", range(4))
def test_settings_from_any_bytes(seed: int) -> None:
    rng = random.Random(seed)
    good = settings.encode(settings.defaults())
    for _ in range(ROUNDS // 4):
        text = bytearray(good)
        for _ in range(rng.randrange(1, 4)):
            text[rng.randrange(len(text))] = rng.randrange(256)
        parsed(bytes(text[: rng.randrange(len(text) + 1)]))
        parsed(rng.randbytes(rng.randrange(64)))


def test_settings_nested_too_deeply() -> None:
    for opening in (b"[", b'{"name":'):
        parsed(opening * 4000)


@pytest.mark.parametrize("seed", range(4))
def test_profiles_with_any_value(seed: int) -> None:
    rng = random.Random(seed)
    names = [row[0] for row in schema.FIELDS]
    for _ in range(ROUNDS):
        profile: dict[str, object] = dict(generic_linux.PROFILE)
        name = rng.choice(names)
        profile[name] = value(rng)
        if rng.random() < 0.1:
            del profile[rng.choice(names)]
        try:
            kept = schema.validate(profile)
        except UsageError as error:
            assert error.code == "profile" and error.text
            continue
        row = schema.field(name)
        if row[1] == "int":
            assert type(profile[name]) is int and row[2] <= profile[name] <= row[3]
        assert kept[name] == profile[name]
