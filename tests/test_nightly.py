"""A night: every manifest of a folder under one set of limits, and one page that says how all of them ended."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Desk, Done, ended, pick, until
from tests.support.paid import IMAGE_USD, Rule, Till, refuse

pytest_plugins = ("tests.support.fixtures",)

GONE = {"message": "The model `gpt-image-2` does not exist", "code": "model_not_found"}


def boats(text: str, images: int = 3) -> list[dict[str, object]]:
    """One prompt with some images."""
    return [{"id": "boat", "prompt": text, "images": images}]


@pytest.fixture(autouse=True)
def folder(desk: Desk) -> Path:
    """The folder of a night's manifests."""
    (desk.folder / "jobs").mkdir()
    return desk.folder / "jobs"


def job(desk: Desk, name: str, images: int = 3, **keys: object) -> Path:
    """A manifest of the night, its prompt the job's name."""
    return desk.manifest(boats(name, images), name=f"jobs/{name}.yaml", **{"job": name, **keys})


def by_job(done: Done) -> dict[str, dict[str, Any]]:
    """The lines of the jobs; the last line is the night's."""
    return {line["job"]: line for line in done.lines[:-1]}


def most_in(moments: list[float], seconds: float) -> int:
    """The most requests in so many seconds."""
    return max(sum(start <= moment < start + seconds for moment in moments) for start in moments)


def test_what_can_be_made_is_made_and_one_page_says_so(desk: Desk, till: Till, folder: Path) -> None:
    """Ten manifests, two broken, one over its budget, one with a dead model: the rest is made; mended, it goes on."""
    till.script(Rule("dead", "error", status=404, error=GONE), refuse("refused"))
    for number in range(6):
        job(desk, f"fine{number}")
    (folder / "typo.yaml").write_text(
        "batchgen: 1\nmodle: gpt-image-2\nprompts: [{id: x, prompt: A <b>boat</b>.}]\n"
    )
    (folder / "torn.yml").write_text("batchgen: 1\nprompts: [\n")
    job(desk, "over", 20, limits={"budget_usd": 0.02})
    job(desk, "dead")
    (folder / "batchgen.yaml").write_text("providers: {}\n")
    (folder / ".hidden.yaml").write_text("what\n")

    done = desk.do("nightly", "jobs", "--json", "--budget-usd", "5")

    told, night = by_job(done), done.last
    assert 2 == done.code
    assert [(3, None)] * 6 == [pick(told[f"fine{number}"], "stored", "stopped_by") for number in range(6)]
    assert (3, "budget", 17) == pick(told["over"], "stored", "stopped_by", "pending")
    assert (0, 3, None) == pick(told["dead"], "stored", "failed", "stopped_by")
    assert {"2": 2, "3": 1, "1": 1, "4": 0, "0": 6} == night["codes"]
    assert round(21 * IMAGE_USD, 6) == night["cost_usd"] == round(len(till.charged) * IMAGE_USD, 6)
    assert "typo.yaml:2:1" in (folder / "typo.problems.txt").read_text()
    assert "torn.yml:" in (folder / "torn.problems.txt").read_text()
    assert 2 == len(list(folder.glob("*.problems.txt")))
    page = (desk.folder / "output" / "nightly.html").read_text()
    for words in ("6 of 10 jobs done", "typo.yaml:2:1", "the budget is used up", "The model is not available"):
        assert words in page
    assert page.index("typo.yaml:2:1") < page.index("the budget is used up") < page.index("fine0/index.html")
    assert 8 == len(json.loads((desk.folder / "output" / "nightly.json").read_text())["runs"])

    (folder / "torn.yml").unlink()
    job(desk, "typo")
    again = desk.do("nightly", "jobs", "--json")
    assert (3, 3) == (again.code, by_job(again)["typo"]["stored"])
    assert [] == list(folder.glob("*.problems.txt"))


def test_three_jobs_keep_one_rate_one_concurrency_and_one_budget(desk: Desk, till: Till) -> None:
    """As the provider saw it: 600 a minute, three at once, and a bill within the night's budget."""
    till.script(Rule(delay_s=0.25))
    for name in ("one", "two", "three"):
        job(desk, name, 12, limits={"concurrency": 12})
    flags = ("--images-per-minute", "600", "--concurrency", "3", "--budget-usd", "0.1")

    done = desk.do("nightly", "jobs", "--json", *flags)

    moments = sorted(request["at"] for request in till.requests)
    told = by_job(done)
    assert (3, len(till.charged)) == (done.code, sum(line["stored"] for line in told.values()))
    # A later job may read its manifest sooner and send a little; who goes first after that is tests/pool's to show.
    assert ["budget", "budget"] == [told[name]["stopped_by"] for name in ("two", "three")]
    assert 0.1 - 2 * IMAGE_USD < len(till.charged) * IMAGE_USD <= 0.1
    assert most_in(moments, 1.0) <= 14  # three at once, a quarter of a second each, allow 12
    assert most_in(moments, 0.24) <= 3


def test_the_first_job_of_a_night_is_the_most_important_one(desk: Desk, till: Till) -> None:
    """A higher `priority` gets the permits first; then the name decides."""
    till.script(Rule(delay_s=0.3))  # long enough for all three to have begun before one of them is done
    for name, priority in (("b", 0), ("a", 0), ("z", 7)):
        job(desk, name, 4, priority=priority)
    done = desk.do("nightly", "jobs", "--concurrency", "1", "--quiet")
    assert (0, "", "") == (done.code, done.out, done.err.replace("\n", ""))
    asked = till.prompts
    assert ["z", "a", "b"] == sorted("abz", key=lambda name: len(asked) - 1 - asked[::-1].index(name))


def test_a_dead_key_stops_the_night(desk: Desk, till: Till) -> None:
    """The provider refuses the key: jobs that begin later send nothing at all."""
    till.script(Rule(do="error", status=401, error={"message": "no", "code": "invalid_api_key"}))
    for number in range(8):
        job(desk, f"job{number}", 20)
    done = desk.do("nightly", "jobs", "--json", "--concurrency", "2")
    assert 3 == done.code
    assert ["auth"] * 8 == [line["stopped_by"] for line in by_job(done).values()]
    assert len(till.requests) <= 2


def test_two_manifests_of_one_job_and_a_folder_that_cannot_be_written(desk: Desk, folder: Path) -> None:
    """The second one does not run and says whose job it is; what cannot be written beside is said, and stops nothing."""
    job(desk, "one")
    job(desk, "two", job="one")
    (folder / "two.problems.txt").mkdir()
    done = desk.do("nightly", "jobs", "--json")
    assert (2, 3) == (done.code, by_job(done)["one"]["stored"])
    assert "one.yaml, which runs" in done.last["broken"][0]["problems"][0]
    assert "two.problems.txt: cannot be written" in done.err


def test_without_a_price_no_budget_of_a_night_can_hold(desk: Desk, till: Till) -> None:
    """A model without a price is refused under the night's budget, and only that job; a price for it lets it run."""
    job(desk, "known")
    job(desk, "unknown", model="my-model", request={})
    done = desk.do("nightly", "jobs", "--json", "--budget-usd", "5")
    assert (2, 3) == (done.code, by_job(done)["known"]["stored"])
    assert "no price is known for my-model" in done.last["broken"][0]["problems"][0]
    assert 3 == len(till.requests)
    priced = desk.do("nightly", "jobs", "--json", "--budget-usd", "5", "--allow-unpriced", "0.1")
    assert (0, 3) == (priced.code, by_job(priced)["unknown"]["stored"])


def test_a_job_that_another_run_holds_is_left_to_it(desk: Desk, till: Till) -> None:
    """Exit code 4 for that job, in words on the page; the others are made, and no problem is written beside it."""
    till.script(Rule("held", "hold"))
    job(desk, "held", 1)
    job(desk, "free")
    with ended(desk.start("run", "jobs/held.yaml")) as running:
        until(lambda: len(till.requests) == 1, running)
        done = desk.do("nightly", "jobs", "--json")
        assert (4, 3) == (done.code, by_job(done)["free"]["stored"])
        assert "held by another run" in (desk.folder / "output" / "nightly.html").read_text()
        assert [] == list((desk.folder / "jobs").glob("*.txt"))
        till.script()
        assert 0 == running.done().code


def test_a_pipe_does_not_hold_up_the_night(desk: Desk, folder: Path) -> None:
    """Nobody ever writes into it; the other jobs run, and it is told like any other broken manifest."""
    job(desk, "fine")
    os.mkfifo(folder / "pipe.yaml")

    done = desk.do("nightly", "jobs", "--json")

    assert (2, 3) == (done.code, by_job(done)["fine"]["stored"])
    assert "jobs/pipe.yaml: this is no file" in (folder / "pipe.problems.txt").read_text()


def test_an_empty_folder_is_a_mistake(desk: Desk) -> None:
    """Nothing to do is more often a wrong path than a quiet night."""
    done = desk.do("nightly", "jobs")
    assert (2, True) == (done.code, "there is no manifest in it" in done.err)


def test_a_signal_drains_every_job(desk: Desk, till: Till) -> None:
    """What is in flight of all jobs is stored; those that have not begun begin no more."""
    till.script(Rule(do="hold"))
    for number in range(6):
        job(desk, f"job{number}", 4, limits={"concurrency": 1})
    with ended(desk.start("nightly", "jobs", "--json")) as running:
        until(lambda: len(till.requests) == 4, running)
        running.signal(signal.SIGTERM)
        running.wait_for("stopping")
        till.script()
        done = running.done()
    assert (143, 4) == (done.code, done.last["stored"])
    assert ["signal"] * 4 == [line["stopped_by"] for line in by_job(done).values()]
    assert 4 == len(till.requests)
    page = (desk.folder / "output" / "nightly.html").read_text()
    assert (4, 2) == (page.count(">interrupted<"), page.count(">not begun<"))


def test_a_killed_night_loses_nothing(desk: Desk, till: Till) -> None:
    """SIGKILL in the middle: the next night finishes every job, and buys nothing again that reached the disk."""
    till.script(Rule(delay_s=0.03))
    names = ("one", "two", "three")
    for name in names:
        job(desk, name, 30)
    with ended(desk.start("nightly", "jobs")) as running:
        until(lambda: len(till.requests) >= 40, running)
        running.signal(signal.SIGKILL)
        assert -signal.SIGKILL == running.done().code
    on_disk = {path: path.read_bytes() for path in desk.folder.glob("output/*/images/*.png")}

    done = desk.do("nightly", "jobs", "--json")

    assert 0 == done.code
    assert [30] * 3 == [line["stored"] + line["kept"] for line in by_job(done).values()]
    assert on_disk == {path: path.read_bytes() for path in on_disk}
    # At most what was in flight is in doubt and on the ledger; of that, some requests never reached the provider.
    assert 0 <= len(till.charged) - 90 <= sum(_unknown(desk, name) for name in names) <= 24


def _unknown(desk: Desk, name: str) -> int:
    ledger = desk.folder / "output" / name / "ledger.sqlite"
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as file:
        rows: Iterator[tuple[int]] = file.execute("SELECT count(*) FROM attempts WHERE class = 'unknown'")
        return next(iter(rows))[0]
