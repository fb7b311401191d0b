"""The library: `import batchgen` in a program of one's own, in a loop that is running already."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Unpack

import anyio
import pytest

import batchgen
from tests.support.cli import WAIT_S, Desk, together
from tests.support.paid import IMAGE_USD, Rule

pytest_plugins = ("tests.support.fixtures",)
PAGE = (Path(__file__).parents[1] / "docs" / "library.md").read_text("utf-8")
BOATS = [{"id": "boat", "prompt": "A boat.", "images": 3}]

PUBLIC = """
AttemptFailed AttemptSent BatchgenError Event FailureClass JobLockedError LedgerError LoadedJob NotRunError Notice Observer
Paused PlanMade PlanResult Problem ProblemsError RetrySelection RunBroken RunEnded RunOptions RunResult RunStarted Stop StopReason
StorageError Task TaskState TaskStored TaskView UsageError load plan run tasks
"""


def options(desk: Desk, **more: Unpack[batchgen.RunOptions]) -> batchgen.RunOptions:
    """The desk's environment and folder, and more."""
    return {"environ": desk.environ, "output": desk.folder / "output", **more}


def test_the_public_names_are_pinned() -> None:
    """`__all__` is exactly what docs/library.md promises; each name is there, whatever was imported before it."""
    assert PUBLIC.split() == batchgen.__all__
    code = "import batchgen.run, batchgen.cli.running, batchgen; print(batchgen.run.__name__, batchgen.load.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "run load" == done.stdout.strip()
    for name in batchgen.__all__:
        assert getattr(batchgen, name).__doc__ or name in {"Event", "Observer"}
        assert name in dir(batchgen)
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        _ = batchgen.nope  # type: ignore[attr-defined]  # that is the mistake


def test_the_import_is_quick() -> None:
    """`import batchgen` waits for nothing, and configures nothing."""
    code = "import batchgen, sys, logging; print(logging.getLogger().handlers, logging.getLogger('batchgen').level)"
    command = [sys.executable, "-X", "importtime", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}

    assert set() == imported & {"aiohttp", "pydantic", "anyio", "yaml", "sqlite3", "click", "rich", "asyncio"}
    assert "[] 0" == done.stdout.strip()


def test_every_example_of_the_page_runs(tmp_path: Path) -> None:
    """Each Python example of docs/library.md is a program that works as it stands."""
    (manifest,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    examples = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(examples) >= 4
    together(partial(_example, tmp_path / str(n), manifest, code) for n, code in enumerate(examples))


def _example(folder: Path, manifest: str, code: str) -> None:
    folder.mkdir()
    (folder / "spring.yaml").write_text(manifest)
    command = [sys.executable, "-W", "error", "-c", code]
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr
    assert (folder / "output" / "spring" / "index.html").exists()


@pytest.mark.anyio
async def test_load_plan_run_and_tasks(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    """A job is checked, planned and made; the numbers are the bill's, nothing is printed, and no signal handler is set."""
    manifest = desk.manifest(BOATS)
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

    job = await batchgen.load(manifest, **options(desk))
    plan = await batchgen.plan(job)
    during = []
    result = await batchgen.run(job, observer=lambda _: during.append(signal.getsignal(signal.SIGINT)))
    views = [view async for view in batchgen.tasks(job)]

    assert ("job", 3, "cometapi", ()) == (job.name, job.count, job.provider, job.warnings)
    assert ["boat--01", "boat--02", "boat--03"] == [task.task_id for task in job.tasks()]
    assert (3, {"new": 3}, desk.job) == (plan.to_send, plan.changes, plan.folder)
    assert (3, 0, True, None, 0) == (
        result.stored,
        result.failed,
        result.complete,
        result.stopped_by,
        result.exit_code,
    )
    assert pytest.approx(3 * IMAGE_USD) == result.cost_usd
    assert result.report == desk.job / "index.html"
    assert desk.images() == {view.task_id: (result.folder / str(view.file)).read_bytes() for view in views}
    assert before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
    assert {before[0]} == set(during)
    assert ("", "") == capfd.readouterr()


@pytest.mark.anyio
async def test_mistakes_are_errors_with_their_places(desk: Desk) -> None:
    """All mistakes of a manifest come in one error; wrong options are told by their names; nothing is sent."""
    manifest = desk.manifest([{"id": "a b", "prompt": ""}], limits={"concurrency": 0})

    with pytest.raises(batchgen.ProblemsError) as caught:
        await batchgen.run(manifest, **options(desk))
    assert 3 == len(caught.value.problems)
    assert 2 == caught.value.exit_code

    manifest = desk.manifest(BOATS)
    with pytest.raises(batchgen.UsageError, match="concurrency is 0, but must be from 1 to 1,024"):
        await batchgen.run(manifest, **options(desk, concurrency=0))
    with pytest.raises(
        batchgen.UsageError, match=r"only is 'boat-\*', but must be a list \(write \['boat-\*'\]\)"
    ):
        await batchgen.run(manifest, **options(desk, only="boat-*"))
    every: tuple[str, ...] = "*"  # type: ignore[assignment]  # that is the mistake
    with pytest.raises(batchgen.UsageError, match=r"retry\.tasks is '\*'"):
        await batchgen.run(manifest, **options(desk, retry=batchgen.RetrySelection(tasks=every)))
    with pytest.raises(batchgen.UsageError, match="finish_by is '25:00'"):
        await batchgen.plan(manifest, **options(desk, finish_by="25:00"))
    with pytest.raises(TypeError, match="there is no option consurrency"):
        await batchgen.load(manifest, consurrency=4)  # type: ignore[call-arg]  # that is the mistake
    with pytest.raises(batchgen.NotRunError):
        _ = [view async for view in batchgen.tasks(manifest, **options(desk))]
    assert [] == desk.till.requests
    assert not desk.job.exists()


@pytest.mark.anyio
async def test_a_job_that_is_held(desk: Desk) -> None:
    """A second run of a job is refused while the first one works, which does not notice."""
    manifest = desk.manifest(BOATS)
    desk.till.script(Rule(do="hold", times=1))
    sent = asyncio.Event()

    def observe(event: batchgen.Event) -> None:
        if isinstance(event, batchgen.AttemptSent):
            sent.set()

    first = asyncio.create_task(batchgen.run(manifest, observer=observe, **options(desk)))
    await sent.wait()
    with pytest.raises(batchgen.JobLockedError):
        await batchgen.run(manifest, **options(desk))
    await _released(desk)
    assert (await first).complete


@pytest.mark.anyio
async def test_a_stop_waits_for_what_is_in_flight(desk: Desk) -> None:
    """`Stop.ask` ends the sending; what was in flight is stored, and the next run makes the rest."""
    manifest = desk.manifest(BOATS)
    desk.till.script(Rule(do="hold", times=1))
    stop, sent = batchgen.Stop(), asyncio.Event()

    def observe(event: batchgen.Event) -> None:
        if isinstance(event, batchgen.AttemptSent):
            stop.ask()
            sent.set()

    running = asyncio.create_task(
        batchgen.run(manifest, observer=observe, stop=stop, **options(desk, concurrency=1))
    )
    await sent.wait()
    await _released(desk)
    result = await running

    assert (1, 2, batchgen.StopReason.SIGNAL) == (result.stored, result.pending, result.stopped_by)
    assert 1 == len(desk.till.requests)
    rest = await batchgen.run(manifest, **options(desk))
    assert (2, 1, True) == (rest.stored, rest.kept, rest.complete)


@pytest.mark.anyio
async def test_a_stop_that_is_only_cut_says_so(desk: Desk) -> None:
    """`Stop.cut` alone ends a run as after `ask`: with work left it is no success."""
    manifest = desk.manifest(BOATS)
    stop = batchgen.Stop()

    def observe(event: batchgen.Event) -> None:
        if isinstance(event, batchgen.TaskStored):
            stop.cut()

    result = await batchgen.run(manifest, observer=observe, stop=stop, **options(desk, concurrency=1))

    assert (1, 2, batchgen.StopReason.SIGNAL, 3) == (
        result.stored,
        result.pending,
        result.stopped_by,
        result.exit_code,
    )
    assert (await batchgen.run(manifest, **options(desk))).complete


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["task", "scope"])
async def test_a_cancelled_call_loses_nothing(desk: Desk, how: str) -> None:
    """Cancelled in mid-flight: what came is stored, what did not is `unknown`, ledger and report are in order."""
    manifest = desk.manifest(BOATS)
    desk.till.script(Rule(times=1), Rule(do="never", times=1))
    scope, both = anyio.CancelScope(), asyncio.Event()
    seen: list[type] = []

    def observe(event: batchgen.Event) -> None:
        seen.append(type(event))
        if seen.count(batchgen.AttemptSent) == 2 and batchgen.TaskStored in seen:
            both.set()

    async def work() -> None:
        with scope:
            await batchgen.run(manifest, observer=observe, **options(desk, concurrency=1))

    running = asyncio.create_task(work())
    await both.wait()
    await anyio.to_thread.run_sync(_arrived, desk, 2)
    running.cancel() if how == "task" else scope.cancel()
    with pytest.raises(asyncio.CancelledError) if how == "task" else warnings.catch_warnings():
        await running

    views = [view async for view in batchgen.tasks(manifest, **options(desk))]
    assert ["stored", "pending", "pending"] == [view.state for view in views]
    assert ["stored", "failed"] == [
        attempt["state"] for attempt in await anyio.to_thread.run_sync(desk.attempts)
    ]
    assert batchgen.RunEnded is seen[-1]
    assert (desk.job / "index.html").exists()
    desk.till.script()
    again = await batchgen.run(manifest, **options(desk))
    assert (2, 1, True) == (again.stored, again.kept, again.complete)
    assert 4 == len(desk.till.requests)


@pytest.mark.anyio
async def test_an_observer_that_raises_spoils_nothing(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """The run goes on, the observer is told nothing more, and the log says so."""
    told: list[batchgen.Event] = []

    def observe(event: batchgen.Event) -> None:
        told.append(event)
        raise ValueError("mine")

    with caplog.at_level(logging.ERROR, logger="batchgen"):
        result = await batchgen.run(desk.manifest(BOATS), observer=observe, **options(desk))

    assert (True, 1) == (result.complete, len(told))
    assert ["an observer raised an error, and is told nothing more"] == [
        record.getMessage() for record in caplog.records
    ]


@pytest.mark.anyio
async def test_two_jobs_at_the_same_time(desk: Desk) -> None:
    """Runs of different jobs share a loop; each observer hears of its own job alone."""
    heard: dict[str, list[batchgen.Event]] = {"one": [], "two": []}
    manifests = {name: desk.manifest(BOATS, name=f"{name}.yaml", job=name) for name in heard}

    results = await asyncio.gather(
        *(batchgen.run(manifests[name], observer=heard[name].append, **options(desk)) for name in heard)
    )

    assert [("one", 3), ("two", 3)] == [(result.job, result.stored) for result in results]
    for name, events in heard.items():
        assert [name] == [event.job for event in events if isinstance(event, batchgen.RunStarted)]
        assert 3 == sum(isinstance(event, batchgen.TaskStored) for event in events)


@pytest.mark.anyio
async def test_retry_orders_again(desk: Desk) -> None:
    """`retry` is a selection of classes and tasks, as the command's."""
    manifest = desk.manifest(BOATS)
    desk.till.script(Rule(do="empty", times=1))
    first = await batchgen.run(manifest, **options(desk))
    assert ({"no_image": 1}, 1) == (first.failures, first.exit_code)

    again = await batchgen.run(
        manifest, **options(desk, retry=batchgen.RetrySelection(classes=frozenset({"no_image"})))
    )
    assert (1, 2, True) == (again.stored, again.kept, again.complete)


def test_a_loop_of_another_kind_is_refused(tmp_path: Path) -> None:
    """Where no asyncio loop runs, as on trio, it is said what is needed."""
    with pytest.raises(batchgen.UsageError, match="asyncio only"):
        batchgen.load(tmp_path / "spring.yaml").send(None)


async def _released(desk: Desk) -> None:
    """Once the request has come, what is held is answered: the account has a new script then."""
    await anyio.to_thread.run_sync(_arrived, desk)
    await anyio.to_thread.run_sync(desk.till.script)


def _arrived(desk: Desk, count: int = 1) -> None:
    ends = time.monotonic() + WAIT_S
    while len(desk.till.requests) < count:
        assert time.monotonic() < ends, "no request came"
        time.sleep(0.005)
