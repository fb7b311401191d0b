"""The page of a night: true, sorted, and never more than text."""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from pathlib import Path

from batchgen.core.summary import RunSummary
from batchgen.core.types import StopReason
from batchgen.reports.night import PROBLEMS_SHOWN, NightFacts, NightJob, write_night

HOSTILE = "</p><script>alert(1)</script><img src=x onerror=alert(1)>"


def page_of(folder: Path, *jobs: NightJob, budget_usd: float | None = None) -> str:
    """The page of a night of these jobs."""
    facts = NightFacts(jobs, "2026-11-23 22:00 UTC", 61.0, 2, budget_usd)
    return write_night(folder, facts).read_text("utf-8")


def done(name: str, folder: Path, **keys: object) -> NightJob:
    """A job that made what it should."""
    summary = RunSummary(name, "r", tasks=2, stored=2, cost_usd=0.5, job_cost_usd=0.5, **keys)  # type: ignore[arg-type]  # names of its fields
    summary.report = str(folder / name / "index.html")
    return NightJob(f"{name}.yaml", name, 0, summary)


def test_nothing_that_others_wrote_becomes_markup(tmp_path: Path) -> None:
    """Names, problems and reasons with markup in them are shown as text; no script may run, nothing is loaded."""
    stopped = RunSummary("s", "r", tasks=1, pending=1, stopped_by=StopReason.AUTH, stop_detail=HOSTILE)
    page = page_of(
        tmp_path,
        NightJob(HOSTILE, HOSTILE, 2, problems=(HOSTILE,)),
        NightJob("s.yaml", "s", 3, stopped),
    )
    assert [] == re.findall(r"<(?:script|img|link|iframe)\b", page)
    assert 4 <= page.count("&lt;script&gt;")
    assert "default-src 'none'" in html.unescape(page)
    assert [] == re.findall(r"(?:src|href)=\"(?!#)[a-z]+:", page)


def test_the_worst_comes_first_and_links_are_relative(tmp_path: Path) -> None:
    """Broken, stopped, failed, locked, done; each job that ran leads to its own report, wherever the folder is moved."""
    codes = {"e": 0, "d": 4, "c": 1, "b": 3, "a": 2}
    jobs = [NightJob(f"{name}.yaml", f"job-{name}", code) for name, code in codes.items()]
    page = page_of(tmp_path, *jobs, done("fine", tmp_path))
    assert [f"job-{name}" for name in "abcde"] == re.findall(r'<h3 dir="auto">(job-\w)</h3>', page)
    assert 'href="fine/index.html"' in page
    assert "2 of 6 jobs done" in page


def test_money_is_told_against_the_nights_budget(tmp_path: Path) -> None:
    """The sum of what this night cost, with the budget, for people and for machines."""
    page = page_of(tmp_path, done("a", tmp_path), done("b", tmp_path), budget_usd=5.0)
    assert re.search(r"\$1\.00<small> of \$5\.00</small>", page)
    told = json.loads((tmp_path / "nightly.json").read_text("utf-8"))
    assert (1.0, 5.0, 4, 2) == (told["cost_usd"], told["budget_usd"], told["stored"], len(told["runs"]))


def test_a_page_stays_readable_however_much_is_wrong(tmp_path: Path) -> None:
    """Ten thousand problems are counted, not printed; failures come with the sentence for the writer."""
    failed = RunSummary("f", "r", tasks=3, stored=1, failed=2, failures=Counter(refused=2))
    problems = tuple(f"problem {number}" for number in range(10_000))
    page = page_of(tmp_path, NightJob("a.yaml", "a", 2, problems=problems), NightJob("f.yaml", "f", 1, failed))
    assert PROBLEMS_SHOWN == len(re.findall(r"problem \d+", page))
    assert "and 9,950 more" in page
    assert "2 images: " in page
