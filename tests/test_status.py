"""`batchgen status`: where a job stands, exactly as the contract words it, also while a run works."""

from __future__ import annotations

import json
import signal
import socket
import uuid
from functools import partial

import pytest

from tests.support.cli import Desk, ended, pick, together, until
from tests.support.paid import IMAGE_USD, REFUSED, Rule, Till

pytest_plugins = ("tests.support.fixtures",)

TASK = [
    "task_id",
    "prompt_id",
    "state",
    "class",
    "reason",
    "attempts",
    "file",
    "sha256",
    "cost_usd",
    "fingerprint",
    "not_before",
]
ATTEMPT = [
    "attempt_id",
    "task_id",
    "number",
    "state",
    "class",
    "reason",
    "http_status",
    "request_id",
    "started",
    "seconds",
    "cost_usd",
    "possible_duplicate",
]
PROMPTS: list[dict[str, object]] = [
    {"id": "boat", "prompt": "A boat."},
    {"id": "mug", "prompt": "A refused mug."},
    {"id": "tree", "prompt": "A tree.", "images": 2},
]
REFUSE = Rule("refused", "error", status=400, error=REFUSED)


@pytest.fixture(scope="module")
def worked(paid_port: int, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A job that has run, with one refused task. The tests only read it."""
    desk = Desk(tmp_path_factory.mktemp("worked"), Till(paid_port, f"sk-canary-{uuid.uuid4().hex}"))
    desk.till.script(REFUSE)
    desk.manifest(PROMPTS, limits={"budget_usd": 2})
    desk.run(expect=1)
    return desk


def test_a_line_for_each_task_and_attempt(worked: Desk) -> None:
    """`--tasks` and `--attempts` print one object a line, with exactly the contract's fields in order."""
    views = ("--tasks", "--attempts")
    tasks, attempts = (
        done.lines
        for done in together(partial(worked.do, "status", "job.yaml", view, "--json") for view in views)
    )

    assert [TASK] * 4 == [list(task) for task in tasks]
    assert [ATTEMPT] * 4 == [list(attempt) for attempt in attempts]
    assert ["boat--01", "mug--01", "tree--01", "tree--02"] == [task["task_id"] for task in tasks]
    boat, mug = tasks[:2]
    assert ("boat", "stored", None, None, 1, "images/boat--01.png", IMAGE_USD, None) == pick(
        boat, "prompt_id", "state", "class", "reason", "attempts", "file", "cost_usd", "not_before"
    )
    assert ("failed", "refused", None, None, 0) == pick(mug, "state", "class", "file", "sha256", "cost_usd")
    by_task = {attempt["task_id"]: attempt for attempt in attempts}
    assert ("failed", "refused", 400, 0, 1) == pick(
        by_task["mug--01"], "state", "class", "http_status", "cost_usd", "number"
    )
    assert {f"req-image-{number}" for number in range(1, 5)} == {attempt["request_id"] for attempt in attempts}
    assert 4 == len({(attempt["attempt_id"], attempt["started"]) for attempt in attempts})


def test_the_retry_ledger(worked: Desk) -> None:
    """`--failed` is what is not stored; for people grouped by class with advice, as JSON the same lines as `--tasks`."""
    done = worked.do("status", "job.yaml", "--failed", "--json")

    assert ["mug--01"] == [line["task_id"] for line in done.lines]
    assert TASK == list(done.last)
    people = worked.do("status", "job.yaml", "--failed").out
    assert "mug--01" in people
    assert "boat--01" not in people
    assert "Reword the prompt" in people


def test_where_a_job_stands(worked: Desk) -> None:
    """Counts by state, money, the last run; the text says the same to people."""
    status = worked.json("status", "job.yaml")

    assert ("job", 4, 3, 1, 0, 2, None) == pick(
        status, "job", "tasks", "stored", "failed", "pending", "budget_usd", "stopped_by"
    )
    assert [status["run_id"]] == [path.name for path in (worked.job / "runs").iterdir()]
    assert status["ended"] >= status["started"]
    assert round(3 * IMAGE_USD, 6) == status["spent_usd"]
    assert {"refused": 1} == status["classes"]
    people = worked.do("status", "job.yaml").out
    assert "3 of 4 stored" in people
    assert "of $2.00" in people


def test_all_jobs_of_a_folder(desk: Desk) -> None:
    """Without a manifest every job of the output folder is shown, rehearsals too."""
    desk.manifest(PROMPTS[:1])
    desk.run()
    desk.run("--provider", "sandbox")
    assert "Nothing failed" in desk.do("status", "job.yaml", "--failed").out

    done = desk.do("status", "--json")

    assert ["job", "job.sandbox"] == [line["job"] for line in done.lines]
    assert "job.sandbox" in desk.do("status").out
    assert (0, "") == pick(vars(desk.do("status", "--output", "nowhere")), "code", "out")


def test_while_a_run_works(desk: Desk, till: Till) -> None:
    """Status, plan and the ledger can be read beside a run; what is sent right now is `sent`, and nothing is disturbed."""
    till.script(Rule("refused", "never", 1))
    desk.manifest(PROMPTS)
    with ended(desk.start("run", "job.yaml")) as running:
        until(lambda: len(till.requests) == 4, running)
        until(lambda: desk.json("status", "job.yaml")["stored"] == 3, running)
        tasks = desk.tasks()
        assert ["stored", "sent", "stored", "stored"] == [task["state"] for task in tasks.values()]
        assert ("sent", None) == pick(
            next(each for each in desk.attempts() if each["task_id"] == "mug--01"), "state", "seconds"
        )
        assert {"kept": 3, "retry": 1} == desk.plan()
        status = desk.json("status", "job.yaml")
        assert {"pid": running.process.pid, "host": socket.gethostname()}.items() <= status["working"].items()
        assert status["working"]["since"] <= status["started"]
        assert ("job", 1) == pick(desk.do("status", "--json").last, "job", "sent")
        people = " ".join(desk.do("status", "job.yaml").out.split())
        assert f"it is running (process {running.process.pid} on" in people
        assert "1 sent" in people
    people = " ".join(desk.do("status", "job.yaml").out.split())
    assert "it was killed" in people
    assert None is desk.json("status", "job.yaml")["working"]


def test_what_waits_and_how_fast(desk: Desk, till: Till) -> None:
    """The rate of a run against the manifest's limit, the budget, and until when a task waits to be sent again."""
    later = Rule(
        "refused", "error", status=429, error={"message": "Slow down."}, headers={"Retry-After": "300"}
    )
    till.script(later, Rule("tree", "hold"))
    limits = {"images_per_minute": 600, "budget_usd": 2}
    desk.manifest([*PROMPTS, {"id": "old", "prompt": "An old tree.", "model": "gpt-image-1.5"}], limits=limits)
    with ended(desk.start("run", "job.yaml")) as running:
        until(lambda: len(till.requests) > 1, running)
        until(lambda: desk.json("status", "job.yaml")["waits_until"] is not None, running)
        until(lambda: desk.json("status", "job.yaml")["images_per_minute"] is not None, running)
        status = desk.json("status", "job.yaml")
        assert (600, 2) == pick(status, "limit_per_minute", "budget_usd")
        people = desk.do("status", "job.yaml").out
        assert "/min of 600" in people
        assert "a task waits until 2" in people
        running.signal(signal.SIGTERM)
        till.script()
        running.done()
    assert None is desk.json("status", "job.yaml")["images_per_minute"]


def test_results_have_a_line_for_each_task(worked: Desk) -> None:
    """`results.jsonl` has a line for each task, with its prompt, state, file, cost and reason."""
    rows = {
        row["task_id"]: row for row in map(json.loads, (worked.job / "results.jsonl").read_text().splitlines())
    }

    assert worked.tasks().keys() == rows.keys()
    assert ("stored", "images/boat--01.png", "A boat.") == pick(rows["boat--01"], "state", "file", "prompt")
    assert ("failed", "refused") == pick(rows["mug--01"], "state", "class")
    assert 5 == len((worked.job / "results.csv").read_text().splitlines())
