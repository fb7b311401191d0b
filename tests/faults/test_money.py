"""The budget holds whatever the answers say, over resumes and kills; prices and bills are told as they are."""

from __future__ import annotations

import html
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from batchgen.core.errors import UsageError
from batchgen.core.events import AttemptSent, Event
from batchgen.core.types import StopReason
from batchgen.pool.stopping import Stop
from batchgen.reports.plan import render_plan
from batchgen.reports.text import usd_text
from batchgen.run import plan_job
from tests.faults.bench import Bench, bench
from tests.faults.wire import FAULTY, Act, Script, Seen, Wire, drawn, error, picture, said, wire
from tests.support.cli import ended, pick, until
from tests.support.png import png

KEY = "sk-canary-0123456789abcdefghijkl"
EXPECTED_USD = 0.00590
"""A low 1024x1024 image of gpt-image-2: 196 tokens at $30 a million, and a few of text."""

RATE = {"text": 5e-6, "image": 30e-6}


@pytest.fixture(scope="module")
def server() -> Iterator[Wire]:
    """One server for the module."""
    with wire() as running:
        yield running


def used(image_tokens: int) -> dict[str, Any]:
    """An answer's usage."""
    return {"input_tokens": 5, "output_tokens": image_tokens, "input_tokens_details": {"text_tokens": 5}}


Answers = Callable[[Seen, int], Script]
"""The request and how many came before it."""


def below(seen: Seen, _: int) -> Script:
    """Half of what was expected."""
    return drawn(png(seen.prompt), usage=used(98))


def above(seen: Seen, _: int) -> Script:
    """A fifth more, less the text: just within the bound."""
    return drawn(png(seen.prompt), usage=used(234))


def missing(seen: Seen, _: int) -> Script:
    """No usage: the bound is kept."""
    return drawn(png(seen.prompt), usage=None)


def lost(_seen: Seen, _: int) -> Script:
    """Nobody knows."""
    return said(502, b"Bad gateway")


def refused(_seen: Seen, _: int) -> Script:
    """Nothing is charged."""
    return error(400, "No boats.", "moderation_blocked")


def in_turn(*kinds: Answers) -> Answers:
    """One kind after the other."""
    return lambda seen, before: kinds[before % len(kinds)](seen, before)


MIXED = in_turn(below, above, missing, refused, lost, below, above, missing, below, above)
CASES = {
    "below": below,
    "above": above,
    "missing": missing,
    "lost": in_turn(missing, missing, missing, missing, lost),  # fewer than what pauses the job
    "mixed": MIXED,
}


def opened(server: Wire, folder: Path, answers: Answers, *, images: int = 60, **keys: object) -> Bench:
    """A job of many alike images at full concurrency."""
    count: Counter[str] = Counter()

    def answer(seen: Seen) -> Script:
        count["all"] += 1
        return answers(seen, count["all"] - 1)

    line = server.line(folder.name, (answer,))
    job = bench(folder, line, server.base_url(folder.name), KEY)
    prompts = [{"id": f"boat-{number}", "prompt": f"{FAULTY} boat {number:03d}"} for number in range(images)]
    settings: dict[str, Any] = {"retry": {"max_attempts": 2}, "limits": {"concurrency": 16}, **keys}
    job.manifest(prompts, **settings)
    return job


@pytest.mark.parametrize("case", CASES)
def test_the_ledger_never_counts_more_than_the_budget(case: str, server: Wire, tmp_path: Path) -> None:
    """At every moment of every run, what is spent, lost and reserved together stays within `budget_usd`."""
    budget_usd = 0.5
    limits = {"concurrency": 16, "budget_usd": budget_usd}
    retry = {"max_attempts": 2, "on_unknown": "hold" if case == "lost" else "resend"}
    job = opened(server, tmp_path, CASES[case], images=200, limits=limits, retry=retry)
    most = [0.0]

    def watch(event: Event) -> None:
        if isinstance(event, AttemptSent):
            most[0] = max(most[0], job.spent_usd())

    summaries = []
    for cut_after in (20, 20, 10**6):
        stop = Stop()
        notify = _both(watch, _cutting(stop, cut_after))
        summaries.append(job.work_alone(notify=notify, stop=stop))

    assert budget_usd / 2 < most[0] <= budget_usd
    last = summaries[-1]
    assert job.spent_usd() == last["job_cost_usd"] <= budget_usd
    assert round(sum(one["cost_usd"] for one in summaries), 6) == last["job_cost_usd"]
    assert ["signal", "signal", "budget"] == [one["stopped_by"] for one in summaries]
    # Nothing is left over that another request could have had.
    assert budget_usd - last["job_cost_usd"] < max(one["reserved_usd"] for one in job.money())
    assert len(job.line.orders) <= len(job.money())


def _cutting(stop: Stop, after: int) -> Callable[[Event], None]:
    """Cut a run in the middle, as a second signal does: what is in flight becomes unknown."""
    left = [after]

    def notify(event: Event) -> None:
        left[0] -= isinstance(event, AttemptSent)
        if left[0] == 0:
            stop.ask(StopReason.SIGNAL, "SIGTERM")
            stop.cut()

    return notify


def _both(*observers: Callable[[Event], None]) -> Callable[[Event], None]:
    def notify(event: Event) -> None:
        for observer in observers:
            observer(event)

    return notify


def test_the_budget_holds_over_kills(server: Wire, tmp_path: Path) -> None:
    """Requests that were in flight at SIGKILL count with their bounds; the next runs spend what is left and no more."""
    budget_usd = 0.15

    def slow_at_first(seen: Seen, before: int) -> Script:
        return (Act.HOLD, *picture(seen)) if before < 12 else MIXED(seen, before)

    job = opened(server, tmp_path, slow_at_first, limits={"concurrency": 6, "budget_usd": budget_usd})
    for killed in range(2):
        with ended(job.start("run", "job.yaml", "--json")) as running:
            until(lambda killed=killed: 6 * (killed + 1) == len(job.line.orders), running)  # type: ignore[misc]  # bound now
            running.signal(signal.SIGKILL)
            assert -signal.SIGKILL == running.done().code
        assert job.spent_usd() <= budget_usd
    job.line.released.set()

    summary = job.work_alone()

    assert (3, "budget") == pick(summary, "exit", "stopped_by")
    money = job.money()
    assert job.spent_usd() == summary["job_cost_usd"] <= budget_usd
    assert len(job.line.orders) == len(money)
    lost_at_kills = [one for one in money[:12] if one["paid"] == "maybe"]
    assert [12, True] == [
        len(lost_at_kills),
        all(one["cost_usd"] == one["reserved_usd"] for one in lost_at_kills),
    ]


def test_a_dearer_answer_than_any_bound_is_told_and_ends_the_spending(server: Wire, tmp_path: Path) -> None:
    """Usage above the bound is counted as it is; requests that were in flight are all that may pass the budget."""
    job = opened(
        server,
        tmp_path,
        lambda seen, _: drawn(png(seen.prompt), usage=used(2000)),
        limits={"concurrency": 1, "budget_usd": 0.10},
    )

    summary = job.work_alone()

    assert (3, "budget") == pick(summary, "exit", "stopped_by")
    each_usd = round(2000 * RATE["image"] + 5 * RATE["text"], 6)
    assert [each_usd, each_usd] == [one["cost_usd"] for one in job.money()]
    assert 2 == len(job.line.orders)


def test_a_runs_own_budget_is_its_own(server: Wire, tmp_path: Path) -> None:
    """`--budget-usd` bounds each run anew, and the job's total goes on."""
    job = opened(server, tmp_path, missing)

    first, second = job.work_alone(budget_usd=0.03), job.work_alone(budget_usd=0.02)

    assert [(3, "budget")] * 2 == [pick(one, "exit", "stopped_by") for one in (first, second)]
    assert (True, True) == (0 < first["cost_usd"] <= 0.03, 0 < second["cost_usd"] <= 0.02)
    assert round(first["cost_usd"] + second["cost_usd"], 6) == second["job_cost_usd"]
    assert first["stored"] == second["kept"]


def test_a_budget_needs_a_price(server: Wire, tmp_path: Path) -> None:
    """A model without any price is refused before anything is sent, unless each image is said to cost something."""
    job = opened(
        server, tmp_path, missing, images=5, model="my-own-model", request={}, limits={"budget_usd": 1.0}
    )

    with pytest.raises(UsageError, match="no price is known for my-own-model"):
        job.work_alone()
    assert [] == job.line.seen

    summary = job.work_alone(unpriced_usd=0.3)

    assert (3, "budget", 3, 0.9) == pick(summary, "exit", "stopped_by", "stored", "job_cost_usd")
    assert 3 == len(job.line.orders)


PRICES = [
    ("openai", "gpt-image-2", {}, "$0.00589", (0, 0)),
    ("cometapi", "gpt-image-2", {}, "~$0.00589", (1, 0)),
    ("openai", "gpt-image-2", {"extra": {"seed": 7}}, "~$0.00589", (1, 0)),
    ("openai", "my-own-model", None, "1 unpriced", (0, 1)),
]


@pytest.mark.parametrize(("provider", "model", "request_", "words", "sure"), PRICES)
def test_a_plan_says_how_sure_its_prices_are(
    provider: str,
    model: str,
    request_: Mapping[str, object] | None,
    words: str,
    sure: tuple[int, int],
    server: Wire,
    tmp_path: Path,
) -> None:
    """Exact, `~` estimated, or unpriced: in words and in JSON, without a request."""
    job = bench(tmp_path, server.line(tmp_path.name), server.base_url(tmp_path.name), KEY)
    job.environ |= {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.base_url(tmp_path.name)}
    look = {} if request_ is None else {"size": "1024x1024", "quality": "low", **request_}
    job.manifest([{"id": "boat", "prompt": "A boat."}], provider=provider, model=model, request=look)

    plan = anyio.run(plan_job, job.folder / "job.yaml", job.options())

    shown, told = render_plan(plan), plan.as_json()
    assert re.search(rf"^  cost +{re.escape(words)}$", shown, re.MULTILINE), shown
    assert sure == pick(told, "estimated", "unpriced")
    assert told["cost_usd"] == (0 if sure[1] else pytest.approx(EXPECTED_USD, abs=1e-4))
    assert [] == job.line.seen


def test_the_bill_tells_apart_paid_maybe_twice_and_free(server: Wire, tmp_path: Path) -> None:
    """Report and last lines say what was paid, what may have been paid twice, and what was refused for free."""

    def answers(seen: Seen, before: int) -> Script:
        if "000" in seen.prompt:
            return lost(seen, before)
        return error(400, "No.", "moderation_blocked") if "001" in seen.prompt else picture(seen)

    job = opened(server, tmp_path, answers, images=6)
    done = job.do("run", "job.yaml", "--json")

    assert 1 == done.code, done.err
    money = job.money()
    bound_usd = money[0]["reserved_usd"]
    twice_usd = sum(one["cost_usd"] for one in money if one["possible_duplicate"])
    assert round(bound_usd, 6) == round(twice_usd, 6) == done.last["maybe_paid_twice_usd"]
    assert [0.0] == [one["cost_usd"] for one in money if one["paid"] == "no"]
    page = re.sub(r"<(style|script)>.*?</\1>", " ", (job.job / "index.html").read_text(), flags=re.DOTALL)
    shown = {"the report": html.unescape(re.sub(r"<[^>]+>", " ", page)), "the last lines": done.err}
    for where, text in shown.items():
        line = " ".join(text.split())
        assert usd_text(done.last["job_cost_usd"]) in line, where
        assert re.search(rf"{re.escape(usd_text(twice_usd))}[^.]{{0,30}}paid twice", line), where
        # However it is worded: one refusal, and that it was free.
        assert re.search(
            r"\b1\b[^.]{0,40}refused[^.]{0,30}\bfree|refused[^.]{0,20}\bfree\b[^.]{0,20}\b1\b", line
        ), where
