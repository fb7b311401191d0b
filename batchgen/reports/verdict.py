"""What `verify` found, in words: what is wrong, where, and what mends it."""

from __future__ import annotations

from collections.abc import Iterator

from batchgen.core.plain import safe_text
from batchgen.core.verdict import Finding, Verdict
from batchgen.reports.text import counted, indented

NAMES_SHOWN = 10
_INDENT = " " * 11


def render_verdict(verdict: Verdict, *, repair: str, run: str) -> str:
    """Plain text without a final line end. `repair` and `run` are the exact commands that go on from here."""
    return "\n".join(
        [*_headline(verdict), *_ledger(verdict), *_findings(verdict), *_next(verdict, repair, run)]
    )


def _headline(verdict: Verdict) -> Iterator[str]:
    job, images = safe_text(verdict.job), counted(verdict.images, "image")
    if verdict.sound and not verdict.repair:
        yield f"{job}: {images} read to the last byte, all as they were stored"
    elif verdict.sound:
        yield f"{job}: in step, {images} read to the last byte, nothing is lost"
    else:
        yield f"{job}: not as it should be, {images} read to the last byte"


def _ledger(verdict: Verdict) -> Iterator[str]:
    if not verdict.ledger:
        return
    yield indented(safe_text(verdict.ledger), _INDENT, first="  ledger   ")
    if verdict.fetched:
        yield f"{_INDENT}its copy in the store was put in its place"
    elif verdict.repair:
        aside = f"; the old one is {verdict.kept_aside}, {counted(verdict.salvaged, 'row')} of it taken over"
        yield f"{_INDENT}a new one was made{aside if verdict.kept_aside else ''}"


def _findings(verdict: Verdict) -> Iterator[str]:
    done = verdict.repair
    rows = (
        ("missing", verdict.missing, "stored once, but gone"),
        ("altered", verdict.altered, "not the bytes that were stored"),
        (
            "unnoted",
            verdict.unnoted,
            "taken in: whole, but not on the ledger" if done else "whole, but not on the ledger",
        ),
        (
            "sidecar",
            verdict.without_sidecar,
            "whole; the sidecar was written again" if done else "whole, but without its sidecar",
        ),
        (
            "runs",
            verdict.forgotten,
            f"not on the ledger; {counted(verdict.replayed, 'request')} without an image noted again from their logs"
            if done
            else "not on the ledger; their requests without an image are forgotten",
        ),
        ("pending", verdict.requeued, "put back, to be made again by the next run"),
        ("foreign", verdict.foreign, "not batchgen's, left alone"),
    )
    for name, finding, words in rows:
        if finding.count:
            yield f"  {name:<8} {finding.count:,} {words}"
            yield from _names(finding)


def _names(finding: Finding) -> Iterator[str]:
    for name in finding.names[:NAMES_SHOWN]:
        yield f"{_INDENT}{safe_text(name)}"
    if finding.count > NAMES_SHOWN:
        yield f"{_INDENT}and {finding.count - NAMES_SHOWN:,} more"


def _next(verdict: Verdict, repair: str, run: str) -> Iterator[str]:
    if not verdict.sound and not verdict.repair:
        yield f"  repair   {repair}"
    elif verdict.requeued.count:
        yield f"  go on    {run}"
        yield f"{_INDENT}this buys them again; put the files back from a backup and repair once more to keep what you paid for"
