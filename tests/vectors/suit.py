"""The published envelopes and signatures of tests/vectors/data/suit, with the keys that made them."""

import json
from pathlib import Path
from typing import Any, NamedTuple

DATA = Path(__file__).parent / "data/suit"


class Case(NamedTuple):
    """`accept`: the verdict of the policy; None where only digests and signatures are known to be right."""

    name: str
    envelope: bytes
    publics: dict[str, bytes]
    threshold: int
    accept: bool | None
    index: dict[str, Any]


def load(name: str) -> Any:
    return json.loads((DATA / name).read_text())


def public(fields: dict[str, str]) -> bytes:
    return bytes.fromhex(fields["hss"] if "hss" in fields else "04" + fields["x"] + fields["y"])


# Only what these use is in the subset (ota/commands.py); the index says what the others use.
ACCEPTED = (
    "draft37-ex0-signed", "draft37-ex2-severed-signed", "draft37-ex2-signed", "draft37-ex3-signed", "libcsuit-exp0",
    "libcsuit-exp2B", "libcsuit-exp3",
)  # fmt: skip


def published() -> list[Case]:
    keys = load("keys.json")
    cases = []
    for index in load("index.json"):
        data = bytes.fromhex("".join((DATA / index["file"]).read_text().split()))
        made_by = [one["verifies_with"] for one in index["auth"] if one["verifies_with"] != "hmac"]
        publics = {name: public(keys[name]) for name in made_by or ["trust_anchor"]}
        cases.append(Case(index["name"], data, publics, 1, index["name"] in ACCEPTED, index))
    return cases


def thresholds() -> list[Case]:
    found = load("threshold.json")
    cases = []
    for case in found["cases"]:
        threshold, _, names = case["policy"].partition("-of ")
        publics = {name: public(found["keys"][name]) for name in names.split(",")}
        data = bytes.fromhex(case["envelope"])
        cases.append(Case(case["name"], data, publics, int(threshold), case["expect"] == "accept", case))
    return cases


def accepted() -> list[Case]:
    return [case for case in published() + thresholds() if case.accept]
