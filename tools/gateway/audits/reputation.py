"""What a device's audits say of it: a beta reputation, as Storj's, and who is still trusted with shards. Pure.

good = FORGET * good + 1 after an audit that went well, bad likewise after one that did not; the score is good / (good +
bad). So about the last 1 / (1 - FORGET) = 1,000 audits count, three weeks of them; a device begins with GOOD_FIRST that
went well, so that one flipped bit on the first day is not the end. Only "lost" and "corrupt" are failures: who cannot
be reached, answers late or tells of its own rot loses nothing (research note shards.md, section 5).
"""

import json
from typing import Any, NamedTuple

FORGET = 0.999
GOOD_FIRST = 50.0
SCORE_MIN = 0.96  # below: no new shards, and those it has are made again elsewhere
TRIES_MAX = 3  # so often without an answer: no new shards until it gives one
FAILURES = ("lost", "corrupt")


class Reputation(NamedTuple):
    """`contained`: JSON of what it has to answer first; `since`: when it was paired."""

    device: str
    since: int
    good: float = GOOD_FIRST
    bad: float = 0.0
    audits: int = 0
    failures: int = 0
    confessed: int = 0
    outcome: str = ""
    at: int = 0
    contained: str = ""
    tries: int = 0

    @property
    def score(self) -> float:
        return self.good / (self.good + self.bad)

    @property
    def is_trusted(self) -> bool:
        """May it keep what it has?"""
        return self.score >= SCORE_MIN

    @property
    def takes_more(self) -> bool:
        """May it be given new shards?"""
        return self.is_trusted and self.tries < TRIES_MAX

    def after(self, outcomes: list[str], now: int) -> "Reputation":
        """One outcome for each shard that was asked for: "ok", "lost", "corrupt"."""
        good, bad, failures = self.good, self.bad, self.failures
        for outcome in outcomes:
            is_failure = outcome in FAILURES
            good, bad = FORGET * good + (not is_failure), FORGET * bad + is_failure
            failures += is_failure
        worst = next((each for each in (*FAILURES, "ok") if each in outcomes), self.outcome)
        return self._replace(
            good=good, bad=bad, failures=failures, audits=self.audits + len(outcomes), outcome=worst, at=now,
            contained="", tries=0,
        )  # fmt: skip

    def contain(self, asked: Any, now: int) -> "Reputation":
        """It did not answer: the same is asked again."""
        return self._replace(outcome="timeout", at=now, contained=json.dumps(asked), tries=self.tries + 1)
