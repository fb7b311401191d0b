"""What `deploy/` offers works as written: options exist, and nothing is killed that is paid for."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from batchgen.cli.nightly import command
from batchgen.cli.run import command as run_command
from batchgen.providers.settings import REQUEST_DEADLINE_S

DEPLOY = Path(__file__).parent.parent / "deploy"
SERVICE = (DEPLOY / "batchgen-nightly.service").read_text("utf-8")


def parsed(words: Sequence[str]) -> dict[str, Any]:
    """The options of `batchgen nightly FOLDER ...`, read by the command itself."""
    assert "nightly" == words[1]
    return command.make_context("nightly", [".", *words[3:]]).params


def setting(name: str) -> str:
    """One setting of the service."""
    found: list[str] = re.findall(rf"^{name}=(.*)$", SERVICE, re.MULTILINE)
    return found[-1]


def kubernetes() -> dict[str, Any]:
    """The CronJob."""
    document: dict[str, Any] = yaml.safe_load((DEPLOY / "batchgen-nightly.cronjob.yaml").read_text("utf-8"))
    return document


def cron_line() -> str:
    """The one line that is no comment and no setting."""
    lines = (DEPLOY / "batchgen-nightly.cron").read_text("utf-8").splitlines()
    (line,) = [line for line in lines if re.match(r"[\d*]", line)]
    return line


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not on this machine")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    """`systemd-analyze verify` finds nothing in them; the program's path is one that exists here."""
    for unit in DEPLOY.glob("batchgen-nightly.[st]*"):
        text = unit.read_text("utf-8").replace("/srv/images/.venv/bin/batchgen", shutil.which("true") or "")
        (tmp_path / unit.name).write_text(text, encoding="utf-8")
    units = sorted(str(path) for path in tmp_path.iterdir())
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], check=False, capture_output=True, text=True
    )
    assert 2 == len(units)
    told = [line for line in done.stderr.splitlines() if "batchgen" in line]
    assert (0, []) == (done.returncode, told), done.stderr


def test_the_service_waits_longer_than_a_request_may_take() -> None:
    """A stop reaches batchgen as SIGTERM and gives what is in flight its grace; it is not started again."""
    told = parsed(shlex.split(setting("ExecStart")))
    assert REQUEST_DEADLINE_S <= told["grace"] < float(setting("TimeoutStopSec"))
    assert ("SIGTERM", "no", "oneshot") == (setting("KillSignal"), setting("Restart"), setting("Type"))
    assert {"143", "130"} == set(setting("SuccessExitStatus").split())


def test_the_cron_line_is_a_command_of_this_program() -> None:
    """Its options exist, it takes a lock, and no percent sign ends it early."""
    words = shlex.split(cron_line())
    told = parsed(words[words.index(".venv/bin/batchgen") :])
    assert (True, 25.0, "06:30") == (told["quiet"], told["budget_usd"], told["finish_by"])
    assert ["flock", "-n"] == words[words.index("flock") : words.index("flock") + 2]
    assert "%" not in cron_line()


def test_kubernetes_waits_longer_than_a_request_may_take() -> None:
    """One night at a time, never again by itself, with the grace period longer than the grace."""
    spec = kubernetes()["spec"]
    job = spec["jobTemplate"]["spec"]
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    told = parsed(container["command"])
    assert REQUEST_DEADLINE_S <= told["grace"] < pod["terminationGracePeriodSeconds"]
    assert ("Forbid", 0, "Never") == (spec["concurrencyPolicy"], job["backoffLimit"], pod["restartPolicy"])
    assert 8 * 3600 + pod["terminationGracePeriodSeconds"] < job["activeDeadlineSeconds"]
    assert container["securityContext"]["readOnlyRootFilesystem"] and pod["securityContext"]["runAsNonRoot"]
    (key,) = [one for one in container["env"] if one["name"] == "COMETAPI_KEY"]
    assert {"valueFrom"} == key.keys() - {"name"}


def test_a_ray_cluster_waits_longer_than_a_request_may_take() -> None:
    """The head coordinates and has no key; workers have it from a Secret, and drain before they are ended."""
    document = yaml.safe_load((DEPLOY / "ray" / "batchgen-rayjob.yaml").read_text("utf-8"))
    spec = document["spec"]
    words = shlex.split(spec["entrypoint"])
    assert ["batchgen", "run"] == words[:2]
    told = run_command.make_context("run", [__file__, *words[3:]]).params
    assert ("ray", 25.0) == (told["engine"], told["budget_usd"])
    assert (0, 0) == (spec["backoffLimit"], spec["submitterConfig"]["backoffLimit"])
    head = spec["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    (group,) = spec["rayClusterSpec"]["workerGroupSpecs"]
    worker = group["template"]["spec"]
    ((coordinator,), (container,)) = head["containers"], worker["containers"]
    given = {one["name"]: one for one in container["env"]}
    assert "COMETAPI_KEY" not in {one["name"] for one in coordinator["env"]}
    assert {"valueFrom"} == given["COMETAPI_KEY"].keys() - {"name"}
    drain_s = float(given["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"]["value"])
    assert REQUEST_DEADLINE_S <= told["grace"] < drain_s < worker["terminationGracePeriodSeconds"]
    assert told["grace"] < head["terminationGracePeriodSeconds"]
    assert coordinator["volumeMounts"] == container["volumeMounts"]
    assert head["securityContext"]["runAsNonRoot"] and worker["securityContext"]["runAsNonRoot"]


def test_no_key_is_in_what_is_offered() -> None:
    """Keys come from a file or a Secret, never from a command line."""
    for path in (path for path in DEPLOY.rglob("*") if path.is_file()):
        lines = [line for line in path.read_text("utf-8").splitlines() if not line.lstrip().startswith("#")]
        assert not [line for line in lines if re.search(r"_KEY=|sk-", line)], path
