"""Metrics: what node_exporter would read, parsed by Prometheus's own parser."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from batchgen.core.events import Event, RunBroken, RunEnded
from batchgen.core.types import FailureClass, Paid, TaskState
from batchgen.reports.metrics import KEPT_S, Metrics
from batchgen.reports.textfile import METRICS, read_textfile, write_textfile
from tests.reports.samples import failed_event, started, stored_event
from tests.support.cli import Desk
from tests.support.paid import refuse

pytest_plugins = ("tests.support.fixtures",)
Samples = dict[tuple[str, ...], float]
FINISHED = "batchgen_run_finished_timestamp_seconds"


def parsed(path: Path) -> Samples:
    """The file's samples by their names and the values of their labels, those of `job` first."""
    families = text_string_to_metric_families(path.read_text("utf-8"))
    return {
        (
            sample.name,
            *(sample.labels[label] for label in ("job", "state", "class") if label in sample.labels),
        ): sample.value
        for family in families
        for sample in family.samples
    }


def configure(desk: Desk, text: str) -> None:
    """The operator's configuration."""
    path = desk.folder / "batchgen.yaml"
    path.write_text(text)
    path.chmod(0o644)


def test_the_numbers_are_the_summarys(desk: Desk) -> None:
    """After a run every number is what `run --json` said; a second run goes on counting, beside another job's lines."""
    configure(desk, "metrics: {textfile: batchgen.prom}\n")
    path = desk.folder / "batchgen.prom"
    write_textfile(path, {"other": {("batchgen_tasks", "kept"): 7, (FINISHED, ""): 4e9}})
    desk.manifest(
        [{"id": "boat", "prompt": "A boat.", "images": 2}, {"id": "bad", "prompt": "A bad one."}],
        limits={"budget_usd": 2},
    )
    desk.till.script(refuse("bad"))

    first = desk.run(expect=1)
    samples = parsed(path)

    for state in ("stored", "kept", "failed", "held", "pending"):
        assert first[state] == samples["batchgen_tasks", "job", state]
    assert first["stored"] == samples["batchgen_images_stored_total", "job"]
    assert (2, 1) == tuple(samples["batchgen_attempts_total", "job", name] for name in ("stored", "refused"))
    assert first["attempts"] == sum(v for k, v in samples.items() if k[0] == "batchgen_attempts_total")
    assert (
        first["cost_usd"]
        == samples["batchgen_cost_usd_total", "job"]
        == samples["batchgen_run_cost_usd", "job"]
    )
    assert (2, first["seconds"], 1) == tuple(
        samples[name, "job"]
        for name in ("batchgen_budget_usd", "batchgen_run_duration_seconds", "batchgen_last_exit_code")
    )
    assert samples[FINISHED, "job"] > samples["batchgen_run_started_timestamp_seconds", "job"] > 1e9
    assert 7 == samples["batchgen_tasks", "other", "kept"]
    assert ["batchgen.prom"] == [found.name for found in desk.folder.glob("*.prom*")]

    desk.manifest([{"id": "boat", "prompt": "A boat.", "images": 3}])
    second = desk.run()
    samples = parsed(path)

    assert (1, 2) == (second["stored"], second["kept"])
    assert first["stored"] + second["stored"] == samples["batchgen_images_stored_total", "job"]
    assert pytest.approx(second["job_cost_usd"]) == samples["batchgen_cost_usd_total", "job"]
    assert second["cost_usd"] == samples["batchgen_run_cost_usd", "job"]
    assert (3, 1) == tuple(samples["batchgen_attempts_total", "job", name] for name in ("stored", "refused"))
    assert ("batchgen_budget_usd", "job") not in samples
    assert 0 == samples["batchgen_last_exit_code", "job"]


def test_every_metric_has_a_meaning_and_keeps_the_conventions(tmp_path: Path) -> None:
    """Names begin with `batchgen_`, counters end in `_total`, units are base units, and help and type are there."""
    path = tmp_path / "all.prom"
    write_textfile(path, {"spring": {(name, "x" if kind.label else ""): 1 for name, kind in METRICS.items()}})
    families = {family.name: family for family in text_string_to_metric_families(path.read_text("utf-8"))}

    assert {name.removesuffix("_total") for name in METRICS} == families.keys()
    for name, meaning in METRICS.items():
        family = families[name.removesuffix("_total")]
        assert name.startswith("batchgen_")
        assert (meaning.help, "counter" if name.endswith("_total") else "gauge") == (
            family.documentation,
            family.type,
        )
        assert meaning.counts is name.endswith("_total")
        assert not name.endswith(("_ms", "_minutes"))
    assert {"job", "state", "class"} == {
        label for family in families.values() for sample in family.samples for label in sample.labels
    }
    assert read_textfile(path) == {
        "spring": {(name, "x" if kind.label else ""): 1 for name, kind in METRICS.items()}
    }


def told(metrics: Metrics, *events: Event) -> None:
    """One run's events."""
    observer = metrics.of_job()
    for event in events:
        observer(event)


@pytest.mark.anyio
async def test_during_a_run_and_of_several_jobs(tmp_path: Path) -> None:
    """The file says where runs stand while they work; a job that is held or broken keeps what is known of it."""
    path, said = tmp_path / "night.prom", list[str]()
    metrics = Metrics(path, said.append, lambda: 5000.0)
    lost = failed_event(kind=FailureClass.UNKNOWN, state=TaskState.HELD, paid=Paid.MAYBE, bound_usd=0.05)

    told(metrics, stored_event(), started(5, budget_usd=1.0), stored_event(0.04), lost)
    told(metrics, RunBroken("broken", 2, "ProblemsError", "no"), RunBroken("spring", 4, "JobLockedError", "no"))
    metrics.write()
    samples = parsed(path)

    expected = {"stored": 1, "kept": 0, "failed": 0, "held": 1, "pending": 3}
    assert expected == {state: samples["batchgen_tasks", "spring", state] for state in expected}
    assert (1, 0.09) == (
        samples["batchgen_images_stored_total", "spring"],
        samples["batchgen_cost_usd_total", "spring"],
    )
    assert 1 == samples["batchgen_attempts_total", "spring", "unknown"]
    assert ("batchgen_last_exit_code", "spring") not in samples
    assert 2 == samples["batchgen_last_exit_code", "broken"]

    told(metrics, started(1), RunEnded({"stored": 1, "stopped_by": "signal"}, {}, "SIGTERM"))
    await metrics.close()
    samples = parsed(path)
    assert (143, 2) == (
        samples["batchgen_last_exit_code", "spring"],
        samples["batchgen_images_stored_total", "spring"],
    )
    assert [] == said


@pytest.mark.anyio
async def test_what_is_old_goes_and_what_is_foreign_does_no_harm(tmp_path: Path) -> None:
    """Lines of a job that has not run for a month go, so that the file stays small; a file of something else is replaced."""
    path = tmp_path / "old.prom"
    write_textfile(path, {"old": {(FINISHED, ""): 1.0}, "young": {(FINISHED, ""): KEPT_S}})
    metrics = Metrics(path, print, lambda: KEPT_S + 2.0)
    told(metrics, started(1))
    await metrics.close()
    assert {"young", "spring"} == read_textfile(path).keys()

    path.write_text("{ not metrics\n")
    metrics = Metrics(path, print, lambda: 1.0)
    told(metrics, started(1))
    await metrics.close()
    assert {"spring"} == read_textfile(path).keys()


@pytest.mark.anyio
async def test_a_file_that_cannot_be_written_is_a_note(tmp_path: Path) -> None:
    """It is said once; no run fails for it."""
    path, said = tmp_path / "taken.prom", list[str]()
    (path / "in the way").mkdir(parents=True)
    metrics = Metrics(path, said.append)
    for _ in range(2):
        told(metrics, started(1))
        metrics.write()
    await metrics.close()

    assert [f"{path}: metrics cannot be written (Is a directory); the run goes on"] == said
    assert ["taken.prom"] == [found.name for found in tmp_path.iterdir()]


def test_what_cannot_work_is_said_first(desk: Desk) -> None:
    """A folder that is not there, prometheus-client not installed: exit 2, in words, and nothing is sent."""
    desk.manifest([{"id": "boat", "prompt": "A boat."}])
    configure(desk, "metrics: {textfile: nowhere/batchgen.prom}\n")
    done = desk.do("run", "job.yaml")
    assert (2, True) == (done.code, "there is no folder nowhere (make it)" in done.err)

    (desk.folder / "prometheus_client.py").write_text("raise ImportError('not installed')")
    configure(desk, "metrics: {textfile: batchgen.prom}\n")
    done = desk.do("run", "job.yaml")
    assert (2, True) == (done.code, "-m pip install prometheus-client)" in done.err)
    assert [] == desk.till.requests
