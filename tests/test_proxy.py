"""The environment's proxy is used only where the operator says so, and never in silence."""

from __future__ import annotations

from tests.providers.servers import free_port
from tests.support.cli import Desk, together
from tests.support.paid import Till

pytest_plugins = ("tests.support.fixtures",)


def test_a_run_through_a_proxy_says_so(desk: Desk, till: Till) -> None:
    """With `trust_env` the proxy's host is told, without its password, and what it refuses was not sent."""
    desk.manifest([{"id": "boat", "prompt": "A boat."}], retry={"max_attempts": 1})
    proxy = f"127.0.0.1:{free_port()}"
    desk.environ["http_proxy"] = f"http://user:secret-word@{proxy}"
    config = desk.folder / "batchgen.yaml"
    config.write_text("providers: {cometapi: {trust_env: true}}\n")
    config.chmod(0o600)

    plan, run = together([lambda: desk.do("plan", "job.yaml"), lambda: desk.do("run", "job.yaml")])

    for done in (plan, run):
        assert f"through the proxy {proxy}" in done.out + done.err
        assert "secret-word" not in done.out + done.err
    assert (1, []) == (run.code, list(till.requests))
    (failed,) = desk.tasks().values()
    assert "transient" == failed["class"]
    assert proxy in failed["reason"]


def test_a_run_without_that_knows_no_proxy(desk: Desk, till: Till) -> None:
    """The environment alone leads no request elsewhere."""
    desk.manifest([{"id": "boat", "prompt": "A boat."}])
    desk.environ["http_proxy"] = desk.environ["HTTPS_PROXY"] = f"http://127.0.0.1:{free_port()}"

    done = desk.do("run", "job.yaml")

    assert (0, 1) == (done.code, len(till.requests))
    assert "proxy" not in done.out + done.err
