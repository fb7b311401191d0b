"""All bounds of a run at once: the job's, the operator's and the flags', the lowest of which holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from batchgen.core.types import Limits
from batchgen.core.values import replace

SLOWEST_PER_MINUTE = 0.001
FASTEST_PER_MINUTE = 1_000_000.0
"""Rates outside of these are slips: an image in sixteen hours, or more than any provider makes."""


class LaneLimit(Struct, frozen=True):
    """Models that share one limit. None means no limit of their own."""

    models: tuple[str, ...]
    images_per_minute: float | None = None
    concurrency: int | None = None


class PoolLimits(Struct, frozen=True):
    """What a pool keeps to: everything together, and each lane on its own."""

    concurrency: int
    images_per_minute: float | None
    lanes: tuple[LaneLimit, ...]

    @property
    def slowest_per_minute(self) -> float | None:
        """The lowest of all rates, None when there is none."""
        return lowest(self.images_per_minute, *(lane.images_per_minute for lane in self.lanes))

    def least_seconds(self, counts: Mapping[str, int]) -> float | None:
        """The least time that tasks (counted by model) take at these rates, None when no rate bounds them."""
        bounds = [(sum(counts.values()), self.images_per_minute)]
        bounds += [
            (sum(counts.get(model, 0) for model in lane.models), lane.images_per_minute) for lane in self.lanes
        ]
        return max((60.0 * count / rate for count, rate in bounds if rate is not None), default=None)


def lowest(*values: float | None) -> float | None:
    """The lowest of the bounds that are set."""
    return min((value for value in values if value is not None), default=None)


def resolve_limits(
    limits: Limits, models: Sequence[str], provider: LaneLimit, ceilings: Iterable[LaneLimit]
) -> tuple[PoolLimits, list[str]]:
    """Bring a job's limits under the operator's; returns notices about values that were lowered.

    `provider` bounds the provider as a whole (its `models` are ignored), `ceilings` bound groups of its models.
    """
    notices = list(_notices(limits, provider))
    concurrency = int(lowest(limits.concurrency, provider.concurrency) or 1)
    together = lowest(limits.images_per_minute, provider.images_per_minute)
    groups = [_present(ceiling, models) for ceiling in ceilings]
    grouped = {model for group in groups for model in group.models}
    groups += [LaneLimit((model,)) for model in models if model not in grouped]
    lanes = tuple(_with_own_limit(group, limits) for group in groups if group.models)
    return PoolLimits(concurrency, together, lanes), notices


def _notices(limits: Limits, provider: LaneLimit) -> Iterable[str]:
    asked = (
        ("concurrency", limits.concurrency, provider.concurrency),
        ("images_per_minute", limits.images_per_minute, provider.images_per_minute),
    )
    for name, wanted, ceiling in asked:
        if wanted is not None and ceiling is not None and wanted > ceiling:
            yield f"{name} {wanted:g} is lowered to {ceiling:g}, the operator's ceiling"


def _present(ceiling: LaneLimit, models: Sequence[str]) -> LaneLimit:
    return replace(ceiling, models=tuple(model for model in ceiling.models if model in models))


def _with_own_limit(group: LaneLimit, limits: Limits) -> LaneLimit:
    """The manifest's rates are per model: the tightest of a group that shares a ceiling holds for the group."""
    own = [limits.model_images_per_minute.get(model) for model in group.models]
    return replace(group, images_per_minute=lowest(group.images_per_minute, *own))
