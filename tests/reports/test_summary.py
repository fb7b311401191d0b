"""The last lines of a run."""

from __future__ import annotations

from collections import Counter

import pytest

from batchgen.core.records import Totals
from batchgen.core.summary import RunSummary
from batchgen.core.types import StopReason
from batchgen.reports.summary import render_summary, stop_text


def test_a_good_night_is_short() -> None:
    """What was made, what it cost with the list price beside the sandbox's zero, and where to look."""
    summary = RunSummary(
        "welcome", "r1", 8, stored=8, attempts=8, seconds=4.2, list_usd=0.33, report="output/index.html"
    )

    expected = """\
welcome: done, all 8 images are there
  made     8 images in 4.2 s
  cost     $0.00 (list price $0.33)
  report   output/index.html"""
    assert expected == render_summary(summary, resume="R", retry="T")


def test_a_bad_night_says_what_to_do() -> None:
    """Failures come with the operator's advice, and what is left with the exact commands."""
    summary = RunSummary("spring", "r1", 20, stored=9, kept=2, failed=3, held=1, pending=5, attempts=17)
    summary.cost_usd, summary.job_cost_usd, summary.maybe_paid_twice_usd, summary.seconds = (
        0.82,
        1.02,
        0.04,
        734,
    )
    summary.stopped_by, summary.stop_detail = StopReason.BUDGET, "$0.02 left"
    summary.failures = Counter(refused=3, unknown=1)
    summary.totals = Totals(
        17, 1.02, unknown_usd=0.04, maybe_twice_usd=0.04, images=11, images_usd=0.9, useless_usd=0.08, refused=3
    )

    expected = """\
spring: stopped early, 11 of 20 images are there
  made     9 images in 12 min, 17 requests
  kept     2 images from before
  cost     $0.82, $1.02 by the job in all
           $0.90 of it paid for 11 images
           $0.08 of it for answers without a usable image
           up to $0.04 of it for answers that were lost
           up to $0.04 may have been paid twice
           3 requests refused by the provider's rules, free
  failed   3 tasks, 1 more held
           3 refused: Refused by the provider's content rules
             The refusal is final for this prompt; the reason and the request id
             are on the ledger.
           1 unknown: The answer was lost
             It may have been charged; ask the provider with the attempt's id,
             then use `batchgen retry`.
           order the same again with: batchgen retry s.yaml
  stopped  the budget is used up: $0.02 left
  left     5 tasks
           go on with: batchgen run s.yaml"""
    assert expected == render_summary(summary, resume="batchgen run s.yaml", retry="batchgen retry s.yaml")


@pytest.mark.parametrize("reason", StopReason)
def test_every_stop_has_words(reason: StopReason) -> None:
    """No run ends early without saying why in plain words."""
    words = stop_text(RunSummary("s", "r", stopped_by=reason))

    assert len(words.split()) > 2
