"""Where a job's money went, told apart: paid for images, paid for nothing, perhaps paid, perhaps paid twice, free."""

from __future__ import annotations

from collections.abc import Iterator

from batchgen.core.records import Totals
from batchgen.reports.text import counted, usd_text


def money_notes(totals: Totals) -> list[str]:
    """A line for each part that is there; where all went into images, the sum alone says it."""
    return list(_notes(totals))


def _notes(totals: Totals) -> Iterator[str]:
    if totals.images_usd and totals.images_usd != totals.spent_usd:
        yield f"{usd_text(totals.images_usd)} of it paid for {counted(totals.images, 'image')}"
    if totals.useless_usd:
        yield f"{usd_text(totals.useless_usd)} of it for answers without a usable image"
    if totals.unknown_usd:
        yield f"up to {usd_text(totals.unknown_usd)} of it for answers that were lost"
    if totals.maybe_twice_usd:
        yield f"up to {usd_text(totals.maybe_twice_usd)} may have been paid twice"
    if totals.refused:
        yield f"{counted(totals.refused, 'request')} refused by the provider's rules, free"
