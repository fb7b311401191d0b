"""When a run must have ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.deadlines import ends_at, look_ahead_s
from batchgen.core.types import Limits

BERLIN = ZoneInfo("Europe/Berlin")
EVENING = datetime(2026, 11, 23, 22, 0, tzinfo=BERLIN)


def utc(text: str) -> datetime:
    """A moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("finish_by", "started", "expected"),
    [
        ("06:30", EVENING, "2026-11-24T05:30"),
        ("23:59", EVENING, "2026-11-23T22:59"),
        ("22:00", EVENING, "2026-11-24T21:00"),
        ("22:01", EVENING, "2026-11-23T21:01"),
        ("06:30", datetime(2026, 12, 31, 23, 0, tzinfo=UTC), "2027-01-01T06:30"),
        ("2026-11-25T07:00", EVENING, "2026-11-25T06:00"),
        ("2026-11-25T07:00+09:00", EVENING, "2026-11-24T22:00"),
        ("2026-11-25T07:00Z", EVENING, "2026-11-25T07:00"),
        # The nights in which clocks are changed.
        ("06:30", datetime(2026, 10, 24, 22, 0, tzinfo=BERLIN), "2026-10-25T05:30"),
        ("06:30", datetime(2026, 3, 28, 22, 0, tzinfo=BERLIN), "2026-03-29T04:30"),
        ("02:30", datetime(2026, 10, 25, 2, 10, tzinfo=BERLIN), "2026-10-25T00:30"),
        ("02:30", datetime(2026, 10, 25, 2, 10, fold=1, tzinfo=BERLIN), "2026-10-25T01:30"),
    ],
)
def test_a_time_is_the_next_such_local_time(finish_by: str, started: datetime, expected: str) -> None:
    """Today's if it is still to come, else tomorrow's; a date with a time is taken as it is written."""
    assert utc(expected) == ends_at(Limits(finish_by=finish_by), started)


def test_a_machine_that_only_knows_its_offset_can_ask_its_zone() -> None:
    """A start with a fixed offset, in a night in which clocks are changed: `localize` knows better."""
    started = datetime(2026, 10, 24, 22, 0, tzinfo=timezone(timedelta(hours=2)))
    asked = Limits(finish_by="06:30")
    assert utc("2026-10-25T05:30") == ends_at(asked, started, lambda naive: naive.replace(tzinfo=BERLIN))


@pytest.mark.parametrize("started", [EVENING, datetime(2026, 10, 24, 22, 0, tzinfo=BERLIN)])
def test_a_duration_is_as_long_as_it_says(started: datetime) -> None:
    """Five hours are five hours, whatever clocks are set to meanwhile."""
    found = ends_at(Limits(max_duration_s=5 * 3600.0), started)
    assert started.astimezone(UTC) + timedelta(hours=5) == found


def test_the_earlier_bound_holds() -> None:
    """Both at once: whichever comes first."""
    both = Limits(finish_by="06:30", max_duration_s=3600.0)
    assert utc("2026-11-23T22:00") == ends_at(both, EVENING)


@pytest.mark.parametrize(
    ("expected_s", "longest_s", "left_s", "max_duration_s"),
    [
        (40.0, 40.0, 30.0, None),  # `finish_by`: the next night has more time
        (40.0, 40.0, 59.0, 60.0),
        (40.0, 40.0, 10.0, 3600.0),  # the recovery took the time, this once
        (0.0, 40.0, 29.0, 30.0),
        (0.0, 29.5, 29.0, 30.0),
        (0.0, 0.0, 29.0, 30.0),
    ],
)
def test_a_duration_that_no_image_fits_into_does_not_stop_every_run(
    expected_s: float, longest_s: float, left_s: float, max_duration_s: float | None
) -> None:
    """What could never be met does not count; what another run can meet does."""
    assert expected_s == look_ahead_s(longest_s, left_s, max_duration_s)


def test_without_a_bound_there_is_no_end() -> None:
    """Nothing asked, nothing given."""
    assert None is ends_at(Limits(), EVENING)


@given(
    st.builds(
        datetime.fromtimestamp,
        st.integers(1_577_836_800, 2_051_222_400),  # the years 2020 to 2034
        st.sampled_from([UTC, BERLIN]),
    ),
    st.integers(0, 23),
    st.integers(0, 59),
)
def test_the_next_time_is_within_a_day(started: datetime, hour: int, minute: int) -> None:
    """Never in the past, and at most a day away, with the hour of a changed clock."""
    found = ends_at(Limits(finish_by=f"{hour:02d}:{minute:02d}"), started)
    assert found is not None
    assert timedelta(0) < found - started <= timedelta(hours=25)
