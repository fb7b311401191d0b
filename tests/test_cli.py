"""The command line itself: help, quietness, where words go, starter files, the sandbox."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from batchgen.cli.app import VERBS
from tests.support.cli import BATCHGEN, Desk, ended, pick, together
from tests.support.paid import Till

pytest_plugins = ("tests.support.fixtures",)

BOAT = [{"id": "boat", "prompt": "A boat."}]
JOBS = Path(__file__).parents[1] / "jobs"


def test_every_verb_helps(desk: Desk) -> None:
    """`batchgen VERB --help` works for every verb, and the list of verbs names them all."""
    listed = desk.do("--help").out
    started = {verb: desk.start(verb, "--help") for verb in VERBS}
    for verb, running in started.items():
        done = running.done()
        assert (0, "") == (done.code, done.err)
        assert f"Usage: batchgen {verb} " in done.out
        assert f"  {verb} " in listed
    assert desk.do("--version").out.startswith("batchgen ")


def test_help_is_quick(desk: Desk) -> None:
    """`batchgen --help` waits for no network, validation or terminal library."""
    command = [sys.executable, "-X", "importtime", "-m", "batchgen", "--help"]
    done = subprocess.run(command, env=desk.environ, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}

    assert "click" in imported
    assert set() == imported & {"aiohttp", "pydantic", "rich", "PIL", "jinja2", "yaml", "sqlite3"}


def test_people_read_stderr_when_machines_read_stdout(desk: Desk) -> None:
    """With `--json` stdout is one JSON line; progress and the summary for people are on stderr. Without, on stdout."""
    desk.manifest(BOAT)

    machine = desk.do("run", "job.yaml", "--json")
    people = desk.do("run", "job.yaml")

    assert ["job"] == [line["job"] for line in machine.lines]
    assert "the image is there" in machine.err
    assert "the image is there" in people.out
    assert "output/job/index.html" in people.out


def test_quiet_is_silent(desk: Desk) -> None:
    """`--quiet` says nothing when all is well; with `--json` only the line."""
    desk.manifest(BOAT)

    assert ("", "") == pick(vars(desk.do("run", "job.yaml", "--quiet")), "out", "err")
    done = desk.do("run", "job.yaml", "--quiet", "--json")
    assert (1, "") == (len(done.lines), done.err)


def test_verbose_says_each_request(desk: Desk, till: Till) -> None:
    """`--verbose` has a line for each request and image."""
    desk.manifest(BOAT)

    done = desk.do("run", "job.yaml", "--verbose")

    (request,) = till.requests
    assert request["headers"]["x-client-request-id"] in done.err
    assert "images/boat--01.png" in done.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
@pytest.mark.parametrize("how", ["2>&-", "2>/dev/full", ">/dev/full", ">&- 2>&- <&-"])
def test_words_that_nobody_takes_end_no_run(desk: Desk, how: str) -> None:
    """A closed stream, or a log on a full disk, stops neither this job nor the next, and nothing is paid for twice."""
    desk.manifest([{"id": "boat", "prompt": "A boat.", "images": 4}])
    desk.manifest([{"id": "cat", "prompt": "A cat."}], name="next.yaml", job="next")
    words = f'"$@" run job.yaml next.yaml --verbose --json {how}'

    done = subprocess.run(
        ["/bin/sh", "-c", words, "sh", *BATCHGEN],
        cwd=desk.folder,
        env=desk.environ,
        capture_output=True,
        check=False,
    )

    assert 0 == done.returncode
    assert 4 == len(desk.images())
    assert 5 == len(desk.till.charged)
    assert (">/dev/full" == how) == (b"standard output takes nothing more" in done.stderr)


def test_a_plan_of_each_task(desk: Desk) -> None:
    """`plan --tasks --json` has an object for each task, those that left the manifest last, with both values of what changed."""
    desk.manifest([*BOAT, {"id": "cat", "prompt": "A cat."}])
    desk.run()
    desk.manifest([{"id": "boat", "prompt": "A tin boat."}, {"id": "new", "prompt": "New."}])

    plan, tasks = desk.json("plan", "job.yaml"), desk.do("plan", "job.yaml", "--tasks", "--json").lines

    assert ["changed", "new", "removed"] == [task["change"] for task in tasks]
    assert ["job boat--01", "job new--01", "job cat--01"] == [
        f"{task['job']} {task['task_id']}" for task in tasks
    ]
    assert all(list(task) == list(tasks[0]) for task in tasks)
    assert [{"field": "prompt", "before": BOAT[0]["prompt"], "now": "A tin boat."}] == tasks[0]["differences"]
    assert (2, 2, {"prompt": 1}) == pick(plan, "to_send", "estimated", "changed_fields")
    assert plan["cost_usd"] == pytest.approx(sum(task["cost_usd"] or 0 for task in tasks))
    people = desk.do("plan", "job.yaml", "--tasks").out.splitlines()
    assert ["~ changed", "+ new", "- removed"] == [line[:9].strip() for line in people]


def test_a_dry_run_sends_nothing(desk: Desk, till: Till) -> None:
    """`run --dry-run` is `plan`: the same words, the same JSON, no folder, no request."""
    desk.manifest(BOAT)

    dry, plan = desk.do("run", "job.yaml", "--dry-run"), desk.do("plan", "job.yaml")

    assert (0, plan.out) == (dry.code, dry.out)
    assert desk.json("plan", "job.yaml") == desk.json("run", "job.yaml", "--dry-run")
    assert [] == till.requests
    assert not (desk.folder / "output").exists()


def test_confirm_asks_first(desk: Desk) -> None:
    """`--confirm` shows the plan and asks; anything but a yes sends nothing. With `--json` stdout stays JSON."""
    cases = (("y\n", 0, 1), ("n\n", 3, 0), ("", 3, 0))
    together(partial(_confirm, desk.beside(str(number)), *case) for number, case in enumerate(cases))


def _confirm(desk: Desk, answer: str, code: int, sent: int) -> None:
    desk.manifest(BOAT)
    running = desk.start("run", "job.yaml", "--confirm", "--json", stdin=subprocess.PIPE)
    out, err = running.process.communicate(answer, timeout=30)

    assert (code, sent) == (running.process.returncode, len(desk.till.requests))
    assert sent == len([json.loads(line) for line in out.splitlines()])
    assert "Plan for job" in err
    assert "Send 1 request for ~$" in err


def test_the_schema_is_json(desk: Desk) -> None:
    """`batchgen schema` prints a JSON Schema with the manifest's top keys."""
    schema = json.loads(desk.do("schema").out)

    keys = "batchgen job description provider model request prompt_template limits retry max_tasks priority report prompts"
    assert set(keys.split()) == schema["properties"].keys()
    assert {"batchgen", "prompts"} <= set(schema["required"])


def test_the_shipped_jobs_work(desk: Desk, till: Till) -> None:
    """`jobs/welcome.yaml` needs no key; `jobs/first-request.yaml` sends one small image and nothing optional."""
    first = desk.json("run", str(JOBS / "first-request.yaml"))
    del desk.environ["COMETAPI_KEY"]
    welcome = desk.json("run", str(JOBS / "welcome.yaml"))

    assert (12, 12, 0.0, None) == pick(welcome, "tasks", "stored", "cost_usd", "stopped_by")
    assert 1 == first["stored"]
    (request,) = till.requests
    assert {"model", "prompt", "n", "size", "quality"} == request["body"].keys()


def test_models_are_listed(desk: Desk) -> None:
    """`models` lists the catalogue, `models MODEL` one of it, both also as JSON."""
    listed = desk.do("models", "--json")

    names = {line["model"] for line in listed.lines}
    assert {"gpt-image-2", "gpt-image-2.5-flare", "qwen-image", "dall-e-3"} <= names
    one = desk.json("models", "gpt-image-2")
    assert "gpt-image-2" == one["model"]
    people = desk.do("models", "gpt-image-2").out
    assert "quality" in people
    assert "gpt-image-2" in desk.do("models", "gpt-imag-2").err


def test_the_configuration_is_found_upwards(desk: Desk, till: Till) -> None:
    """`batchgen.yaml` is found from the working directory upwards, never beside a manifest elsewhere, or by `--config`."""
    work, beside = desk.folder / "work" / "deep", desk.folder / "beside"
    for folder in (work, beside):
        folder.mkdir(parents=True)
    _configure(desk.folder / "work" / "batchgen.yaml", "output: results\n")
    _configure(beside / "batchgen.yaml", "output: wrong\n")
    other = _configure(desk.folder / "other.yaml", "output: chosen\n")
    desk.manifest(BOAT, name="beside/job.yaml")
    worker = Desk(work, till)

    assert 0 == worker.do("run", "../../beside/job.yaml").code
    assert 0 == worker.do("run", "../../beside/job.yaml", "--config", str(other), "--provider", "sandbox").code

    assert (desk.folder / "work" / "results" / "job" / "images" / "boat--01.png").exists()
    assert (desk.folder / "chosen" / "job.sandbox" / "images" / "boat--01.png").exists()
    assert not (beside / "wrong").exists()


def test_a_configured_provider(desk: Desk, till: Till) -> None:
    """A provider that the operator named is used with its own address and key; the manifest names only it."""
    _configure(
        desk.folder / "batchgen.yaml",
        f"providers: {{gateway: {{base_url: '{till.base_url}', key_env: GATEWAY_KEY}}}}\n",
    )
    desk.environ = {"PATH": desk.environ["PATH"], "GATEWAY_KEY": till.key}
    desk.manifest(BOAT, provider="gateway")

    assert 1 == desk.run()["stored"]
    assert 1 == len(till.requests)
    assert "gateway" in json.dumps(desk.sidecars())


def _configure(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o644)
    return path


def test_the_sandbox_serves_until_it_is_stopped(desk: Desk) -> None:
    """`sandbox --port 0` prints its URL, answers jobs of any key through it, and ends cleanly on SIGTERM."""
    desk.manifest(BOAT, retry={"max_attempts": 1})
    with ended(desk.start("sandbox", "--port", "0", "--refuse-word", "boat", "--answer", "url")) as running:
        assert running.process.stdout is not None
        url = running.process.stdout.readline().split()[0]
        connection = http.client.HTTPConnection(urlsplit(url).netloc)
        connection.request("GET", "/v1/models", headers={"Authorization": "Bearer anything"})
        models = json.loads(connection.getresponse().read())
        connection.close()
        assert "gpt-image-2" in {model["id"] for model in models["data"]}

        assert 1 == desk.run("--base-url", url, expect=1)["failed"]
        assert "refused" == desk.tasks()["boat--01"]["class"]
        desk.manifest([{"id": "boat", "prompt": "A ship."}])
        assert 1 == desk.run("--base-url", url)["stored"]
        running.signal(signal.SIGTERM)
        done = running.done()
    assert (0, "") == (done.code, done.err)


def test_the_sandbox_fails_by_name(desk: Desk) -> None:
    """`sandbox --fail` answers with the fault of that name; a name that there is not is exit 2, with the nearest one."""
    desk.manifest(BOAT, retry={"max_attempts": 1})
    with ended(desk.start("sandbox", "--port", "0", "--fail", "newapi_sensitive_words=1")) as running:
        assert running.process.stdout is not None
        url = running.process.stdout.readline().split()[0]
        assert 1 == desk.run("--base-url", url, expect=1)["failed"]
        assert "refused" == desk.tasks()["boat--01"]["class"]
        running.signal(signal.SIGTERM)
        assert 0 == running.done().code

    done = desk.do("sandbox", "--fail", "slowdown=0.1")
    assert 2 == done.code
    assert "there is no fault 'slowdown' (did you mean slow_down?)" in done.err
    assert "insufficient_quota         429, out of money" in desk.do("sandbox", "--help").out


def test_report_is_written_again(desk: Desk) -> None:
    """`batchgen report` writes the page and the tables anew from the ledger."""
    desk.manifest(BOAT)
    desk.run()
    for name in ("index.html", "results.csv", "results.jsonl"):
        (desk.job / name).unlink()

    done = desk.do("report", "job.yaml")

    assert (0, "output/job/index.html\n") == (done.code, done.out)
    assert "A boat." in (desk.job / "index.html").read_text()
    assert "boat--01" in (desk.job / "results.csv").read_text()
