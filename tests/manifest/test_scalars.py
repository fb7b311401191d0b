"""What YAML makes of plain scalars."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from batchgen.manifest.document import Scalar
from batchgen.manifest.durations import parse_duration
from batchgen.manifest.moments import moment_fault
from batchgen.manifest.scalars import Kind, Unclear, kind_of, native


@pytest.mark.parametrize(
    ("expected", "texts"),
    [
        (
            Kind.TEXT,
            ["a", "y", "n", "None", "1024x1024", "1.2.3", "12a", "-", "..", "+", "2026-01", "1:x", "e3"],
        ),
        (Kind.NULL, ["", "~", "null", "NULL"]),
        (Kind.BOOLEAN, ["true", "False"]),
        (Kind.ODD_BOOLEAN, ["yes", "No", "ON", "off"]),
        (Kind.INTEGER, ["0", "12", "-7", "999999999999999999"]),
        (Kind.NUMBER, ["1.5", "1.50", "1e3", "-0.25E-2", "1000000000000000000000"]),
        (Kind.ODD_NUMBER, ["012", "0x1F", "0o17", "0b1", "1_000", "+1", ".5", "1.", ".inf", "-.INF", ".nan"]),
        (Kind.TIME, ["12:30", "6:30", "1:30:00", "190:20:30.15"]),
        (Kind.DATE, ["2026-01-31", "2026-1-1", "2026-01-31T06:30:00Z", "2026-01-31 06:30:00 +01:00"]),
    ],
)
def test_kinds(expected: Kind, texts: list[str]) -> None:
    """Plain scalars are sorted by what any version of YAML might make of them; quoted ones are text."""
    assert [expected] * len(texts) == [kind_of(Scalar(1, 1, text, plain=True)) for text in texts]
    assert [Kind.TEXT] * len(texts) == [kind_of(Scalar(1, 1, text, plain=False)) for text in texts]


@given(st.from_regex(r"\A[-+.0-9eExo:_~a-fnNtTyY]{1,12}\Z"))
def test_nothing_slips_through(text: str) -> None:
    """What PyYAML's resolver does not read as text is never taken as text, and numbers have the same value."""
    tag = yaml.SafeLoader("").resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]  # its stubs say no more
    value = native(Scalar(1, 1, text, plain=True))
    if tag != "tag:yaml.org,2002:str":
        assert not isinstance(value, str) or text in ("<<", "=")
    if isinstance(value, int | float) and not isinstance(value, bool):
        assert float(text) == value


def test_huge_numbers() -> None:
    """A number that no JSON reader would take needs quotes."""
    assert Unclear(Kind.ODD_NUMBER) == native(Scalar(1, 1, "1e999", plain=True))


@pytest.mark.parametrize(
    ("expected", "text"),
    [(18000.0, "5h"), (5400.0, "90m"), (600.0, "600s"), (5400.0, "1h30m"), (3661.0, "1h1m1s")],
)
def test_durations(expected: float, text: str) -> None:
    """Durations are hours, minutes and seconds, in this order."""
    assert expected == parse_duration(text)


@pytest.mark.parametrize("text", ["", "5", "5 hours", "30m1h", "-5h", "1.5h", "0s", "5H"])
def test_no_durations(text: str) -> None:
    """Anything else is none, and neither is a duration of no length."""
    assert parse_duration(text) is None


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (True, "06:30"),
        (True, "2026-01-31T06:30:00+01:00"),
        (True, "2026-01-31 06:30"),
        (True, "2026-01-31T06:30:00Z"),
        (True, "2000-01-01T00:00+14:00"),
        (True, "9000-12-31T23:59:59-14:00"),
        (False, "9999-12-31T23:59:59-14:00"),
        (False, "0001-01-01T00:00:00+14:00"),
        (False, "24:00"),
        (False, "6:30"),
        (False, "2026-01-31"),
        (False, "2026-02-31T06:30"),
        (False, "tomorrow"),
    ],
)
def test_moments(expected: bool, text: str) -> None:
    """A moment is a time of day or a date with a time, in years that can be counted with in every zone."""
    assert expected == (moment_fault(text) is None)
