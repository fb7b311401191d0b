"""Where a job's tasks stand, counted in one reading; failures kept as far as someone would read them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from anyio.lowlevel import checkpoint

from batchgen.core.advice import ADVICE, Advice
from batchgen.core.plain import safe_text
from batchgen.core.records import TaskView
from batchgen.core.types import TaskState
from batchgen.reports.text import shortened

ROWS_KEPT = 2000
"""Failures, and waiting tasks, that are kept to be shown; all of them are counted."""

_PROMPT_KEPT = 240
LOST = "missing"
"""What stands for a class where an image was stored, but its file is gone or was changed."""

_LOST_FILE = Advice(
    "The image's file is gone or was changed",
    "Ask the operator to put it back, or to order it again.",
    "Put the file back from a backup; `batchgen retry --class missing` buys it again.",
)
_ADVICE = {kind.value: advice for kind, advice in ADVICE.items()} | {LOST: _LOST_FILE}
KNOWN_CLASSES = frozenset(_ADVICE)
"""The names that `batchgen retry --class` takes."""

_WITHOUT_CLASS = Advice(
    "No class on record",
    "Ask the operator to look at it.",
    "`batchgen status --attempts` shows what happened; `batchgen retry` orders it again.",
)


@dataclass(frozen=True, slots=True)
class OpenTask:
    """A task without an image, safe to show. `prompt` is its beginning; `not_before` is UTC."""

    task_id: str
    state: str
    failure_class: str
    reason: str
    attempts: int
    prompt: str
    not_before: str | None


@dataclass(slots=True)
class Tally:
    """Counts of tasks by state, and of the failed and held ones by class; the first of them as rows."""

    states: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    troubled: list[OpenTask] = field(default_factory=list)
    waiting: list[OpenTask] = field(default_factory=list)
    lost: int = 0

    @classmethod
    def of(cls, states: Mapping[tuple[str, str], int], views: Iterable[TaskView] = ()) -> Tally:
        """Counts as `Ledger.states` tells them, and the first tasks without an image as rows, as `open_tasks` does."""
        tally = cls()
        for (state, failure_class), count in states.items():
            tally.states[state] += count
            lost = state == TaskState.STORED and failure_class == LOST
            tally.lost += count if lost else 0
            if lost or state in (TaskState.FAILED, TaskState.HELD):
                tally.classes[failure_class] += count
        for view in views:
            tally._keep(view)
        return tally

    @property
    def total(self) -> int:
        """All tasks of the manifest."""
        return self.states.total()

    @property
    def stored(self) -> int:
        """Tasks with their image."""
        return self.states[TaskState.STORED] - self.lost

    @property
    def troubles(self) -> int:
        """Tasks that wait for a person: failed, held, or their file lost."""
        return self.states[TaskState.FAILED] + self.states[TaskState.HELD] + self.lost

    @property
    def waits(self) -> int:
        """Tasks that the next run goes on with."""
        return self.total - self.stored - self.troubles

    def add(self, view: TaskView) -> None:
        """Take one task in."""
        self.states[view.state] += 1
        if view.state == TaskState.STORED and not view.lost:
            return
        self.lost += view.lost
        if _troubled(view):
            self.classes[_class(view)] += 1
        self._keep(view)

    def _keep(self, view: TaskView) -> None:
        rows = self.troubled if _troubled(view) else self.waiting
        if len(rows) < ROWS_KEPT:
            rows.append(_open_task(view))

    def by_class(self) -> Iterator[tuple[str, int, Advice, list[OpenTask]]]:
        """Failed and held tasks, the largest class first: class, how many, what to do, the rows that were kept."""
        for name, count in self.classes.most_common():
            yield name, count, advice(name), [row for row in self.troubled if row.failure_class == name]


def advice(failure_class: str) -> Advice:
    """What to do about a class, by its name; there is an answer for a row without one too."""
    return _ADVICE.get(failure_class, _WITHOUT_CLASS)


def _troubled(view: TaskView) -> bool:
    return view.lost or view.state in (TaskState.FAILED, TaskState.HELD)


def _class(view: TaskView) -> str:
    return LOST if view.lost else view.failure_class or ""


def _open_task(view: TaskView) -> OpenTask:
    return OpenTask(
        task_id=safe_text(view.task_id),
        state=view.state,
        failure_class=_class(view),
        reason=safe_text(view.reason or ""),
        attempts=view.attempts,
        prompt=shortened(safe_text(view.request.prompt), _PROMPT_KEPT),
        not_before=view.not_before,
    )


async def take_tally(batches: AsyncIterator[Sequence[TaskView]]) -> Tally:
    """Read all tasks once."""
    tally = Tally()
    async for batch in batches:
        for view in batch:
            tally.add(view)
        await checkpoint()
    return tally
