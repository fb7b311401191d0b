"""A night ends within its limits, as the provider saw it: rate, concurrency, budget, deadline."""

from __future__ import annotations

from functools import partial

import pytest

from tests.support.cli import Desk, ended, pick, together, until
from tests.support.paid import IMAGE_USD, Rule, Till

pytest_plugins = ("tests.support.fixtures",)

BOATS = {"id": "boat", "prompt": "A boat.", "images": 30}


def test_requests_are_paced_without_a_burst(desk: Desk, till: Till) -> None:
    """At 600 images a minute 30 requests take 2.9 s, however many workers there are, and none come in a burst."""
    desk.manifest([BOATS], limits={"images_per_minute": 600, "concurrency": 30})

    desk.run()

    moments = sorted(request["at"] for request in till.requests)
    assert 30 == len(moments)
    # A tenth is left for the first request being late; a burst would take a third off.
    assert 0.9 * 29 * 0.1 <= moments[-1] - moments[0]
    most = max(sum(start <= moment < start + 1.0 for moment in moments) for start in moments)
    assert most <= 15  # evenly spaced it is 10, a bucket that fills while it waits lets 20 through


def test_two_runs_are_paced_as_one(desk: Desk, till: Till) -> None:
    """A new run's first request keeps its distance from the last run's."""
    desk.manifest([BOATS], limits={"images_per_minute": 60})
    desk.run("--limit", "1")

    desk.run("--limit", "1")

    first, second = (request["at"] for request in till.requests)
    assert 0.9 <= second - first


def test_jobs_of_one_process_are_paced_as_one(desk: Desk, till: Till) -> None:
    """The first request of a second job keeps its distance from the first job's; a rate of the model counts too."""
    desk.manifest([BOATS], name="one.yaml", job="one", limits={"images_per_minute": {"gpt-image-2": 60}})
    desk.manifest([BOATS], name="two.yaml", job="two", limits={"images_per_minute": {"gpt-image-2": 60}})

    assert 0 == desk.do("run", "one.yaml", "two.yaml", "--limit", "1").code

    first, second = (request["at"] for request in till.requests)
    assert 0.9 <= second - first


def test_no_more_at_once_than_allowed(desk: Desk, till: Till) -> None:
    """The lowest bound holds: flag, manifest and the operator's ceiling; what is lowered is said."""
    (desk.folder / "batchgen.yaml").write_text(
        "providers: {cometapi: {concurrency: 3, images_per_minute: 5000}}"
    )
    (desk.folder / "batchgen.yaml").chmod(0o644)
    till.script(Rule("", "never"))
    desk.manifest([BOATS], limits={"concurrency": 6})

    plan = desk.json("plan", "job.yaml")
    assert 5000 == plan["images_per_minute"]
    assert [True] == ["6 is lowered to 3" in notice for notice in plan["notices"]]
    with ended(desk.start("run", "job.yaml", "--images-per-minute", "2000")) as running:
        assert "6 is lowered to 3" in running.wait_for("concurrency")
        until(lambda: len(till.requests) == 3, running)
        # Three requests never end, so nobody is left to send a fourth.
        assert 3 == desk.json("status", "job.yaml")["sent"]
    assert 3 == len(till.requests)


def test_the_budget_is_never_passed(desk: Desk, till: Till) -> None:
    """The bill over all runs stays within `budget_usd`, lost answers included: exit 3, and raising it goes on."""
    till.script(Rule("", "cut", 2))
    desk.manifest([BOATS], limits={"budget_usd": 0.05})

    done = desk.do("run", "job.yaml", "--json")

    assert (3, "budget") == (done.code, done.last["stopped_by"])
    assert 0.05 >= len(till.charged) * IMAGE_USD > 0.05 - 3 * IMAGE_USD
    assert done.last["job_cost_usd"] <= 0.05
    assert "budget" in done.err
    assert 0 == desk.run(expect=3)["attempts"]

    desk.manifest([BOATS], limits={"budget_usd": 0.08})
    assert "budget" == desk.run(expect=3)["stopped_by"]
    assert 0.08 >= len(till.charged) * IMAGE_USD > 0.08 - 3 * IMAGE_USD

    assert {"kept"} < desk.plan().keys()
    desk.manifest([BOATS])
    assert 0 == desk.run()["pending"]


def test_a_runs_own_budget(desk: Desk, till: Till) -> None:
    """`--budget-usd` bounds one run: the next has its own; 0 sends nothing; the plan warns that it costs more."""
    desk.manifest([BOATS])

    assert (0, "budget") == pick(desk.run("--budget-usd", "0", expect=3), "attempts", "stopped_by")
    assert (1, "budget") == pick(desk.run("--budget-usd", "0.01", expect=3), "stored", "stopped_by")
    assert (1, 1, "budget") == pick(desk.run("--budget-usd", "0.01", expect=3), "stored", "kept", "stopped_by")

    assert 2 == len(till.charged)
    assert any(
        "--budget-usd 0.01" in notice
        for notice in desk.json("plan", "job.yaml", "--budget-usd", "0.01")["notices"]
    )


def test_a_plan_says_what_a_run_costs(desk: Desk, till: Till) -> None:
    """The plan's cost is close to the bill, never above what is reserved, and its time is that of the limits."""
    desk.manifest([BOATS], limits={"images_per_minute": 60000})

    plan = desk.json("plan", "job.yaml")
    desk.run()

    bill = len(till.charged) * IMAGE_USD
    assert pytest.approx(bill, rel=0.05) == plan["cost_usd"]
    assert (30, 30, 0.03) == pick(plan, "tasks", "to_send", "seconds")


def test_a_deadline_that_is_over_sends_nothing(desk: Desk, till: Till) -> None:
    """`--finish-by` in the past: exit 3, `deadline`, nothing sent; without it the job goes on."""
    desk.manifest([BOATS | {"images": 2}])

    done = desk.do("run", "job.yaml", "--finish-by", "2020-01-01T06:30", "--json")

    assert ("deadline", 0, 2) == pick(done.last, "stopped_by", "attempts", "pending")
    assert 3 == done.code
    assert "finish_by 2020-01-01T06:30 is past, so a run sends nothing" in " ".join(done.err.split())
    assert [] == till.requests
    assert 2 == desk.run()["stored"]


def test_a_date_that_is_past_is_said_at_its_place(desk: Desk) -> None:
    """A manifest whose `finish_by` is over is no mistake, but `validate` and `plan` warn: a run would send nothing."""
    path = desk.manifest([BOATS | {"images": 1}], limits={"finish_by": "2020-01-01T06:30"})
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if "finish_by" in text)

    validated, planned = desk.do("validate", "job.yaml"), desk.do("plan", "job.yaml")

    assert (0, 0) == (validated.code, planned.code)
    assert f"job.yaml:{line}:" in validated.out
    assert "warning: finish_by 2020-01-01T06:30 is past" in validated.out
    assert "finish_by 2020-01-01T06:30 is past" in " ".join(planned.out.split())


def test_a_link_that_hangs_does_not_outlast_the_night(desk: Desk, till: Till) -> None:
    """A run ends in time while its links hang, also one that finds them there; they are paid once, and fetched later."""
    till.script(Rule(do="url", links=(0, 0, 200)))
    desk.manifest([BOATS | {"images": 2}], limits={"max_duration": "2s"})

    for _ in range(2):
        summary = desk.run(expect=3)

        assert ("deadline", 0, 2) == pick(summary, "stopped_by", "failed", "pending")
        assert summary["seconds"] < 10
        assert ["received", "received"] == [task["state"] for task in desk.tasks().values()]
    desk.manifest([BOATS | {"images": 2}])
    assert 2 == desk.run()["stored"]
    assert 2 == len(till.charged)


def test_a_duration_shorter_than_an_image_takes_lets_a_job_go_on(desk: Desk) -> None:
    """What no run could ever meet stops no run for ever: each sends within its time, says so, and the job ends."""
    desk.till.script(Rule(delay_s=1.5))
    desk.manifest([BOATS | {"images": 3}], limits={"max_duration": "1s", "concurrency": 1})

    assert ("deadline", 1) == pick(desk.run(expect=3), "stopped_by", "stored")
    done = desk.do("run", "job.yaml", "--json")

    assert ("deadline", 1, 1) == pick(done.last, "stopped_by", "stored", "pending")
    assert "too long for max_duration 1s" in done.err
    assert ("stored", 1) == ("stored", desk.run()["stored"])


def test_what_is_in_flight_at_the_deadline_is_stored(desk: Desk) -> None:
    """At the deadline nothing more is sent, and what is in flight is waited for. With nothing left, the run is whole."""
    desks = {images: desk.beside(str(images)) for images in (3, 1)}
    for images, each in desks.items():
        each.till.script(Rule(delay_s=1.5))
        each.manifest([BOATS | {"images": images}], limits={"max_duration": "1s", "concurrency": 1})
    some, all_there = together(partial(each.do, "run", "job.yaml", "--json") for each in desks.values())

    assert (3, "deadline", 1, 2) == (some.code, *pick(some.last, "stopped_by", "stored", "pending"))
    assert (0, None, 1, 0) == (all_there.code, *pick(all_there.last, "stopped_by", "stored", "pending"))


def test_a_task_without_a_price_needs_a_word(desk: Desk, till: Till) -> None:
    """With a budget and no price: exit 2, nothing sent, the model named; `--allow-unpriced` works and is counted."""
    (desk.folder / "batchgen.yaml").write_text("catalogue: {new-model: {}}")
    (desk.folder / "batchgen.yaml").chmod(0o644)
    desk.manifest([BOATS | {"images": 3}], model="new-model", request={}, limits={"budget_usd": 1})

    done = desk.do("run", "job.yaml", "--json")

    assert (2, "") == (done.code, done.out)
    assert "new-model" in done.err
    assert "--allow-unpriced" in done.err
    assert [] == till.requests
    plan = desk.json("plan", "job.yaml")
    assert (3, 3) == pick(plan, "new", "unpriced")
    assert any("--allow-unpriced" in notice for notice in plan["notices"])
    assert desk.json("status", "job.yaml")["ended"]
    summary = desk.run("--allow-unpriced", "0.25")
    assert (3, 0.75) == pick(summary, "stored", "cost_usd")
    assert {"kept": 3} == desk.plan()
