"""The page of a night: every job with how it ended and what to do, the worst first; opens from disk."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import jinja2

from batchgen.core.money import usd
from batchgen.core.plain import safe_text
from batchgen.core.summary import WORST_FIRST, RunSummary
from batchgen.core.types import JsonObject
from batchgen.reports.gallery import content_policy
from batchgen.reports.summary import stop_text
from batchgen.reports.tally import advice
from batchgen.reports.text import counted, duration_text, usd_text
from batchgen.system.files import replace_file

PROBLEMS_SHOWN = 50
"""Lines a broken manifest; the file beside it has them all."""

_WORDS = {0: "done", 1: "finished, some failed", 2: "not run", 3: "stopped early", 4: "held by another run"}
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class NightJob:
    """How one job of a night ended: its exit code, what it made where it ran, and what kept it from running."""

    manifest: str
    job: str
    code: int
    summary: RunSummary | None = None
    problems: tuple[str, ...] = ()
    signalled: bool = False


@dataclass(frozen=True, slots=True)
class NightFacts:
    """A night: its jobs, its time in seconds and its moment in UTC for people; money in USD."""

    jobs: Sequence[NightJob]
    generated: str
    seconds: float
    exit_code: int
    budget_usd: float | None = None

    @property
    def cost_usd(self) -> float:
        """What all runs of this night cost."""
        return usd(sum(job.summary.cost_usd for job in self.jobs if job.summary))

    def as_json(self) -> JsonObject:
        """The night's own line of `nightly --json`."""
        sums = [job.summary for job in self.jobs if job.summary]
        return {
            "night": self.generated,
            "exit_code": self.exit_code,
            "jobs": len(self.jobs),
            "codes": {str(code): sum(job.code == code for job in self.jobs) for code in WORST_FIRST},
            "stored": sum(one.stored for one in sums),
            "kept": sum(one.kept for one in sums),
            "failed": sum(one.failed for one in sums),
            "held": sum(one.held for one in sums),
            "pending": sum(one.pending for one in sums),
            "cost_usd": self.cost_usd,
            "budget_usd": self.budget_usd,
            "seconds": self.seconds,
            "broken": [
                {"manifest": job.manifest, "code": job.code, "problems": list(job.problems)}
                for job in self.jobs
                if job.problems
            ],
        }


def write_night(folder: Path, facts: NightFacts) -> Path:
    """Write `nightly.html` and `nightly.json`; returns the page. Raises `OSError`."""
    style = (_HERE / "gallery.css").read_text("utf-8") + (_HERE / "night.css").read_text("utf-8")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    jobs = sorted(facts.jobs, key=lambda job: (WORST_FIRST.index(job.code), job.manifest))
    page = environment.get_template("night.html").render(
        facts=facts,
        told=facts.as_json(),
        cards=[_card(folder, job) for job in jobs],
        well=sum(job.code == 0 for job in jobs),
        spent=usd_text(facts.cost_usd),
        budget=None if facts.budget_usd is None else usd_text(facts.budget_usd),
        took=duration_text(facts.seconds),
        counted=counted,
        policy=content_policy(style, ""),
        style=style,
    )
    folder.mkdir(parents=True, exist_ok=True)
    lines = [job.summary.as_json() for job in facts.jobs if job.summary]
    told = {**facts.as_json(), "runs": lines}
    replace_file(folder / "nightly.json", (json.dumps(told, indent=1) + "\n").encode())
    replace_file(folder / "nightly.html", page.encode("utf-8", "replace"))
    return folder / "nightly.html"


def _card(folder: Path, job: NightJob) -> dict[str, object]:
    summary = job.summary
    there = 0 if summary is None else summary.stored + summary.kept
    return {
        "name": safe_text(job.job),
        "manifest": safe_text(job.manifest),
        "code": job.code,
        "state": _state(job),
        "made": "" if summary is None else f"{there:,} of {counted(summary.tasks, 'image')}",
        "facts": [] if summary is None else list(_facts(summary)),
        "todo": [] if summary is None else list(_todo(summary)),
        "href": _href(folder, summary),
        "problems": job.problems[:PROBLEMS_SHOWN],
        "more": max(0, len(job.problems) - PROBLEMS_SHOWN),
    }


def _state(job: NightJob) -> str:
    if job.signalled:
        return "not begun" if job.summary is None else "interrupted"
    return _WORDS[job.code]


def _facts(summary: RunSummary) -> Iterator[str]:
    if summary.kept:
        yield f"{summary.stored:,} made, {summary.kept:,} from before"
    earlier = summary.job_cost_usd != summary.cost_usd
    in_all = f", {usd_text(summary.job_cost_usd)} in all" if earlier else ""
    yield f"{usd_text(summary.cost_usd)} tonight{in_all}"
    yield duration_text(summary.seconds)


def _todo(summary: RunSummary) -> Iterator[str]:
    if summary.stopped_by is not None:
        yield f"It stopped with {counted(summary.pending, 'image')} left: {stop_text(summary)}."
    for name, count in summary.failures.most_common():
        say = advice(name)
        yield f"{counted(count, 'image')}: {say.title}. {say.writer}"


def _href(folder: Path, summary: RunSummary | None) -> str:
    """A relative link, so that the folder can be moved and served."""
    if summary is None or not summary.report:
        return ""
    return quote(Path(os.path.relpath(summary.report, folder)).as_posix())
