"""What a plan and a run come to: sums of what was decided and of what happened."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from batchgen.core.money import usd
from batchgen.core.plan import Planned
from batchgen.core.records import Totals
from batchgen.core.types import Change, JsonObject, PriceKind, StopReason

LINES_SHOWN = 200
"""A diff longer than this is summed up: nobody reads more, and memory must not grow with the manifest."""


@dataclass(slots=True)
class Cost:
    """What some tasks cost: sums in USD over the priced ones, and how sure the sums are."""

    expected_usd: float = 0.0
    list_usd: float = 0.0
    estimated: int = 0
    unpriced: int = 0

    def add(self, planned: Planned) -> None:
        """Take one task in."""
        price = planned.task.price
        if price.kind is PriceKind.UNPRICED:
            self.unpriced += 1
            return
        self.estimated += price.kind is PriceKind.ESTIMATE
        self.expected_usd = usd(self.expected_usd + (price.expected_usd or 0.0))
        self.list_usd = usd(self.list_usd + (price.list_usd or 0.0))


@dataclass(slots=True)
class PlanSummary:
    """A plan, summed up. `seconds` is the least time that the rate limits allow, None without a rate.

    `lines` are the first tasks that differ (change, task id, reason); `groups` the cost of what is sent by
    (model, size and quality); `failures` what is left alone, counted by class; `spent_usd` what the job has cost
    so far, unknown outcomes included.
    """

    job: str
    manifest: str
    provider: str
    host: str
    folder: str
    tasks: int = 0
    to_send: int = 0
    changes: Counter[Change] = field(default_factory=Counter)
    cost: Cost = field(default_factory=Cost)
    groups: dict[tuple[str, str], tuple[int, Cost]] = field(default_factory=dict)
    lines: list[tuple[Change, str, str]] = field(default_factory=list)
    images_per_minute: float | None = None
    concurrency: int = 8
    seconds: float | None = None
    budget_usd: float | None = None
    spent_usd: float = 0.0
    notices: list[str] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)

    def add(self, planned: Planned) -> None:
        """Take one task in."""
        self.tasks += 1
        self.changes[planned.change] += 1
        if planned.change is not Change.KEPT:
            self.line(planned.change, planned.task.task_id, planned.reason)
        if planned.change in {Change.FAILED, Change.HELD, Change.MISSING}:
            self.failures[planned.failure_class.value if planned.failure_class else planned.change.value] += 1
        if planned.send:
            self.to_send += 1
            self.cost.add(planned)
            parameters = planned.task.request.parameters
            look = " ".join(str(parameters[key]) for key in ("size", "quality") if key in parameters)
            count, cost = self.groups.get((planned.task.request.model, look), (0, Cost()))
            cost.add(planned)
            self.groups[planned.task.request.model, look] = (count + 1, cost)

    def line(self, change: Change, task_id: str, reason: str = "") -> None:
        """Note a line of the diff, as long as someone would read it."""
        if len(self.lines) < LINES_SHOWN:
            self.lines.append((change, task_id, reason))

    def as_json(self) -> JsonObject:
        """The object that `plan --json` prints."""
        return {
            "job": self.job,
            "manifest": self.manifest,
            "provider": self.provider,
            "host": self.host,
            "tasks": self.tasks,
            "to_send": self.to_send,
            **{change.value: self.changes[change] for change in Change},
            "cost_usd": self.cost.expected_usd,
            "list_usd": self.cost.list_usd,
            "estimated": self.cost.estimated,
            "unpriced": self.cost.unpriced,
            "budget_usd": self.budget_usd,
            "spent_usd": self.spent_usd,
            "images_per_minute": self.images_per_minute,
            "concurrency": self.concurrency,
            "seconds": self.seconds,
            "lines": [[change.value, task_id, reason] for change, task_id, reason in self.lines],
            "notices": list(self.notices),
        }


@dataclass(slots=True)
class RunSummary:
    """How a run ended: the object of `run --json`, and what the last lines on the screen say beside it.

    Money is in USD; `images_per_minute` is what was reached, None when nothing was stored. `totals` are the job's.
    """

    job: str
    run_id: str
    tasks: int = 0
    stored: int = 0
    kept: int = 0
    failed: int = 0
    held: int = 0
    pending: int = 0
    attempts: int = 0
    images_per_minute: float | None = None
    cost_usd: float = 0.0
    job_cost_usd: float = 0.0
    maybe_paid_twice_usd: float = 0.0
    stopped_by: StopReason | None = None
    seconds: float = 0.0
    list_usd: float | None = None
    stop_detail: str = ""
    report: str = ""
    failures: Counter[str] = field(default_factory=Counter)
    totals: Totals = field(default_factory=Totals)

    @property
    def exit_code(self) -> int:
        """0 all stored, 1 some failed or held, 3 stopped with work left; a signal's own code is the command's."""
        if self.stopped_by is not None:
            return 3
        return 1 if self.failed or self.held else 0

    def as_json(self) -> JsonObject:
        """Exactly the fields of the contract, in its order."""
        return {
            "job": self.job,
            "run_id": self.run_id,
            "tasks": self.tasks,
            "stored": self.stored,
            "kept": self.kept,
            "failed": self.failed,
            "held": self.held,
            "pending": self.pending,
            "attempts": self.attempts,
            "images_per_minute": self.images_per_minute,
            "cost_usd": self.cost_usd,
            "job_cost_usd": self.job_cost_usd,
            "maybe_paid_twice_usd": self.maybe_paid_twice_usd,
            "stopped_by": self.stopped_by.value if self.stopped_by else None,
            "seconds": self.seconds,
        }
