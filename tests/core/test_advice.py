"""What a failure tells a writer can be understood, and done, without knowing how batchgen or a network works."""

from __future__ import annotations

import re

import pytest

from batchgen.core.advice import ADVICE
from batchgen.core.types import FailureClass

JARGON = re.compile(
    r"\b(HTTP|JSON|API|URL|tokens?|requests?|headers?|status|attempts?|ledger|quarantine|fingerprint|class|time-?out|server"
    r"|[45]\d\d)\b",
    re.IGNORECASE,
)


@pytest.mark.parametrize("failure_class", FailureClass)
def test_writers_need_no_jargon(failure_class: FailureClass) -> None:
    """Every class has a title and one sentence without a word of the trade, and says what to do or that there is nothing."""
    advice = ADVICE[failure_class]

    assert [] == JARGON.findall(f"{advice.title}. {advice.writer}")
    assert re.search(r"[Rr]eword|[Cc]hange|[Cc]hoose|[Aa]sk the operator|tell the operator", advice.writer)
    assert advice.writer.endswith(".")
