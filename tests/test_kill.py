"""SIGKILL at any moment: no image that reached the disk is requested again, and every doubt is on the ledger."""

from __future__ import annotations

import signal
from collections import Counter
from functools import partial

from tests.support.cli import Desk, ended, pick, together, until
from tests.support.paid import Rule, Till

pytest_plugins = ("tests.support.fixtures",)

CONCURRENCY = 16
TASKS = 200
BOATS = {"id": "boat", "prompt": "Boat {n}.", "vary": {"n": [str(n) for n in range(1, TASKS + 1)]}}
FLEET = BOATS | {"vary": {"n": [str(n) for n in range(1, 61)]}}


def test_killed_in_the_middle_of_200_tasks(desk: Desk) -> None:
    """Killed at several moments, twice in one case, the next run finishes all 200, also where answers are links."""
    cases: list[tuple[str, tuple[int, ...]]] = [
        ("b64", (3,)),
        ("b64", (70, 130)),
        ("url", (100,)),
        ("b64", (199,)),
    ]
    together(partial(_kill_and_resume, desk.beside(str(number)), *case) for number, case in enumerate(cases))


def _reached(till: Till, moment: int) -> bool:
    return len(till.requests) >= moment


def _kill_and_resume(desk: Desk, answer: str, moments: tuple[int, ...]) -> None:
    till = desk.till
    till.script(Rule(do=answer, delay_s=0.03))
    desk.manifest([BOATS], limits={"concurrency": CONCURRENCY})
    for moment in moments:
        with ended(desk.start("run", "job.yaml")) as running:
            until(partial(_reached, till, moment), running)
            running.signal(signal.SIGKILL)
            assert -signal.SIGKILL == running.done().code
    paid_before, on_disk = len(till.requests), desk.images()

    summary = desk.run()

    assert (TASKS, 0, 0, None) == pick(summary, "tasks", "failed", "pending", "stopped_by")
    assert TASKS == summary["stored"] + summary["kept"]
    images = desk.images()
    assert TASKS == len(images) == len(set(images.values()))
    assert on_disk == {task_id: images[task_id] for task_id in on_disk}
    again = Counter(till.prompts[paid_before:])
    assert not [task_id for task_id in on_disk if again[f"Boat {task_id.split('--')[1]}."]]
    _check_bill(desk, till, len(moments))


def _check_bill(desk: Desk, till: Till, kills: int) -> None:
    """At most `concurrency` images a kill were paid for and lost; each is on the ledger, and so is its repetition."""
    charged: dict[str, list[str]] = {}
    for request in till.charged:
        charged.setdefault(request["body"]["prompt"], []).append(request["headers"]["x-client-request-id"])
    assert TASKS == len(charged)
    assert len(till.charged) - TASKS <= CONCURRENCY * kills
    attempts = {attempt["attempt_id"]: attempt for attempt in desk.attempts()}
    for ids in charged.values():
        *lost, kept = ids
        assert [("failed", "unknown")] * len(lost) == [pick(attempts[each], "state", "class") for each in lost]
        assert ("stored", bool(lost)) == (
            attempts[kept]["state"],
            attempts[kept]["possible_duplicate"] and bool(lost),
        )
    assert not [attempt for attempt in attempts.values() if attempt["state"] in {"sent", "received"}]


def test_killed_while_images_are_moved_and_replaced(desk: Desk) -> None:
    """Killed while paid images get other names, nothing is bought again; killed while they are replaced, none is lost."""
    together(
        [partial(_kill_while_moving, desk.beside("moved")), partial(_kill_while_replacing, desk.beside("new"))]
    )


def _kill_while_moving(desk: Desk) -> None:
    desk.manifest([FLEET], limits={"concurrency": CONCURRENCY})
    desk.run()
    paid = set(desk.images().values())
    desk.manifest([FLEET | {"id": "ship"}])
    with ended(desk.start("run", "job.yaml")) as running:
        until(lambda: len(list((desk.job / "images").glob("ship*.png"))) >= 10, running)
        running.signal(signal.SIGKILL)
        running.done()

    assert (60, 60, 0) == pick(desk.run(), "tasks", "kept", "attempts")

    images = desk.images()
    assert {f"ship--{number}--01" for number in range(1, 61)} == images.keys()
    assert paid == set(images.values())
    assert 60 == len(desk.till.requests)


def _kill_while_replacing(desk: Desk) -> None:
    desk.manifest([FLEET], limits={"concurrency": CONCURRENCY})
    desk.run()
    older = set(desk.images().values())
    desk.manifest([FLEET | {"prompt": "Ship {n}."}], limits={"concurrency": CONCURRENCY})
    with ended(desk.start("run", "job.yaml")) as running:
        until(lambda: len(desk.till.requests) >= 90, running)
        running.signal(signal.SIGKILL)
        running.done()

    assert 60 == desk.run()["tasks"]

    superseded = {path.read_bytes() for path in (desk.job / "superseded").glob("*.png")}
    assert older <= superseded
    assert len(desk.till.charged) - 120 <= CONCURRENCY
    assert {"kept": 60} == desk.plan()
    before = len(desk.till.requests)
    desk.manifest([FLEET])
    assert (60, 0) == pick(desk.run(), "kept", "attempts")
    assert older == set(desk.images().values())
    assert before == len(desk.till.requests)


def test_a_killed_run_is_held_where_the_manifest_says_so(desk: Desk, till: Till) -> None:
    """With `on_unknown: hold`, what was in flight at the kill is held: exit 1, nothing is bought twice."""
    till.script(Rule("Boat", "never", 4))
    desk.manifest(
        [BOATS | {"vary": {"n": ["1", "2", "3", "4", "5", "6"]}}],
        retry={"on_unknown": "hold"},
        limits={"concurrency": 4},
    )
    with ended(desk.start("run", "job.yaml")) as running:
        until(lambda: len(till.requests) == 4, running)
        running.signal(signal.SIGKILL)
        running.done()

    summary = desk.run(expect=1)

    assert (6, 2, 4) == pick(summary, "tasks", "stored", "held")
    assert 6 == len(till.requests) == len(set(till.prompts))
    assert {"kept": 2, "held": 4} == desk.plan()
    assert summary["job_cost_usd"] > summary["cost_usd"]


def test_a_link_that_was_killed_before_its_download_is_fetched(desk: Desk, till: Till) -> None:
    """A link is durable before its download: killed in between, the next run fetches it and asks for nothing."""
    till.script(Rule("Boat", "url", links=(0, 200)))
    desk.manifest([BOATS | {"vary": {"n": ["1"]}}])
    with ended(desk.start("run", "job.yaml")) as running:
        until(lambda: bool(till.downloads), running)
        running.signal(signal.SIGKILL)
        running.done()
    assert "received" == desk.tasks()["boat--1--01"]["state"]

    summary = desk.run()

    assert (1, 0, 0) == pick(summary, "stored", "kept", "attempts")
    assert 1 == len(till.requests)
    assert list(till.images.values()) == list(desk.images().values())


def test_what_a_dead_run_left_is_not_counted_for_others(desk: Desk, till: Till) -> None:
    """A resume with `--only` or a changed prompt counts only what it looks at; tasks still add up."""
    till.script(Rule("Boat", "url", links=(0, 200)))
    desk.manifest([BOATS | {"vary": {"n": ["1", "2"]}}, {"id": "mug", "prompt": "A mug."}])
    with ended(desk.start("run", "job.yaml", "--only", "boat*")) as running:
        until(lambda: len(till.downloads) == 2, running)
        running.signal(signal.SIGKILL)
        running.done()

    summary = desk.run("--only", "mug*")

    assert (1, 1, 0, 0, 0) == pick(summary, "tasks", "stored", "kept", "failed", "pending")
    assert (3, 0, 3) == pick(desk.run(), "tasks", "stored", "kept")
    assert 3 == len(till.requests)


def test_one_run_at_a_time(desk: Desk, till: Till) -> None:
    """A second run of a job that is held exits 4, says by whom, and sends nothing; a killed run holds nothing."""
    till.script(Rule("Boat", "never", 1))
    desk.manifest([BOATS | {"vary": {"n": ["1"]}}])
    with ended(desk.start("run", "job.yaml")) as running:
        until(lambda: len(till.requests) == 1, running)

        for words in (("run", "job.yaml", "--json"), ("retry", "job.yaml")):
            second = desk.do(*words)
            assert (4, "") == (second.code, second.out)
            assert f"process {running.process.pid}" in second.err

        status = desk.json("status", "job.yaml")
        assert (1, 1, None) == pick(status, "tasks", "sent", "ended")
        assert 0 == desk.do("plan", "job.yaml").code
    assert 1 == len(till.requests)
    assert 1 == desk.run()["stored"]
