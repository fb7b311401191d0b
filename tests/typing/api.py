"""Uses the library as its users do; mypy checks that the public types say what docs/library.md says. It never runs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import assert_type

import batchgen
from batchgen import Event, RunOptions, RunResult, Stop, StopReason


def observe(event: Event) -> None:
    """Every event is one of these."""
    match event:
        case batchgen.PlanMade():
            assert_type(event.plan.to_send, int)
        case batchgen.RunStarted():
            assert_type(event.to_send, int)
        case batchgen.AttemptSent():
            assert_type(event.attempt_id, str)
        case batchgen.TaskStored():
            assert_type(event.stored.image.file, str)
            assert_type(event.stored.image.cost_usd, float | None)
        case batchgen.AttemptFailed():
            assert_type(event.failure.failure_class, batchgen.FailureClass)
            assert_type(event.task_state, batchgen.TaskState)
        case batchgen.Paused():
            assert_type(event.models, tuple[str, ...])
        case batchgen.Notice():
            assert_type(event.message, str)
        case batchgen.RunEnded():
            assert_type(event.failures, Mapping[str, int])
        case batchgen.RunBroken():
            assert_type(event.exit_code, int)


async def use() -> None:
    """Every coroutine, with paths and loaded jobs, options one by one and together."""
    options: RunOptions = {"environ": {}, "output": Path("output"), "only": ["boat*"]}
    job = await batchgen.load("spring.yaml", **options)
    assert_type(job, batchgen.LoadedJob)
    assert_type([task.task_id for task in job.tasks()], list[str])
    assert_type(job.warnings, tuple[batchgen.Problem, ...])

    plan = await batchgen.plan(Path("spring.yaml"), config="batchgen.yaml", budget_usd=3)
    assert_type(plan.changes, Mapping[str, int])
    assert_type(plan.cost_usd, float)

    stop = Stop()
    selection = batchgen.RetrySelection(classes=frozenset({"refused"}))
    task = asyncio.create_task(batchgen.run(job, observer=observe, stop=stop, retry=selection))
    stop.ask()
    stop.ask(StopReason.DEADLINE, "the shop closes")
    stop.cut()
    result = await task
    assert_type(result, RunResult)
    assert_type(result.stopped_by, StopReason | None)
    assert_type(result.report, Path | None)
    assert_type(result.complete, bool)
    async for view in batchgen.tasks(job):
        assert_type(view, batchgen.TaskView)
        assert_type(view.file, str | None)


async def misuse() -> None:
    """What mypy must refuse."""
    await batchgen.run("spring.yaml", consurrency=4)  # type: ignore[call-arg]  # mypy must see it
    await batchgen.run("spring.yaml", budget_usd="3")  # type: ignore[arg-type]  # the same
    await batchgen.run("spring.yaml", observer=print, stop=True)  # type: ignore[arg-type]  # the same


def errors() -> None:
    """The tree of errors."""
    try:
        asyncio.run(use())
    except batchgen.ProblemsError as error:
        assert_type(error.problems, tuple[batchgen.Problem, ...])
    except batchgen.JobLockedError:
        pass
    except batchgen.BatchgenError as error:
        assert_type(error.exit_code, int)
