"""Staged tasks -> plan: what is known of every task, and what a run would do with it."""

from __future__ import annotations

import fnmatch
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from batchgen.core.differences import Difference
from batchgen.core.errors import PlanChangedError, UsageError
from batchgen.core.plan import Known, Planned, alike, decide, removed, renew
from batchgen.core.protocols import ImageStore, Ledger
from batchgen.core.records import Dearer
from batchgen.core.summary import LINES_SHOWN, PlanSummary
from batchgen.core.types import Change, PriceKind, StoredImage
from batchgen.core.values import replace
from batchgen.hints import growth, unmatched
from batchgen.job import Job
from batchgen.reports.text import usd_text
from batchgen.rooms import proxy_for
from batchgen.staging import CHANGED
from batchgen.system.clock import moment_of

OLD_DAYS = 30
"""A list of models that is older is worth a reminder: makers give three months' notice, and prices change at any time."""


@dataclass(slots=True)
class Survey:
    """Decides task by task, and sums up. `selected` counts tasks that `--only` and `--limit` leave in."""

    job: Job
    ledger: Ledger
    store: ImageStore
    summary: PlanSummary
    models: dict[str, int] = field(default_factory=dict)
    unpriced: set[str] = field(default_factory=set)
    dearer: Sequence[Dearer] = ()
    hints: list[str] = field(default_factory=list)
    unmatched: dict[str, None] = field(init=False)

    def __post_init__(self) -> None:
        """No glob has met a task yet."""
        self.unmatched = dict.fromkeys(self.job.options.only)

    async def pages(self) -> AsyncIterator[Sequence[Planned]]:
        """The plan in manifest order, page by page; summed up in `summary` as it goes."""
        self.dearer = await self.ledger.dearer()
        self.hints += await growth(self.job.manifest, self.ledger)
        async for page in self.ledger.compare():
            damage = await self.store.damaged([known.image for known in page if known.image is not None])
            ready = [known if known.spare is None else await self._restorable(known) for known in page]
            yield self._take([self._decide(known, damage) for known in ready])

    async def left(self) -> AsyncIterator[Sequence[Planned]]:
        """What left the manifest, page by page."""
        if self.whole:
            async for ids in self.ledger.left():
                yield [removed(task_id) for task_id in ids]

    async def _restorable(self, known: Known) -> Known:
        """With a spare image that can be moved, or none."""
        while known.spare is not None and not await self.store.restorable(known.spare, known.task):
            known = replace(known, spare=await self.ledger.spare(known.task))
        return known

    def _decide(self, known: Known, damage: Mapping[str, str]) -> Planned:
        planned = decide(known, damage.get(_id(known.image)), self.job.retry.on_unknown)
        if planned.settled:
            return planned
        planned = self._asked_elsewhere(known, planned)
        selection = self.job.options.retry
        if selection is None or not matches(known.task.task_id, selection.tasks):
            return planned
        if selection.classes and _class(planned) not in selection.classes:
            return planned
        return renew(planned)

    def _asked_elsewhere(self, known: Known, planned: Planned) -> Planned:
        """A changed task whose earlier request went to another provider says so, too."""
        before, now = known.asked.provider if known.asked else None, self.job.settings.name
        if planned.change is not Change.CHANGED or before in {None, now}:
            return planned
        differing = (*planned.differences, Difference("provider", before, now))
        return replace(planned, differences=differing)

    def _take(self, planned: Sequence[Planned]) -> Sequence[Planned]:
        """Count what `--only` and `--limit` leave in; the count decides where the limit is."""
        chosen = planned if self.whole else list(self._chosen(planned))
        self.summary.add_all(chosen)
        for one, count in alike(chosen):
            if one.send:
                model = one.task.request.model
                self.models[model] = self.models.get(model, 0) + count
                if one.task.price.kind is PriceKind.UNPRICED:
                    self.unpriced.add(model)
        return chosen

    def _chosen(self, planned: Sequence[Planned]) -> Iterator[Planned]:
        options, sent = self.job.options, self.summary.to_send
        for one in planned:
            for glob in [glob for glob in self.unmatched if matches(one.task.task_id, (glob,))]:
                del self.unmatched[glob]
            if not matches(one.task.task_id, options.only):
                continue
            if one.send and options.limit is not None and sent >= options.limit:
                continue
            sent += one.send
            yield one

    @property
    def whole(self) -> bool:
        """Whether every task of the manifest counts: only then can one be called removed."""
        return not self.job.options.only and self.job.options.limit is None

    async def finish(self) -> PlanSummary:
        """Add what is known once every page was read: what left the manifest, limits, time, notices."""
        summary, job = self.summary, self.job
        if self.whole:
            count, ids = await self.ledger.removed(limit=LINES_SHOWN)
            summary.changes[Change.REMOVED] = count
            summary.shown[Change.REMOVED] = [removed(task_id) for task_id in ids]
        limits, notices = job.pool_limits(self.models)
        summary.images_per_minute, summary.concurrency = limits.images_per_minute, limits.concurrency
        summary.seconds = limits.least_seconds(self.models)
        summary.budget_usd = job.limits.budget_usd
        summary.spent_usd = (await self.ledger.totals()).spent_usd
        summary.notices += [*notices, *await self._warnings()]
        return summary

    async def _warnings(self) -> list[str]:
        summary = self.summary
        warnings = []
        facts = await self.ledger.facts()
        if facts and facts["host"] != summary.host and not self.job.embedded:
            warnings.append(f"earlier images came from {facts['host']}, this run asks {summary.host}")
        if proxy := proxy_for(self.job):
            warnings.append(f"requests and the key go through the proxy {proxy}, as the environment says")
        warnings += self._price_notices()
        run_usd = self.job.options.budget_usd
        if run_usd is not None and summary.cost.expected_usd > run_usd:
            cost = f"${summary.cost.expected_usd:.2f}"
            warnings.append(f"the plan costs {cost}, more than --budget-usd {run_usd:g}; the run stops in time")
        warnings += [*self.hints, *await unmatched(self.unmatched, self.ledger)]
        if fault := self._price_fault():
            warnings.append(f"a run would refuse this: {fault}")
        return warnings

    def _price_notices(self) -> Iterator[str]:
        for one in self.dearer:
            if one.model in self.models:
                yield (
                    f"{one.model} became dearer since this job was last planned: {one.task_id} is expected to cost "
                    f"{usd_text(one.now_usd)}, then {usd_text(one.before_usd)}"
                )
        listing = self.job.manifest.setting.listing
        if listing is not None:
            days = (self.job.options.clock() - moment_of(listing.read)).days
            if days > OLD_DAYS:
                again = f"`batchgen models --refresh --provider {listing.provider}` reads it again"
                yield f"the list of {listing.provider}'s models and prices is {days} days old; {again}"

    def check_prices(self) -> None:
        """With a budget every task needs a price. Raises `UsageError`; to be called before a page is queued."""
        if fault := self._price_fault():
            raise UsageError(f"{fault}; nothing was sent")

    def check_agreed(self) -> None:
        """No more is sent than was agreed to, whatever happened to the job meanwhile. Raises `PlanChangedError`."""
        agreed = self.job.options.agreed
        if agreed is not None and self.summary.to_send > agreed.to_send:
            raise PlanChangedError(f"{self.job.folder}: the job {CHANGED}")

    def _price_fault(self) -> str:
        options = self.job.options
        purse = options.night.purse if options.night else None
        budgets = {self.job.limits.budget_usd, options.budget_usd, purse.limit_usd if purse else None} - {None}
        if not budgets or not self.unpriced:
            return ""
        models = ", ".join(sorted(self.unpriced))
        return (
            f"no price is known for {models}, so no budget can hold: "
            "pass --allow-unpriced USD_EACH, or set price_usd for the model in batchgen.yaml"
        )


def _id(image: StoredImage | None) -> str:
    return "" if image is None else image.attempt_id


def _class(planned: Planned) -> str:
    """The class that `retry --class` compares: a lost or altered image has its change's name."""
    return planned.failure_class.value if planned.failure_class else planned.change.value


def matches(task_id: str, globs: Sequence[str]) -> bool:
    """Whether a task is one of those that `--only` or `--task` name; all are, where they name none."""
    return not globs or any(fnmatch.fnmatchcase(task_id, glob) for glob in globs)
