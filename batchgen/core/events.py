"""What observers are told: one frozen record an event, the same facts for the screen and for `events.jsonl`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from batchgen.core.summary import PlanSummary, exit_code_of
from batchgen.core.types import Failure, Stored, Task, TaskState


@dataclass(frozen=True, slots=True)
class PlanMade:
    """What a run is about to do and to spend, right before `RunStarted`."""

    plan: PlanSummary


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run begins: `to_send` tasks are queued, `kept` are there already. Money in USD, None when not known."""

    job: str
    run_id: str
    provider: str
    tasks: int
    to_send: int
    kept: int
    concurrency: int
    images_per_minute: float | None
    budget_usd: float | None
    expected_usd: float | None


@dataclass(frozen=True, slots=True)
class AttemptSent:
    """A request is about to go out; it is on the ledger already. Key and mark tell one that is sent again from a new one."""

    task: Task
    attempt_id: str
    number: int
    idempotency_key: str = ""
    possible_duplicate: bool = False


@dataclass(frozen=True, slots=True)
class TaskStored:
    """An image is durable under its final name."""

    task: Task
    attempt_id: str
    stored: Stored
    seconds: float


@dataclass(frozen=True, slots=True)
class AttemptFailed:
    """An attempt failed; the task is now `task_state`, and not tried before `not_before` (UTC) if that is set."""

    task: Task
    attempt_id: str
    failure: Failure
    task_state: TaskState
    not_before: str | None


@dataclass(frozen=True, slots=True)
class Paused:
    """Requests of these models pause, because the provider asked for it or failed too often."""

    models: tuple[str, ...]
    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a person should know that fails nothing."""

    message: str


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run is over; `summary` is the object that `run --json` prints.

    `failures` counts failed and held tasks by class, `stop_detail` says more of why work is left, `report` is the page's
    path, "" where none could be written.
    """

    summary: Mapping[str, object]
    failures: Mapping[str, int] = field(default_factory=dict)
    stop_detail: str = ""
    report: str = ""

    @property
    def exit_code(self) -> int:
        """What a command that ran this job alone ends with; a signal's own code is the command's."""
        said = self.summary
        return exit_code_of(
            stopped=bool(said.get("stopped_by")), troubled=bool(said.get("failed") or said.get("held"))
        )


@dataclass(frozen=True, slots=True)
class RunBroken:
    """A run could not begin, or broke off before it could sum itself up; `RunEnded` does not follow.

    `job` is the job's name, or its manifest's where that could not be read. `error` is the name of the error's class,
    `message` its text, which may quote the manifest.
    """

    job: str
    exit_code: int
    error: str
    message: str


Event = (
    PlanMade | RunStarted | AttemptSent | TaskStored | AttemptFailed | Paused | Notice | RunEnded | RunBroken
)
