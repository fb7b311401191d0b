"""All bounds at once: the lowest holds, and what is lowered is said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.limits import LaneLimit, PoolLimits, lowest, resolve_limits
from batchgen.core.types import Limits

FREE = LaneLimit(())


def test_without_bounds_each_model_has_a_lane() -> None:
    """Concurrency is always bounded; rates only where someone says so."""
    limits, notices = resolve_limits(Limits(), ["a", "b"], FREE, [])
    assert PoolLimits(8, None, (LaneLimit(("a",)), LaneLimit(("b",)))) == limits
    assert [] == notices


@pytest.mark.parametrize(
    ("asked", "ceiling", "holds", "notices"),
    [
        (50.0, None, 50.0, []),
        (None, 120.0, 120.0, []),
        (50.0, 120.0, 50.0, []),
        (200.0, 120.0, 120.0, ["images_per_minute 200 is lowered to 120, the operator's ceiling"]),
    ],
)
def test_a_rate_over_the_ceiling_is_lowered_with_a_notice(
    asked: float | None, ceiling: float | None, holds: float, notices: list[str]
) -> None:
    """What the job asks for holds up to the operator's ceiling."""
    found = resolve_limits(Limits(images_per_minute=asked), ["a"], LaneLimit((), ceiling), [])
    assert (holds, notices) == (found[0].images_per_minute, found[1])


def test_concurrency_over_the_ceiling_is_lowered_with_a_notice() -> None:
    """The same for requests in flight."""
    limits, notices = resolve_limits(Limits(concurrency=64), ["a"], LaneLimit((), concurrency=32), [])
    assert 32 == limits.concurrency
    assert ["concurrency 64 is lowered to 32, the operator's ceiling"] == notices


def test_models_that_share_a_ceiling_share_a_lane() -> None:
    """A group has one lane; models of the group that the job does not use are left out; the rest have their own."""
    ceilings = [LaneLimit(("a", "b", "gone"), 20.0, 4), LaneLimit(("nobody",), 1.0)]
    limits, _ = resolve_limits(Limits(), ["b", "c", "a"], FREE, ceilings)
    assert (LaneLimit(("a", "b"), 20.0, 4), LaneLimit(("c",))) == limits.lanes


def test_the_tightest_rate_of_a_lane_holds() -> None:
    """The manifest's rate of a model holds under the operator's of its group, and the other way round."""
    own = Limits(model_images_per_minute={"a": 5.0, "b": 50.0, "c": 7.0})
    limits, _ = resolve_limits(own, ["a", "b", "c"], FREE, [LaneLimit(("b",), 20.0)])
    assert {("b",): 20.0, ("a",): 5.0, ("c",): 7.0} == {
        lane.models: lane.images_per_minute for lane in limits.lanes
    }


@pytest.mark.parametrize(
    ("limits", "counts", "seconds"),
    [
        (PoolLimits(8, None, (LaneLimit(("a",)),)), {"a": 10}, None),
        (PoolLimits(8, 60.0, (LaneLimit(("a",)),)), {"a": 10}, 10.0),
        (PoolLimits(8, 60.0, (LaneLimit(("a",), 6.0), LaneLimit(("b",)))), {"a": 10, "b": 30}, 100.0),
        (PoolLimits(8, 60.0, (LaneLimit(("a",), 60.0), LaneLimit(("b",)))), {"a": 10, "b": 300}, 310.0),
        (PoolLimits(8, None, (LaneLimit(("a", "b"), 10.0),)), {"a": 5, "b": 5}, 60.0),
        (PoolLimits(8, 60.0, ()), {}, 0.0),
    ],
)
def test_the_least_time_is_that_of_the_narrowest_bound(
    limits: PoolLimits, counts: dict[str, int], seconds: float | None
) -> None:
    """What `plan` expects: the slowest lane, or everything together."""
    assert seconds == limits.least_seconds(counts)


RATES = st.none() | st.floats(0.1, 10_000)


@given(RATES, RATES, RATES, st.integers(1, 100), st.none() | st.integers(1, 100))
def test_no_bound_is_ever_exceeded(
    job: float | None, provider: float | None, group: float | None, concurrency: int, ceiling: int | None
) -> None:
    """Whatever is set, nothing in the result is above it; every model has exactly one lane."""
    limits, _ = resolve_limits(
        Limits(images_per_minute=job, concurrency=concurrency, model_images_per_minute={"b": 3.0}),
        ["a", "b", "c"],
        LaneLimit((), provider, ceiling),
        [LaneLimit(("a", "b"), group)],
    )
    assert lowest(job, provider) == limits.images_per_minute
    assert limits.concurrency == min(concurrency, ceiling or concurrency)
    assert ["a", "b", "c"] == sorted(model for lane in limits.lanes for model in lane.models)
    assert lowest(group, 3.0) == limits.lanes[0].images_per_minute
