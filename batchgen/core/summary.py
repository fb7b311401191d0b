"""What a plan and a run come to: sums of what was decided and of what happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from batchgen.core.money import usd
from batchgen.core.plan import Planned, alike
from batchgen.core.records import Totals
from batchgen.core.types import Change, JsonObject, JsonValue, PriceKind, StopReason

LINES_SHOWN = 12
"""Tasks of each kind that a plan shows: nobody reads more, and memory must not grow with the manifest."""

GROUPS_SHOWN = 30
"""Kinds of images that have a cost each; the others of a widely varied job are summed up."""

OTHERS = "others"
"""The group of those."""


@dataclass(slots=True)
class Cost:
    """What some tasks cost: sums in USD over the priced ones, and how sure the sums are.

    `expected_usd` is all of it, `estimated_usd` the part of the `estimated` ones of the `images`, whose prices are no
    more than that. The `unpriced` ones are in no sum.
    """

    images: int = 0
    expected_usd: float = 0.0
    list_usd: float = 0.0
    estimated_usd: float = 0.0
    estimated: int = 0
    unpriced: int = 0

    def add(self, planned: Planned, count: int = 1) -> None:
        """Take so many tasks like this one in."""
        self.images += count
        price = planned.task.price
        if price.kind is PriceKind.UNPRICED:
            self.unpriced += count
            return
        expected_usd = count * (price.expected_usd or 0.0)
        if price.kind is PriceKind.ESTIMATE:
            self.estimated += count
            self.estimated_usd = usd(self.estimated_usd + expected_usd)
        self.expected_usd = usd(self.expected_usd + expected_usd)
        self.list_usd = usd(self.list_usd + count * (price.list_usd or 0.0))

    def as_json(self) -> dict[str, JsonValue]:
        """Its fields; `exact_usd` is what is surely expected."""
        return {
            "images": self.images,
            "cost_usd": self.expected_usd,
            "exact_usd": usd(self.expected_usd - self.estimated_usd),
            "estimated_usd": self.estimated_usd,
            "list_usd": self.list_usd,
            "estimated": self.estimated,
            "unpriced": self.unpriced,
        }


def in_all(costs: Iterable[Cost]) -> Cost:
    """Several costs as one."""
    whole = Cost()
    for cost in costs:
        whole.images += cost.images
        whole.estimated += cost.estimated
        whole.unpriced += cost.unpriced
        whole.expected_usd = usd(whole.expected_usd + cost.expected_usd)
        whole.estimated_usd = usd(whole.estimated_usd + cost.estimated_usd)
        whole.list_usd = usd(whole.list_usd + cost.list_usd)
    return whole


@dataclass(slots=True)
class PlanSummary:
    """A plan, summed up. `seconds` is the least time that the rate limits allow, None without a rate.

    `shown` are the first tasks of each kind that differ; `fields` counts in how many changed tasks which field differs. What is sent is summed up by its change in `costs` and by
    (model, size and quality) in `groups`. `failures` is what is left alone, counted by class; `spent_usd` what the job
    has cost so far, unknown outcomes included. `seal` is a hash of all that the manifest asks for at its prices.
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
    costs: dict[Change, Cost] = field(default_factory=dict)
    groups: dict[tuple[str, str], Cost] = field(default_factory=dict)
    shown: dict[Change, list[Planned]] = field(default_factory=dict)
    fields: Counter[str] = field(default_factory=Counter)
    moved_back: int = 0
    images_per_minute: float | None = None
    concurrency: int = 8
    seconds: float | None = None
    budget_usd: float | None = None
    spent_usd: float = 0.0
    notices: list[str] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    seal: str = ""

    def add(self, planned: Planned) -> None:
        """Take one task in."""
        self.add_all([planned])

    def add_all(self, planned: Sequence[Planned]) -> None:
        """Take a page of tasks in."""
        for one, count in alike(planned):
            self._count(one, count)
        for one in planned:
            if one.change is not Change.KEPT:
                shown = self.shown.setdefault(one.change, [])
                if len(shown) < LINES_SHOWN:
                    shown.append(one)
                self.fields.update([difference.field for difference in one.differences])

    def _count(self, one: Planned, count: int) -> None:
        self.tasks += count
        self.changes[one.change] += count
        self.moved_back += count if one.restore is not None else 0
        if one.change in {Change.FAILED, Change.HELD, Change.MISSING}:
            self.failures[one.failure_class.value if one.failure_class else one.change.value] += count
        if one.send:
            self._buy(one, count)

    def _buy(self, planned: Planned, count: int) -> None:
        self.to_send += count
        self.cost.add(planned, count)
        self.costs.setdefault(planned.change, Cost()).add(planned, count)
        parameters = planned.task.request.parameters
        look = " ".join(str(parameters[key]) for key in ("size", "quality") if key in parameters)
        group = (planned.task.request.model, look)
        if group not in self.groups and len(self.groups) >= GROUPS_SHOWN:
            group = (OTHERS, "")
        self.groups.setdefault(group, Cost()).add(planned, count)

    def as_json(self) -> JsonObject:
        """The object that `plan --json` prints."""
        return {
            "job": self.job,
            "manifest": self.manifest,
            "provider": self.provider,
            "host": self.host,
            "folder": self.folder,
            "tasks": self.tasks,
            "to_send": self.to_send,
            **{change.value: self.changes[change] for change in Change},
            "moved_back": self.moved_back,
            **self.cost.as_json(),
            "by_change": {change.value: cost.as_json() for change, cost in self.costs.items()},
            "by_kind": [
                {"model": model, "look": look, **cost.as_json()} for (model, look), cost in self.groups.items()
            ],
            "changed_fields": dict(self.fields),
            "classes": dict(self.failures),
            "budget_usd": self.budget_usd,
            "spent_usd": self.spent_usd,
            "images_per_minute": self.images_per_minute,
            "concurrency": self.concurrency,
            "seconds": self.seconds,
            "notices": list(self.notices),
        }


WORST_FIRST = (2, 3, 1, 4, 0)
"""Exit codes: nothing was sent, stopped early, some failed, held by another run, all stored."""


def exit_code_of(*, stopped: bool, troubled: bool) -> int:
    """What a run ends with that could begin: it stopped with work left, or some of its tasks failed or are held."""
    return 3 if stopped else 1 if troubled else 0


def worst(codes: Iterable[int]) -> int:
    """The exit code of several jobs."""
    return min(codes, key=WORST_FIRST.index, default=0)


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
        return exit_code_of(stopped=self.stopped_by is not None, troubled=bool(self.failed or self.held))

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
