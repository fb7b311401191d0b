"""The file that node_exporter's textfile collector reads: which metrics there are, written and read back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client.core import Metric


@dataclass(frozen=True, slots=True)
class Meaning:
    """A metric: what it means, the label it has beside `job`, and whether it only goes up."""

    help: str
    label: str | None = None
    counts: bool = False


TASKS, STORED, ATTEMPTS, COST = (
    "batchgen_tasks",
    "batchgen_images_stored_total",
    "batchgen_attempts_total",
    "batchgen_cost_usd_total",
)
RUN_COST, BUDGET, DURATION = "batchgen_run_cost_usd", "batchgen_budget_usd", "batchgen_run_duration_seconds"
STARTED, FINISHED, EXIT_CODE = (
    "batchgen_run_started_timestamp_seconds",
    "batchgen_run_finished_timestamp_seconds",
    "batchgen_last_exit_code",
)
METRICS: Mapping[str, Meaning] = MappingProxyType(
    {
        TASKS: Meaning("Tasks of the job by how they stand in its last run.", "state"),
        STORED: Meaning("Images stored, over all runs that this file knows of.", counts=True),
        ATTEMPTS: Meaning(
            "Requests by how they ended, over all runs that this file knows of.", "class", counts=True
        ),
        COST: Meaning("US dollars spent, over all runs that this file knows of.", counts=True),
        RUN_COST: Meaning("US dollars spent by the last run."),
        BUDGET: Meaning("US dollars that the last run could spend; absent without a budget."),
        DURATION: Meaning("Seconds that the last run took, or has taken so far."),
        STARTED: Meaning("When the last run began."),
        FINISHED: Meaning("When a run last ended."),
        EXIT_CODE: Meaning("What the last run that is over ended with; see the table of exit codes."),
    }
)

Values = dict[tuple[str, str], float]
"""A job's numbers by metric and the value of its further label, "" where it has none."""


def write_textfile(path: Path, jobs: Mapping[str, Values]) -> None:
    """Replace the file by the numbers of these jobs, atomically. Raises `OSError`."""
    from prometheus_client import CollectorRegistry, write_to_textfile
    from prometheus_client.registry import Collector

    class Numbers(Collector):
        def collect(self) -> Iterator[Metric]:
            return families(jobs)

    registry = CollectorRegistry()  # its own: the default one belongs to whoever embeds this
    registry.register(Numbers())
    write_to_textfile(str(path), registry)


def families(jobs: Mapping[str, Values]) -> Iterator[Metric]:
    """The numbers as Prometheus's library has them."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    for name, kind in METRICS.items():
        labels = ["job"] if kind.label is None else ["job", kind.label]
        made = CounterMetricFamily if kind.counts else GaugeMetricFamily
        family = made(name, kind.help, labels=labels)
        for job, values in sorted(jobs.items()):
            for (metric, label), value in sorted(values.items()):
                if metric == name:
                    family.add_metric([job] if kind.label is None else [job, label], value)
        yield family


def read_textfile(path: Path) -> dict[str, Values]:
    """The numbers of a file by job; none where there is no file, or one that is not batchgen's."""
    from prometheus_client.parser import text_string_to_metric_families

    jobs: dict[str, Values] = {}
    try:
        found = list(text_string_to_metric_families(path.read_text("utf-8")))
    except (OSError, ValueError):
        return {}
    for sample in (sample for family in found for sample in family.samples):
        kind, job = METRICS.get(sample.name), sample.labels.get("job")
        if kind is not None and job is not None:
            label = "" if kind.label is None else sample.labels.get(kind.label, "")
            jobs.setdefault(job, {})[sample.name, label] = sample.value
    return jobs
