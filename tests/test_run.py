"""A first run and a second one, over real HTTP, against a provider of another make."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from pathlib import Path

import pytest

from tests.support.cli import Desk, pick, together
from tests.support.paid import IMAGE_USD, Rule, Till

pytest_plugins = ("tests.support.fixtures",)

SUMMARY = [
    "job",
    "run_id",
    "tasks",
    "stored",
    "kept",
    "failed",
    "held",
    "pending",
    "attempts",
    "images_per_minute",
    "cost_usd",
    "job_cost_usd",
    "maybe_paid_twice_usd",
    "stopped_by",
    "seconds",
]

PROMPTS: list[dict[str, object]] = [
    {"id": "boat", "prompt": "A paper boat.", "images": 2},
    {"id": "mug", "prompt": "A {color} mug.", "vary": {"color": ["red", "Sea Blue"]}, "tags": ["shop"]},
    {"id": "tree", "prompt": "A tree.", "request": {"quality": "high", "extra": {"newer_seed": 7}}},
]
TASKS = {
    "boat--01": "A paper boat.",
    "boat--02": "A paper boat.",
    "mug--red--01": "A red mug.",
    "mug--sea-blue--01": "A Sea Blue mug.",
    "tree--01": "A tree.",
}


def test_nothing_but_a_base_url_and_a_key(desk: Desk) -> None:
    """With `--base-url` (with or without `/v1`) and a key alone, every image is there, byte for byte."""
    paths = ("", "/v1/")
    together(partial(_first_run, desk.beside(str(number)), path) for number, path in enumerate(paths))


def _first_run(desk: Desk, path: str) -> None:
    till = desk.till
    del desk.environ["COMETAPI_BASE_URL"]
    desk.manifest(PROMPTS)

    summary = desk.run("--base-url", f"http://127.0.0.1:{till.port}{path}")

    assert (5, 5, 0, 0) == (summary["tasks"], summary["stored"], summary["failed"], summary["pending"])
    made, sidecars = till.images, desk.sidecars()
    by_attempt = {request["headers"]["x-client-request-id"]: request for request in till.requests}
    assert TASKS.keys() == desk.images().keys() == sidecars.keys()
    for task_id, data in desk.images().items():
        request = by_attempt.pop(sidecars[task_id]["attempt_id"])
        assert made[request["name"]] == data
        assert TASKS[task_id] == request["body"]["prompt"]
    assert {} == by_attempt


def test_a_request_is_the_manifests_own_values_and_nothing_more(desk: Desk, till: Till) -> None:
    """One request a task: `model`, `n` of 1, the prompt, the manifest's parameters and `extra`; the right headers."""
    desk.manifest(PROMPTS)

    desk.run()

    requests = till.requests
    common = {"model": "gpt-image-2", "n": 1, "size": "1024x1024"}
    small = common | {"quality": "low"}
    expected = [
        *(small | {"prompt": prompt} for prompt in list(TASKS.values())[:4]),
        common | {"quality": "high", "newer_seed": 7, "prompt": "A tree."},
    ]
    order = partial(json.dumps, sort_keys=True)
    assert sorted(expected, key=order) == sorted((request["body"] for request in requests), key=order)
    attempts = {attempt["attempt_id"]: attempt["task_id"] for attempt in desk.attempts()}
    assert attempts.keys() == {request["headers"]["x-client-request-id"] for request in requests}
    assert len(TASKS) == len({request["headers"]["idempotency-key"] for request in requests})
    for request in requests:
        assert f"Bearer {till.key}" == request["headers"]["authorization"]
        assert "application/json" == request["headers"]["content-type"]


def test_the_summary_is_the_contracts(desk: Desk) -> None:
    """`run --json` ends with exactly the contract's fields, in order; the money is the bill's."""
    desk.manifest(PROMPTS[:2])

    done = desk.do("run", "job.yaml", "--json")

    assert 0 == done.code
    assert SUMMARY == list(done.last)
    assert ("job", 4, 4, None) == pick(done.last, "job", "attempts", "stored", "stopped_by")
    assert pytest.approx(4 * IMAGE_USD) == done.last["cost_usd"] == done.last["job_cost_usd"]
    assert done.last["images_per_minute"] > 0
    kept = json.loads((desk.job / "runs" / done.last["run_id"] / "summary.json").read_text())
    assert done.last == kept


def test_a_second_run_buys_nothing(desk: Desk, till: Till) -> None:
    """Running again sends nothing, keeps all, costs nothing, and leaves every file as it was."""
    desk.manifest(PROMPTS)
    desk.run()
    before = _files(desk.job / "images")

    summary = desk.run()

    assert (5, 0, 5, 0) == pick(summary, "tasks", "stored", "kept", "attempts")
    assert 0 == summary["cost_usd"] < summary["job_cost_usd"]
    assert len(TASKS) == len(till.requests)
    assert before == _files(desk.job / "images")


def test_the_output_folder_is_the_contracts(desk: Desk) -> None:
    """Images with sidecars, ledger, results, report, the run's own folder; nothing half made is left behind."""
    desk.manifest(PROMPTS[:1])

    run_id = desk.run()["run_id"]

    there = {str(path.relative_to(desk.job)) for path in desk.job.rglob("*") if path.is_file()}
    images = {f"images/boat--0{n}.{kind}" for n in (1, 2) for kind in ("png", "json")}
    run = {f"runs/{run_id}/{name}" for name in ("job.yaml", "events.jsonl", "summary.json")}
    assert images | run | {"ledger.sqlite", "results.jsonl", "results.csv", "index.html", ".lock"} == there
    assert ["0o600", "0o700"] == [
        oct((desk.job / name).stat().st_mode & 0o777) for name in ("ledger.sqlite", "state")
    ]
    assert 2 == len((desk.job / "results.jsonl").read_text().splitlines())
    assert "A paper boat." in (desk.job / "index.html").read_text()


def test_a_sidecar_tells_where_an_image_comes_from(desk: Desk, till: Till) -> None:
    """Beside each image: its request, answer, usage, cost, provider, host, model and hashes; never the key."""
    desk.manifest(PROMPTS[2:])

    summary = desk.run()

    sidecar = desk.sidecars()["tree--01"]
    task = desk.tasks()["tree--01"]
    told = json.dumps(sidecar)
    assert hashlib.sha256(desk.images()["tree--01"]).hexdigest() == sidecar["sha256"] == task["sha256"]
    assert task["fingerprint"] == sidecar["fingerprint"]
    for words in (
        "A tree.",
        "gpt-image-2",
        "cometapi",
        f"127.0.0.1:{till.port}",
        "req-image-1",
        summary["run_id"],
    ):
        assert words in told
    assert till.key not in told


def test_a_link_is_on_the_ledger_before_it_is_fetched_and_gets_no_key(desk: Desk, till: Till) -> None:
    """An answer may be a link: it is downloaded at once, without the key, and stored like any other image."""
    till.script(Rule(do="url"))
    desk.manifest(PROMPTS[:1])

    summary = desk.run()

    assert 2 == summary["stored"]
    assert sorted(till.images.values()) == sorted(desk.images().values())
    assert ["image-1", "image-2"] == sorted(download["name"] for download in till.downloads)
    for download in till.downloads:
        assert till.key not in json.dumps(download)
        assert "authorization" not in download["headers"]


def test_an_image_is_what_its_bytes_say(desk: Desk, till: Till) -> None:
    """Type and size come from the bytes: a request for WebP that is answered with a PNG is stored as a PNG."""
    desk.manifest(PROMPTS[:1], request={"size": "1024x1024", "quality": "low", "output_format": "webp"})

    desk.run()

    assert {"boat--01", "boat--02"} == desk.images().keys()
    assert "image/png" in json.dumps(desk.sidecars()["boat--01"])
    assert till.requests[0]["body"]["output_format"] == "webp"


def _files(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
