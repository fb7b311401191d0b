"""`batchgen retry`: what failed, is held or lost its image goes back to pending, and is sent."""

from __future__ import annotations

from functools import partial

import pytest

from tests.support.cli import Desk, pick, together
from tests.support.paid import Rule, Till, refuse

pytest_plugins = ("tests.support.fixtures",)

PROMPTS = [{"id": word, "prompt": f"A {word} picture."} for word in ("refused", "empty", "fine", "lost")]


@pytest.fixture
def failed(desk: Desk) -> Desk:
    """A job with a refused task, one without an image, one that is there, one whose file is lost."""
    return _fail(desk)


def _fail(desk: Desk) -> Desk:
    desk.till.script(refuse("refused"), Rule("empty", "empty"))
    desk.manifest(PROMPTS)
    desk.run(expect=1)
    (desk.job / "images" / "lost--01.png").unlink()
    desk.till.script()
    return desk


def test_retry_sends_what_failed_and_what_is_lost(failed: Desk, till: Till) -> None:
    """Without a choice everything that can be sent again is; what is there stays."""
    summary = failed.json("retry", "job.yaml")

    assert (4, 3, 1) == pick(summary, "tasks", "stored", "kept")
    assert ["A empty picture.", "A lost picture.", "A refused picture."] == sorted(till.prompts[4:])


def test_retry_takes_classes_and_globs(desk: Desk) -> None:
    """`--class` and `--task` choose; the rest stays failed, and counts in the exit code."""
    cases: tuple[tuple[list[str], list[str]], ...] = (
        (["--task", "r*"], ["A refused picture."]),
        (["--class", "no_image", "--class", "missing"], ["A empty picture.", "A lost picture."]),
        (["--task", "r*", "--class", "no_image"], []),
    )
    together(partial(_choose, desk.beside(str(number)), *case) for number, case in enumerate(cases))


def _choose(desk: Desk, choice: list[str], sent: list[str]) -> None:
    summary = _fail(desk).json("retry", "job.yaml", *choice, expect=1)

    assert sent == sorted(desk.till.prompts[4:])
    assert (len(sent), 3 - len(sent)) == pick(summary, "stored", "failed")


def test_no_run_only_puts_them_back(failed: Desk, till: Till) -> None:
    """`--no-run` sends nothing; the next plain run sends what was put back, and only that."""
    summary = failed.json("retry", "job.yaml", "--task", "refused*", "--no-run", expect=1)

    assert (0, 1, 2) == pick(summary, "attempts", "pending", "failed")
    assert 4 == len(till.requests)
    assert {"retry": 1, "failed": 1, "missing": 1, "kept": 1} == failed.plan()
    assert 1 == failed.run(expect=1)["stored"]
    assert ["A refused picture."] == till.prompts[4:]


def test_max_attempts_counts_from_each_run(desk: Desk, till: Till) -> None:
    """`max_attempts` counts the attempts of this run or since `retry`; numbers on the ledger go on."""
    till.script(Rule("", "error", status=500))
    desk.manifest(PROMPTS[2:3], retry={"max_attempts": 2})

    assert 2 == desk.run(expect=1)["attempts"]
    assert 1 == desk.run("--max-attempts", "1", expect=1)["attempts"]
    assert 1 == desk.json("retry", "job.yaml", "--max-attempts", "1", expect=1)["attempts"]

    assert [1, 2, 3, 4] == [attempt["number"] for attempt in desk.attempts()]


def test_each_retry_allows_one_more_lost_answer(desk: Desk, till: Till) -> None:
    """A held task is sent exactly once more by each `retry`; lost again, it is held again, and no run sends it."""
    till.script(Rule("", "cut"))
    desk.manifest(PROMPTS[2:3], retry={"on_unknown": "hold"})
    assert (1, 1) == pick(desk.run(expect=1), "attempts", "held")

    assert (1, 1) == pick(desk.json("retry", "job.yaml", expect=1), "attempts", "held")
    assert (0, 1) == pick(desk.run(expect=1), "attempts", "held")
    assert {"unknown"} == {attempt["class"] for attempt in desk.attempts()}
