"""Every failure is on the ledger with its class, its reason and what to do; what stops a job stops it at once."""

from __future__ import annotations

import csv
import io
import re
from functools import partial

from batchgen.system.clock import moment_of
from tests.support.cli import Desk, pick, together
from tests.support.paid import REFUSED, Rule, Till, refuse

pytest_plugins = ("tests.support.fixtures",)

ONCE = {"max_attempts": 1}


def prompts(*words: str) -> list[dict[str, str]]:
    """One prompt for each word, which is in its text."""
    return [{"id": word, "prompt": f"A {word} picture."} for word in words]


def test_each_failure_has_its_class_reason_and_advice(desk: Desk, till: Till) -> None:
    """A failed task says why in `status --failed`, `results.csv` and the report, and the others are stored.

    A plain run leaves what is final alone and tries what may pass again.
    """
    till.script(
        Rule("refused", "error", status=400, error=REFUSED | {"message": "No <b>boats</b>, by policy."}),
        Rule(
            "invalid",
            "error",
            status=400,
            error={"message": "Bad size.", "param": "size", "code": "invalid_value"},
        ),
        Rule("empty", "empty"),
        Rule("garbage", "garbage"),
        Rule("broken", "error", status=500, error={"message": "Upstream fell over."}),
        Rule("limited", "error", status=429, error={"message": "Slow down.", "code": "rate_limit_exceeded"}),
    )
    words = ("refused", "invalid", "empty", "garbage", "broken", "limited", "fine")
    desk.manifest(prompts(*words), retry=ONCE)

    summary = desk.run(expect=1)

    assert (7, 1, 6, 0, 7, None) == pick(
        summary, "tasks", "stored", "failed", "pending", "attempts", "stopped_by"
    )
    classes = {task_id: task["class"] for task_id, task in desk.tasks().items()}
    assert {
        "refused--01": "refused",
        "invalid--01": "invalid",
        "empty--01": "no_image",
        "garbage--01": "no_image",
        "broken--01": "transient",
        "limited--01": "rate_limited",
        "fine--01": None,
    } == classes
    _told_everywhere(desk)

    summary = desk.run(expect=1)

    again = till.prompts[7:]
    assert ["A broken picture.", "A limited picture."] == sorted(again)
    assert (1, 6, 2) == pick(summary, "kept", "failed", "attempts")


def _told_everywhere(desk: Desk) -> None:
    shown = desk.do("status", "job.yaml", "--failed").out
    rows = {
        row["task_id"]: row
        for row in csv.DictReader(io.StringIO((desk.job / "results.csv").read_text("utf-8-sig")))
    }
    page = (desk.job / "index.html").read_text()
    reasons = {
        "refused": "by policy",
        "invalid": "Bad size.",
        "broken": "Upstream fell over.",
        "limited": "Slow down.",
    }
    for word, reason in reasons.items():
        assert f"{word}--01" in shown
        assert reason in shown
        assert reason in rows[f"{word}--01"]["reason"]
        assert reason in page
    assert "<b>boats</b>" not in page
    for advice in ("Reword the prompt", "images_per_minute", "state/quarantine"):
        assert advice in shown
    evidence = [path.read_bytes() for path in (desk.job / "state" / "quarantine").iterdir()]
    assert b"<html>hello</html>" in evidence


def test_a_changed_request_is_tried_again(desk: Desk, till: Till) -> None:
    """A refused task is left alone until its request changes."""
    till.script(refuse("naughty"))
    desk.manifest(prompts("naughty"))
    desk.run(expect=1)
    assert {"failed": 1} == desk.plan()
    assert 0 == desk.run(expect=1)["attempts"]

    desk.manifest([{"id": "naughty", "prompt": "A nice picture."}])

    assert {"changed": 1} == desk.plan()
    assert 1 == desk.run()["stored"]


def test_a_wrong_key_and_an_empty_account_stop_the_job(desk: Desk) -> None:
    """`auth` and `billing` stop the job with exit 3; no task fails, all stay pending, the next run makes them."""
    cases: list[tuple[str, int, dict[str, str]]] = [
        ("auth", 401, {"message": "Incorrect API key provided.", "code": "invalid_api_key"}),
        ("billing", 429, {"message": "You exceeded your quota.", "type": "insufficient_quota"}),
    ]
    together(partial(_stop, desk.beside(case[0]), *case) for case in cases)


def _stop(desk: Desk, reason: str, status: int, error: dict[str, str]) -> None:
    till = desk.till
    till.script(Rule("", "error", status=status, error=error))
    desk.manifest([{"id": "boat", "prompt": "A boat.", "images": 20}], limits={"concurrency": 2})

    done = desk.do("run", "job.yaml", "--json")

    assert (3, reason) == (done.code, done.last["stopped_by"])
    assert (20, 0, 0, 20) == pick(done.last, "tasks", "stored", "failed", "pending")
    assert len(till.requests) <= 2
    assert error["message"] in done.err
    assert {"pending"} == {task["state"] for task in desk.tasks().values()}

    till.script()
    assert 20 == desk.run()["stored"]


def test_a_missing_model_fails_its_own_tasks_alone(desk: Desk, till: Till) -> None:
    """A model that is not there fails its unsent tasks without an attempt; other models go on; a later run tries again."""
    gone = {"message": "The model gpt-image-2 does not exist.", "code": "model_not_found"}
    till.script(Rule("boat", "error", status=404, error=gone))
    desk.manifest(
        [
            {"id": "boat", "prompt": "A boat.", "images": 30},
            {"id": "mug", "prompt": "A mug.", "model": "gpt-image-2.5-flare", "images": 3},
        ],
        limits={"concurrency": 2},
    )

    summary = desk.run(expect=1)

    assert (33, 3, 30) == pick(summary, "tasks", "stored", "failed")
    assert summary["attempts"] < 10
    tasks = desk.tasks()
    assert {"model"} == {tasks[f"boat--{number:02d}"]["class"] for number in range(1, 31)}
    assert {0, 1} == {tasks[f"boat--{number:02d}"]["attempts"] for number in range(1, 31)}

    till.script()
    assert (30, 3) == pick(desk.run(), "stored", "kept")


def test_trouble_that_passes_is_outlived(desk: Desk, till: Till) -> None:
    """A 500 and a 429 with `Retry-After` are tried again within the run, each attempt with new ids."""
    till.script(
        Rule("broken", "error", 1, status=500),
        Rule("limited", "error", 1, status=429, headers={"Retry-After": "0"}),
    )
    desk.manifest(prompts("broken", "limited"))

    summary = desk.run()

    assert (2, 4) == pick(summary, "stored", "attempts")
    for header in ("x-client-request-id", "idempotency-key"):
        assert 4 == len({request["headers"][header] for request in till.requests})
    assert 2 == len(till.charged)


def test_a_lost_answer_is_sent_again_once_with_the_same_key(desk: Desk, till: Till) -> None:
    """An answer that is cut is `unknown`; it is sent again once, under the same idempotency key, as possibly paid twice.

    The second lost answer is held: exit 1, and no run buys it again.
    """
    till.script(Rule("lucky", "cut", 1), Rule("doomed", "cut"))
    desk.manifest(prompts("lucky", "doomed"))

    summary = desk.run(expect=1)

    assert (1, 1, 0, 4) == pick(summary, "stored", "held", "failed", "attempts")
    assert summary["maybe_paid_twice_usd"] > 0
    keys: dict[str, list[str]] = {}
    for request in till.requests:
        keys.setdefault(request["body"]["prompt"], []).append(request["headers"]["idempotency-key"])
    assert [(2, 1), (2, 1)] == [(len(each), len(set(each))) for each in keys.values()]
    lucky = [attempt for attempt in desk.attempts() if attempt["task_id"] == "lucky--01"]
    assert [("failed", "unknown", False), ("stored", None, True)] == [
        pick(attempt, "state", "class", "possible_duplicate") for attempt in lucky
    ]
    assert {"kept": 1, "held": 1} == desk.plan()
    assert 0 == desk.run(expect=1)["attempts"]
    assert "doomed--01" in desk.do("status", "job.yaml", "--failed").out


def test_on_unknown_hold_buys_nothing_twice(desk: Desk, till: Till) -> None:
    """With `on_unknown: hold` a lost answer is held at once: exit 1; each `retry` allows one more."""
    till.script(Rule("", "cut"))
    desk.manifest(prompts("lost"), retry={"on_unknown": "hold"})

    assert 1 == desk.run(expect=1)["held"]
    assert 0 == desk.run(expect=1)["attempts"]
    assert 1 == len(till.requests)

    till.script()
    assert 1 == desk.json("retry", "job.yaml")["stored"]
    assert 2 == len(till.requests)


def test_a_long_wait_is_left_to_the_next_run(desk: Desk, till: Till) -> None:
    """Asked to wait an hour, a run ends at once with exit 3, `later` and the moment; the tasks stay pending."""
    limited = Rule("limited", "error", status=429, headers={"Retry-After": "3600"})
    till.script(limited)
    desk.manifest(prompts("limited", "fine"))

    done = desk.do("run", "job.yaml", "--json")

    assert (3, "later", 1, 1) == (done.code, *pick(done.last, "stopped_by", "stored", "pending"))
    not_before = moment_of(desk.tasks()["limited--01"]["not_before"])
    said = re.search(r"may be sent at (\S+) (\S+) UTC", " ".join(done.err.split()))
    assert said is not None
    assert abs((moment_of(f"{said[1]}T{said[2]}Z") - not_before).total_seconds()) < 2
    assert 0 == desk.run(expect=3)["attempts"]


def test_a_long_wait_holds_everybody(desk: Desk, till: Till) -> None:
    """200 tasks, and a provider that wants to be left alone for an hour: asked once for each place in flight, no more."""
    till.script(Rule(do="error", status=429, headers={"Retry-After": "3600"}))
    desk.manifest([{"id": "boat", "prompt": "A boat.", "images": 200}], limits={"concurrency": 4})

    summary = desk.run(expect=3)

    assert ("later", 200) == pick(summary, "stopped_by", "pending")
    assert 4 == len(till.requests) == summary["attempts"]
    assert 4 == sum(task["not_before"] is not None for task in desk.tasks().values())


def test_nobody_listens(desk: Desk) -> None:
    """With no server at the address every task fails as `transient`, and nothing counts as spent."""
    desk.manifest(prompts("boat"), retry=ONCE)

    summary = desk.run("--base-url", "http://127.0.0.1:1", expect=1)

    assert (1, 0) == pick(summary, "failed", "cost_usd")
    task = desk.tasks()["boat--01"]
    assert "transient" == task["class"]
    assert "nothing was sent" in task["reason"]
