"""batchgen: a YAML manifest of prompts becomes images overnight, through paid image APIs.

`load`, `plan`, `run` and `tasks` are coroutines for programs; docs/library.md describes them. A name is imported when it
is first used, so that `import batchgen` costs nothing.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchgen.core.errors import (
        BatchgenError,
        JobLockedError,
        LedgerError,
        NotRunError,
        Problem,
        ProblemsError,
        StorageError,
        UsageError,
    )
    from batchgen.core.events import (
        AttemptFailed,
        AttemptSent,
        Event,
        Notice,
        Paused,
        PlanMade,
        RunBroken,
        RunEnded,
        RunStarted,
        TaskStored,
    )
    from batchgen.core.protocols import Observer
    from batchgen.core.records import TaskView
    from batchgen.core.types import FailureClass, StopReason, Task, TaskState
    from batchgen.job import RetrySelection
    from batchgen.library import load, plan, run, tasks
    from batchgen.library_types import LoadedJob, PlanResult, RunOptions, RunResult
    from batchgen.pool.stopping import Stop

__version__ = "0.1.0"

__all__ = [
    "AttemptFailed",
    "AttemptSent",
    "BatchgenError",
    "Event",
    "FailureClass",
    "JobLockedError",
    "LedgerError",
    "LoadedJob",
    "NotRunError",
    "Notice",
    "Observer",
    "Paused",
    "PlanMade",
    "PlanResult",
    "Problem",
    "ProblemsError",
    "RetrySelection",
    "RunBroken",
    "RunEnded",
    "RunOptions",
    "RunResult",
    "RunStarted",
    "Stop",
    "StopReason",
    "StorageError",
    "Task",
    "TaskState",
    "TaskStored",
    "TaskView",
    "UsageError",
    "load",
    "plan",
    "run",
    "tasks",
]

_HOMES = {
    "batchgen.core.errors": "BatchgenError JobLockedError LedgerError NotRunError Problem ProblemsError StorageError UsageError",
    "batchgen.core.events": "AttemptFailed AttemptSent Event Notice Paused PlanMade RunBroken RunEnded RunStarted TaskStored",
    "batchgen.core.protocols": "Observer",
    "batchgen.core.records": "TaskView",
    "batchgen.core.types": "FailureClass StopReason Task TaskState",
    "batchgen.job": "RetrySelection",
    "batchgen.library": "load plan run tasks",
    "batchgen.library_types": "LoadedJob PlanResult RunOptions RunResult",
    "batchgen.pool.stopping": "Stop",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}


if not TYPE_CHECKING:  # else every name would seem to be there

    def __getattr__(name: str) -> object:
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_HOME_OF[name]), name)


class _Package(ModuleType):
    """The package, whose `run` is always the coroutine: importing the module `batchgen.run` would put that in its place."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
