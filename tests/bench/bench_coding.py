"""Erasure coding beside encryption and beside zfec: what a put spends its processor time on, without a network.

The pure rows are what runs where pyeclib cannot be installed; their bytes are the same.
"""

import os
import statistics
import sys
import time
from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.bench import peer_zfec
from tests.bench.report import Report, parser, rounds
from tools.gateway.objects.coding import Code, IsaL, Profile, PureRows, engines

MB = 1_000_000
PROFILES = (Profile(2, 3), Profile(2, 4), Profile(4, 8), Profile(10, 16))
STRIPE_BYTES = 4 * 1024 * 1024
PEER_BYTES = 1024 * 1024


def speed(size_bytes: int, count: int, action: Callable[[], object]) -> list[float]:
    """MB/s of data, each round."""

    def once() -> float:
        started = time.perf_counter()
        action()
        return size_bytes / MB / (time.perf_counter() - started)

    return rounds(count, once)


def measure(report: Report, profile: Profile, engine: type[PureRows] | type[IsaL], count: int) -> tuple[float, float]:
    """(encode, decode without the first n-k data shards); medians."""
    code = Code(profile, engine)
    length = STRIPE_BYTES // profile.k
    parts = [os.urandom(length) for _ in range(profile.k)]
    shards = code.encode(parts)
    kept = dict(list(enumerate(shards))[-profile.k :])
    if code.decode(kept) != parts:
        raise SystemExit(f"bench_coding: {engine.__name__} {profile} decodes wrong; that is a defect, not a figure")
    encode = speed(STRIPE_BYTES, count, lambda: code.encode(parts))
    decode = speed(STRIPE_BYTES, count, lambda: code.decode(kept))
    name = "pyeclib" if engine is IsaL else "pure rows"
    report.spread(f"{profile} encode, {name}", encode, "MB/s")
    report.spread(f"{profile} decode, {name}", decode, "MB/s")
    return statistics.median(encode), statistics.median(decode)


def steady(size_bytes: int, action: Callable[[], object]) -> float:
    """MB/s of data over 0.2 s, as the peer measures."""
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < 0.2:
        action()
        count += 1
    return count * size_bytes / MB / (time.perf_counter() - started)


def beside_zfec(report: Report, count: int) -> None:
    """4/8, 1 MiB, encode: round by round beside each other, the ratio of each pair."""
    python = peer_zfec.interpreter()
    if not python:
        report.notes.append("zfec could not be installed here: nothing was compared with it.")
        return
    profile = Profile(4, 8)
    parts = [os.urandom(PEER_BYTES // profile.k) for _ in range(profile.k)]
    codes = {engine: Code(profile, engine) for engine in engines()}
    peer = peer_zfec.Peer(python, *profile, PEER_BYTES)
    pairs: dict[object, list[float]] = {engine: [] for engine in codes}
    speeds: list[float] = []
    try:
        peer.round()
        for _ in range(count):
            for engine, code in codes.items():
                ours, theirs = steady(PEER_BYTES, lambda code=code: code.encode(parts)), peer.round()  # type: ignore[misc]
                pairs[engine].append(ours / theirs)
                speeds.append(theirs)
    finally:
        peer.close()
    report.spread("zfec 4/8 encode, 1 MiB", speeds, "MB/s")
    for engine, ratios in pairs.items():
        least = 2.0 if engine is IsaL else 0.6
        name = "pyeclib" if engine is IsaL else "pure rows"
        met = statistics.median(ratios) >= least
        report.spread(f"{name} beside zfec, 4/8 encode, 1 MiB", ratios, "times", f">= {least}", met)


def main() -> int:
    arguments = parser("bench_coding", __doc__)
    arguments.add_argument("--rounds", type=int, default=7)
    options = arguments.parse_args()
    report = Report(f"Coding a stripe of 4 MiB, one processor ({options.rounds} rounds, median, min to max)")
    plain, key, nonce = os.urandom(STRIPE_BYTES), AESGCM.generate_key(256), os.urandom(12)
    encrypt = speed(STRIPE_BYTES, options.rounds, lambda: AESGCM(key).encrypt(nonce, plain, None))
    report.spread("AES-256-GCM", encrypt, "MB/s")
    if IsaL not in engines():
        report.notes.append("pyeclib is not installed here: only the pure rows were measured.")
    for profile in PROFILES:
        report.say(f"measuring {profile} ...")
        found = {engine: measure(report, profile, engine, options.rounds) for engine in engines()}
        pure = found[PureRows]
        if IsaL in found:
            ratio = f"encode {found[IsaL][0] / pure[0]:.1f}, decode {found[IsaL][1] / pure[1]:.1f} times as fast"
            report.row(f"{profile} pyeclib beside pure rows", ratio)
        report.row(f"{profile} pure rows beside AES-256-GCM", f"encode {pure[0] / statistics.median(encrypt):.2f}")
    report.say("measuring beside zfec ...")
    beside_zfec(report, options.rounds)
    report.notes.append(
        "MB/s are of the file's own bytes. A decode is the worst case: as many data shards as may be lost are lost."
    )
    report.close(options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
