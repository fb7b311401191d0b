"""`batchgen models --refresh`, and what a kept list changes for a plan and a run."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from batchgen.catalogue.listing import Listed, ListedPrice, Listing
from batchgen.providers.kept import keep, kept_path, read_kept
from batchgen.system.clock import moment_text
from tests.support.cli import Desk, pick
from tests.support.paid import Till

pytest_plugins = ("tests.support.fixtures",)

BOAT = {"id": "boat", "prompt": "A boat."}
SHIP = {"id": "ship", "prompt": "A ship."}
COMET = ListedPrice(input_usd=4.0, output_usd=24.0)


class Lists:
    """A provider that only lists; `rows` is its public catalogue, and without any it has no lists.

    `requests` are paths with their keys.
    """

    def __init__(self, *rows: dict[str, Any]) -> None:
        self.rows = list(rows)
        self.requests: list[tuple[str, str | None]] = []
        self.base_url = ""

    def answer(self, path: str) -> tuple[int, object]:
        """Status and document."""
        if not self.rows:
            return 404, {"error": {"message": "no such address"}}
        if path == "/api/models":
            return 200, {"success": True, "page": 0, "page_size": 0, "total": len(self.rows), "data": self.rows}
        return 200, {"object": "list", "data": [{"id": row["id"], "object": "model"} for row in self.rows]}


def image(model: str, **pricing: float) -> dict[str, Any]:
    """A row of the catalogue."""
    return {"id": model, "model_type": "image", "pricing": {"currency": "USD / M Tokens", **pricing}}


@contextmanager
def listing(lists: Lists) -> Iterator[Lists]:
    """Serve it on a loopback port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            lists.requests.append((self.path, self.headers["Authorization"]))
            status, document = lists.answer(self.path)
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: the tests look at `requests`."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            lists.base_url = f"http://127.0.0.1:{server.server_port}"
            yield lists
        finally:
            server.shutdown()
            thread.join()


def kept(desk: Desk, *models: Listed, days_ago: int = 0, host: str | None = None) -> None:
    """Keep a list of the till's models, as if it had been read some days ago."""
    read = moment_text(datetime.now(UTC) - timedelta(days=days_ago))
    there = host or urlsplit(desk.till.base_url).netloc
    keep(desk.folder / "output", Listing("cometapi", there, read, {model.model_id: model for model in models}))


def test_a_refresh_is_kept_and_compared(desk: Desk, till: Till) -> None:
    """The first list is compared with the catalogue, the next with the first; the key goes to the list alone."""
    with listing(Lists(image("gpt-image-2", input=4, output=24), image("flux-1", per_request=0.04))) as lists:
        desk.environ["COMETAPI_BASE_URL"] = lists.base_url
        first = desk.do("models", "--refresh")
        lists.rows[1:] = [image("flux-2", per_request=0.05)]
        lists.rows[0]["pricing"]["output"] = 30
        second = desk.do("models", "--refresh", "--json")

    assert (0, "") == (first.code, first.err)
    assert "v cheaper   gpt-image-2" in first.out
    assert "+ new       flux-1" in first.out
    assert [("new", "flux-2"), ("gone", "flux-1"), ("dearer", "gpt-image-2")] == [
        pick(line, "news", "model") for line in second.lines[:-1]
    ]
    assert (2, 2, 1, 1, "output/.models/cometapi.json") == pick(
        second.last, "models", "image_models", "new", "gone", "file"
    )
    assert {("/v1/models", f"Bearer {till.key}"), ("/api/models", None)} == set(lists.requests)
    now = read_kept(desk.folder / "output", "cometapi")
    assert now is not None
    assert ListedPrice(4.0, 30.0) == now.models["gpt-image-2"].price


def test_a_refresh_that_fails_leaves_the_earlier_list(desk: Desk) -> None:
    """It ends with 2 and a line that says what to do."""
    kept(desk, Listed("flux-1"))
    before = kept_path(desk.folder / "output", "cometapi").read_bytes()

    with listing(Lists()) as lists:
        done = desk.do("models", "--refresh", "--base-url", lists.base_url)

    assert (2, "") == (done.code, done.out)
    assert "/api/models has no list (HTTP 404: no such address)" in done.err
    assert before == kept_path(desk.folder / "output", "cometapi").read_bytes()


def test_a_refresh_needs_no_key_where_prices_are_public(desk: Desk) -> None:
    """And says so; another provider needs one. The embedded sandbox is asked without any."""
    del desk.environ["COMETAPI_KEY"]
    with listing(Lists(image("gpt-image-2", input=4, output=24))) as lists:
        public = desk.do("models", "--refresh", "--base-url", lists.base_url, "--output", "elsewhere")

    assert 0 == public.code
    assert "COMETAPI_KEY or COMETAPI_API_KEY is not set" in public.out
    assert (desk.folder / "elsewhere" / ".models" / "cometapi.json").exists()
    refused = desk.do("models", "--refresh", "--provider", "openai")
    assert (2, True) == (refused.code, "set OPENAI_API_KEY" in refused.err)
    sandbox = desk.json("models", "--refresh", "--provider", "sandbox")
    assert ("sandbox", "embedded sandbox") == pick(sandbox, "provider", "host")
    assert 2 == desk.do("models", "--refresh", "--provider", "nobody").code
    assert 2 == desk.do("models", "gpt-image-2", "--refresh").code


def test_models_say_what_the_provider_lists(desk: Desk) -> None:
    """Where a model was listed when, and for how much there; a model that only the provider knows is named."""
    kept(
        desk,
        Listed("gpt-image-2", price=COMET, shutdown=date(2030, 1, 1)),
        Listed("flux-1"),
        Listed("gpt-image-2.6-flare"),
    )
    today = datetime.now(UTC).date()

    everything = desk.do("models").out
    one = desk.do("models", "gpt-image-2").out
    unknown = desk.do("models", "flux-1")

    listed = f"at      cometapi: in its list of {today}, ~$0.0423 for a typical image, until 2030-01-01"
    assert listed in everything
    assert f"at      cometapi: not in its list of {today}" in everything
    assert f"The same at cometapi, by its list of {today} (estimated)" in one
    assert "medium  $0.0423" in one
    (offer,) = desk.json("models", "gpt-image-2")["providers"]
    assert ("cometapi", True, 0.042344) == (offer["provider"], offer["listed"], offer["prices"]["medium"])
    assert (2, True) == (unknown.code, "cometapi lists it" in unknown.err)


def test_a_plan_uses_the_provider_s_own_prices(desk: Desk, till: Till) -> None:
    """For the sum, for the budget's bound and for what an answer's usage costs; marked as an estimate."""
    kept(desk, Listed("gpt-image-2", price=COMET), Listed("flux-1", price=ListedPrice(each_usd=0.03)))
    desk.manifest(
        [BOAT, {"id": "flux", "prompt": "A boat.", "model": "flux-1"}],
        request={},
        limits={"budget_usd": 1},
    )

    plan = desk.json("plan", "job.yaml")
    desk.manifest([BOAT])
    low = desk.json("plan", "job.yaml")

    assert (2, 0) == pick(plan, "estimated", "unpriced")
    assert any("has the price that cometapi lists" in notice for notice in plan["notices"])
    # 196 tokens at $24 and 2 at $4 a million.
    assert (0.004712, 1) == pick(low, "cost_usd", "estimated")
    # The answer's usage is 10 tokens in and 196 out.
    assert 0.004744 == desk.run()["cost_usd"]
    assert 1 == len(till.requests)


def test_an_operator_s_price_is_above_the_list(desk: Desk) -> None:
    """`price_usd` in batchgen.yaml wins."""
    kept(desk, Listed("gpt-image-2", price=COMET))
    path = desk.folder / "batchgen.yaml"
    path.write_text("catalogue: {gpt-image-2: {price_usd: 0.5}}\n")
    path.chmod(0o644)
    desk.manifest([BOAT])

    assert (0.5, 0) == pick(desk.json("plan", "job.yaml"), "cost_usd", "estimated")


def test_a_list_of_another_host_or_provider_does_not_count(desk: Desk) -> None:
    """Prices of one gateway say nothing of another; a rehearsal on the sandbox is free as ever."""
    kept(desk, host="api.cometapi.com")
    desk.manifest([BOAT])

    plan = desk.json("plan", "job.yaml")
    assert (0.00589, []) == pick(plan, "cost_usd", "notices")
    kept(desk)
    rehearsal = desk.json("plan", "job.yaml", "--provider", "sandbox")
    assert (0.0, []) == pick(rehearsal, "cost_usd", "notices")


def test_models_that_are_gone_or_going_are_warned_of(desk: Desk) -> None:
    """By validate, plan and run, at their place in the manifest; nothing is stopped by it."""
    soon = datetime.now(UTC).date() + timedelta(days=10)
    kept(desk, Listed("gpt-image-2.5-flare", shutdown=soon), days_ago=40)
    desk.manifest([BOAT, {**SHIP, "model": "gpt-image-2.5-flare"}])

    validated = desk.do("validate", "job.yaml")
    plan = desk.json("plan", "job.yaml")
    run = desk.do("run", "job.yaml", "--json")

    assert (0, 0) == (validated.code, run.code)
    for told in (validated.out, "\n".join(plan["notices"]), " ".join(run.err.split())):
        assert "warning: cometapi did not list gpt-image-2 on " in told
        assert f"warning: gpt-image-2.5-flare retires on {soon}" in told
    assert any("models and prices is 40 days old" in notice for notice in plan["notices"])


def test_a_model_that_became_dearer_is_told_once(desk: Desk) -> None:
    """With what a task costs now and when the job was last planned; silent once a run was told."""
    kept(desk, Listed("gpt-image-2", price=COMET))
    desk.manifest([BOAT])
    desk.run()
    kept(desk, Listed("gpt-image-2", price=ListedPrice(5.0, 30.0)))
    nothing_to_send = desk.json("plan", "job.yaml")["notices"]
    desk.manifest([BOAT, SHIP])

    plan = desk.json("plan", "job.yaml")
    run = desk.do("run", "job.yaml", "--json")
    desk.manifest([BOAT, SHIP, {"id": "raft", "prompt": "A raft."}])

    words = (
        "gpt-image-2 became dearer since this job was last planned: boat--01 is expected to cost $0.00589, "
        "then $0.004712"
    )
    assert [] == nothing_to_send
    assert [words] == plan["notices"]
    assert words in " ".join(run.err.split())
    assert [] == desk.json("plan", "job.yaml")["notices"]


def test_a_broken_kept_list_is_as_good_as_none(desk: Desk) -> None:
    """It only advises: a plan goes on, a refresh replaces it."""
    path: Path = kept_path(desk.folder / "output", "cometapi")
    path.parent.mkdir(parents=True)
    path.write_text('{"version": 1, "data": [')
    desk.manifest([BOAT])

    assert (0.00589, []) == pick(desk.json("plan", "job.yaml"), "cost_usd", "notices")
    assert "" == desk.do("status").out
