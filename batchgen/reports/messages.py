"""What notifications say: events of one run in, short texts for people out. No clock, no network, no prompt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from batchgen.core.events import Event, RunBroken, RunEnded, RunStarted
from batchgen.core.money import usd
from batchgen.core.plain import one_line, safe_text
from batchgen.core.types import StopReason
from batchgen.reports.settings import Kind
from batchgen.reports.summary import STOPS
from batchgen.reports.tally import advice
from batchgen.reports.text import counted, duration_text, usd_text
from batchgen.reports.tracker import Tracker

BUDGET_SHARE = 0.8
"""At four fifths there is still time to raise the budget before the run stops."""

_OWN_DETAILS = frozenset(
    {StopReason.BUDGET, StopReason.DEADLINE, StopReason.LATER, StopReason.SIGNAL, StopReason.STORAGE}
)
"""Reasons whose detail is in batchgen's own words; the others' may quote a provider, who may quote a prompt."""

_WHAT_TO_DO = {
    StopReason.BUDGET: "Raise `budget_usd` and run again to make the rest.",
    StopReason.DEADLINE: "Run again to make the rest.",
    StopReason.LATER: "Run again at that time to make the rest.",
    StopReason.AUTH: "Check the provider's key and the account's access, then run again.",
    StopReason.BILLING: "Top up the account, then run again.",
    StopReason.BREAKER: "See in the report what failed, and run again once the provider works.",
    StopReason.SIGNAL: "Run again to make the rest.",
    StopReason.STORAGE: "Mend the disk, then run again; what is paid for is kept.",
}
_BROKEN = {
    2: "The manifest, the configuration or the command is wrong; nothing was sent. "
    "`batchgen validate MANIFEST` says what to mend.",
    3: "It broke off. Its log says why; run it again to go on, what is paid for is kept.",
    4: "Another run holds the job; nothing was sent. If that one hangs, end it.",
}


@dataclass(frozen=True, slots=True)
class Message:
    """A notification. It is for whoever wants one of its `kinds` told."""

    kinds: frozenset[Kind]
    title: str
    body: str


@dataclass(slots=True)
class Told:
    """What people were told of one run: each kind once. Moments are seconds of a clock that only goes forward."""

    tracker: Tracker = field(default_factory=Tracker)
    job: str = ""
    running: bool = False
    moved_s: float = 0.0
    _said: set[Kind] = field(default_factory=set)

    def take(self, event: Event, now_s: float) -> Message | None:
        """Take one event in; what is to be told of it."""
        done = self.tracker.done, self.tracker.retries
        self.tracker.take(event, now_s)
        match event:
            case RunStarted():
                self.job, self.running, self.moved_s = safe_text(event.job), True, now_s
            case RunEnded():
                self.running = False
                return end_message(event)
            case RunBroken():
                self.running = False
                return broken_message(event)
            case _ if done != (self.tracker.done, self.tracker.retries):
                self.moved_s = now_s
        return self._budget()

    def stalled(self, now_s: float, after_s: float) -> Message | None:
        """What to tell when nothing was stored, failed or tried again for so long, while work is left."""
        since_s = now_s - self.moved_s
        if not self.running or self.tracker.done >= self.tracker.total or since_s < after_s:
            return None
        body = (
            f"No image came and no request failed for {duration_text(since_s)}, while {self._standing()}. The provider "
            "may be slow, or the network gone. A first SIGTERM ends the run and loses nothing; `batchgen status` "
            "tells more."
        )
        return Message(frozenset({Kind.STALLED}), f"{self.job}: stalled", body)

    def _budget(self) -> Message | None:
        budget_usd, cost_usd = self.tracker.budget_usd, self.tracker.cost_usd
        if Kind.BUDGET in self._said or not budget_usd or cost_usd < usd(BUDGET_SHARE * budget_usd):
            return None
        self._said.add(Kind.BUDGET)
        body = (
            f"{usd_text(cost_usd)} of the {usd_text(budget_usd)} that this run may spend are spent, while "
            f"{self._standing()}. It stops in time; raise `budget_usd` and run again if more is wanted."
        )
        title = f"{self.job}: {BUDGET_SHARE:.0%} of the budget are spent"
        return Message(frozenset({Kind.BUDGET}), title, body)

    def _standing(self) -> str:
        tracker = self.tracker
        return f"{tracker.stored:,} of {counted(tracker.total, 'image')} are stored"


def end_message(event: RunEnded) -> Message:
    """How a run ended. One that stopped with failures is for those who want either told."""
    said = event.summary
    stop = said.get("stopped_by")
    reason = StopReason(str(stop)) if stop else None
    failed = _number(said, "failed") + _number(said, "held")
    kinds = {Kind.STOPPED} if reason else set()
    if reason is StopReason.BUDGET:
        kinds.add(Kind.BUDGET)
    if failed:
        kinds.add(Kind.FAILED)
    lines = [_counts(event), *_failures(event)]
    if reason:
        detail = f": {safe_text(event.stop_detail)}" if reason in _OWN_DETAILS and event.stop_detail else ""
        lines += [f"Stopped because {STOPS[reason]}{detail}.", _WHAT_TO_DO[reason]]
    if event.report:
        lines.append(f"Report: {safe_text(event.report)}")
    job = safe_text(str(said.get("job", "")))
    how = "stopped early" if reason else "finished with failures" if failed else "finished"
    return Message(frozenset(kinds or {Kind.FINISHED}), f"{job}: {how}", "\n".join(lines))


def broken_message(event: RunBroken) -> Message:
    """A run without an end. Only the disk's errors are quoted: the others' may repeat what is in the manifest."""
    lines = [_BROKEN.get(event.exit_code, _BROKEN[3])]
    if event.error in {"StorageError", "LedgerError", "LedgerDamagedError"}:
        lines.append(one_line(event.message))
    how = "broke off" if event.exit_code == 3 else "did not run"
    return Message(frozenset({Kind.STOPPED}), f"{safe_text(event.job)}: {how}", "\n".join(lines))


def _counts(event: RunEnded) -> str:
    said = event.summary
    there = _number(said, "stored") + _number(said, "kept")
    facts = [f"{there:,} of {counted(_number(said, 'tasks'), 'image')} are there"]
    facts += [
        f"{count:,} {name}" for name in ("stored", "kept", "failed", "held") if (count := _number(said, name))
    ]
    if pending := _number(said, "pending"):
        facts.append(f"{pending:,} left")
    cost_usd, seconds = said.get("cost_usd"), said.get("seconds")
    money = f" {usd_text(cost_usd)}" if isinstance(cost_usd, int | float) else ""
    took = f" in {duration_text(seconds)}" if isinstance(seconds, int | float) else ""
    return f"{facts[0]} ({', '.join(facts[1:]) or 'nothing to make'});{money}{took}."


def _failures(event: RunEnded) -> list[str]:
    most = sorted(event.failures.items(), key=lambda one: (-one[1], one[0]))
    return [f"{count:,} {safe_text(name)}: {advice(name).writer}" for name, count in most]


def _number(said: Mapping[str, object], name: str) -> int:
    value = said.get(name, 0)
    return value if isinstance(value, int) else 0
