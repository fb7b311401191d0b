"""The limits that a manifest or a configuration writes down, over those that stand behind it."""

from __future__ import annotations

from batchgen.core.types import Limits
from batchgen.manifest import schema


def limits_of(written: schema.Limits, defaults: Limits) -> Limits:
    """What is written, and the defaults for the rest. A rate replaces rates by model, one end of a run the other."""
    given = written.model_fields_set
    rate = written.images_per_minute
    has_rate = "images_per_minute" in given
    has_end = bool({"finish_by", "max_duration"} & given)
    return Limits(
        images_per_minute=(rate if isinstance(rate, float) else None)
        if has_rate
        else defaults.images_per_minute,
        model_images_per_minute=(rate if isinstance(rate, dict) else {})
        if has_rate
        else defaults.model_images_per_minute,
        concurrency=written.concurrency or defaults.concurrency,
        budget_usd=written.budget_usd if "budget_usd" in given else defaults.budget_usd,
        finish_by=written.finish_by if has_end else defaults.finish_by,
        max_duration_s=written.max_duration if has_end else defaults.max_duration_s,
    )
