"""What the library takes and gives: options by name, and results as frozen records."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypedDict

from batchgen.config.file import load_config
from batchgen.config.values import Config
from batchgen.core.errors import Problem, UsageError
from batchgen.core.limits import FASTEST_PER_MINUTE, SLOWEST_PER_MINUTE
from batchgen.core.summary import PlanSummary, RunSummary
from batchgen.core.types import StopReason, Task
from batchgen.job import Job, Options, RetrySelection
from batchgen.manifest.moments import moment_fault
from batchgen.system.addresses import is_url, url_fault


class RunOptions(TypedDict, total=False):
    """What may be said above manifest and configuration, as the command's flags do; None leaves a value to them.

    `config` is a `batchgen.yaml`, which is looked for nowhere if it is not named. `environ` takes the place of the
    process's environment, keys included. `output` is the folder of all jobs (default: the configuration's, else
    `output`). `budget_usd` is the most that this run may spend, `unpriced_usd` what an image without a price is taken
    to cost. `only` are globs of task ids, `limit` the most tasks to send, `grace_s` the seconds that a stopped run waits
    for what is in flight (default: as long as a request may take). `adopt` takes over a job that another manifest
    began, `retry` orders failed, held and missing tasks again.
    """

    config: str | Path | None
    environ: Mapping[str, str] | None
    output: str | Path | None
    provider: str | None
    base_url: str | None
    images_per_minute: float | None
    concurrency: int | None
    budget_usd: float | None
    unpriced_usd: float | None
    finish_by: str | None
    max_attempts: int | None
    only: Sequence[str]
    limit: int | None
    grace_s: float | None
    engine: str | None
    adopt: bool
    retry: RetrySelection | None


_BOUNDS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "images_per_minute": (SLOWEST_PER_MINUTE, FASTEST_PER_MINUTE),
        "concurrency": (1, 1024),
        "budget_usd": (0, math.inf),
        "unpriced_usd": (0, math.inf),
        "max_attempts": (1, 100),
        "limit": (0, math.inf),
        "grace_s": (0, math.inf),
    }
)


@dataclass(frozen=True, slots=True)
class LoadedJob:
    """A manifest without a mistake. `folder` is where its images go, `count` how many tasks it has."""

    name: str
    path: Path
    folder: Path
    provider: str
    description: str
    count: int
    warnings: tuple[Problem, ...]
    options: RunOptions = field(repr=False)
    _job: Job = field(repr=False)

    def tasks(self) -> Iterator[Task]:
        """Its tasks in manifest order, one by one: memory does not grow with the manifest."""
        return (item for item in self._job.manifest.expand() if isinstance(item, Task))


@dataclass(frozen=True, slots=True)
class PlanResult:
    """What a run would do and cost. Money is in US dollars, None where it is not known.

    `changes` counts the tasks by what the plan says of them (`new`, `changed`, `retry`, `failed`, `held`, `missing`,
    `kept`, `removed`); `lines` are the first tasks that differ, as (change, task id, reason). `estimated` and
    `unpriced` say how many of the tasks to send have no exact price, and none at all. `seconds` is the least time that
    the rate limits allow, None without a rate. `spent_usd` is what the job has cost so far.
    """

    job: str
    provider: str
    host: str
    folder: Path
    tasks: int
    to_send: int
    changes: Mapping[str, int]
    cost_usd: float
    estimated: int
    unpriced: int
    budget_usd: float | None
    spent_usd: float
    seconds: float | None
    notices: tuple[str, ...]
    lines: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended. `tasks` = `stored` (by this run) + `kept` + `failed` + `held` + `pending`.

    `cost_usd` is this run's, `job_cost_usd` the job's over all its runs, both in US dollars. `failures` counts failed
    and held tasks by class. `stopped_by` is None unless the run ended with work left; `stop_detail` says more.
    `report` is the page to look at, None when it could not be written. `exit_code` is what the command would end with.
    """

    job: str
    run_id: str
    folder: Path
    tasks: int
    stored: int
    kept: int
    failed: int
    held: int
    pending: int
    attempts: int
    images_per_minute: float | None
    cost_usd: float
    job_cost_usd: float
    maybe_paid_twice_usd: float
    seconds: float
    failures: Mapping[str, int]
    stopped_by: StopReason | None
    stop_detail: str
    report: Path | None
    exit_code: int

    @property
    def complete(self) -> bool:
        """Whether every task's image is there."""
        return self.stored + self.kept == self.tasks


def settled(options: RunOptions) -> Options:
    """Options as the wiring takes them. Raises `TypeError` for a name that there is not, `UsageError`, `ProblemsError`."""
    if unknown := options.keys() - RunOptions.__annotations__.keys():
        raise TypeError(f"there is no option {', '.join(sorted(unknown))}")
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    for name in given.keys() & _BOUNDS.keys():
        low, high = _BOUNDS[name]
        if not low <= given[name] <= high:
            span = f"at least {low:g}" if high == math.inf else f"from {low:g} to {high:,.0f}"
            raise UsageError(f"{name} is {given[name]!r}, but must be {span}")
    if fault := moment_fault(given.get("finish_by", "00:00")):
        raise UsageError(f"finish_by is {given['finish_by']!r}: it {fault} (write 06:30, or 2026-11-24T06:30)")
    _check_globs("only", given.get("only", ()))
    if isinstance(retry := given.get("retry"), RetrySelection):
        _check_globs("retry.tasks", retry.tasks)
    named = given.pop("config", None)
    path = None if named is None else Path(named)
    config = Config() if path is None else load_config(path, Path())
    output = given.get("output")
    if isinstance(output, str) and is_url(output):
        if wrong := url_fault(output):
            raise UsageError(f"the output {wrong}")
        given["store"] = given.pop("output").rstrip("/")
    for name, make in (("output", Path), ("only", tuple)):
        if name in given:
            given[name] = make(given[name])
    return Options(config, given.pop("environ", os.environ), path, **given)


def _check_globs(name: str, globs: Sequence[str]) -> None:
    """A text alone would be taken for one glob a letter, and its `*` would choose every task. Raises `UsageError`."""
    if isinstance(globs, str):
        raise UsageError(f"{name} is {globs!r}, but must be a list (write [{globs!r}])")


def plan_result(summary: PlanSummary) -> PlanResult:
    """A plan for programs."""
    return PlanResult(
        job=summary.job,
        provider=summary.provider,
        host=summary.host,
        folder=Path(summary.folder),
        tasks=summary.tasks,
        to_send=summary.to_send,
        changes=MappingProxyType({change.value: count for change, count in summary.changes.items() if count}),
        cost_usd=summary.cost.expected_usd,
        estimated=summary.cost.estimated,
        unpriced=summary.cost.unpriced,
        budget_usd=summary.budget_usd,
        spent_usd=summary.spent_usd,
        seconds=summary.seconds,
        notices=tuple(summary.notices),
        lines=tuple(
            (change.value, task.task.task_id, task.reason)
            for change, tasks in summary.shown.items()
            for task in tasks
        ),
    )


def run_result(summary: RunSummary, options: Options) -> RunResult:
    """The end of a run for programs."""
    told: dict[str, Any] = {**summary.as_json(), "stopped_by": summary.stopped_by}
    return RunResult(
        **told,
        folder=options.folder / summary.job,
        failures=MappingProxyType(dict(summary.failures)),
        stop_detail=summary.stop_detail,
        report=Path(summary.report) if summary.report else None,
        exit_code=summary.exit_code,
    )
