"""Names of tasks and files."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core import naming


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        ("deep-blue", "Deep  blue!"),
        ("1-50", "1.50"),
        ("caf-au-lait", "Café au lait"),
        ("a" * 40, "a" * 41),
        ("a" * 39, "a" * 39 + " b"),
        ("", "日本"),
        ("", "\u212a"),
    ],
)
def test_slug(expected: str, value: str) -> None:
    """A varied value becomes its ASCII letters and digits in lower case, at most 40, runs of anything else a dash."""
    assert expected == naming.slug(value)


@given(st.text(max_size=200))
def test_slug_is_safe(value: str) -> None:
    """Whatever is varied, what lands in a file's name is letters, digits and single dashes, and stays so."""
    made = naming.slug(value)
    assert re.fullmatch(r"([a-z0-9]+(-[a-z0-9]+)*)?", made)
    assert len(made) <= naming.SLUG_LIMIT
    assert made == naming.slug(made)


@pytest.mark.parametrize(("expected", "sample"), [("01", 1), ("99", 99), ("100", 100), ("1000", 1000)])
def test_sample_number(expected: str, sample: int) -> None:
    """At least two digits and no further leading zeros."""
    assert expected == naming.sample_number(sample)


def test_task_id() -> None:
    """A task's id names prompt, varied values and sample."""
    assert naming.task_id("mug", ["red", "oak"], 1) == "mug--red-oak--01"
    assert naming.task_id("paper-boat", [], 12) == "paper-boat--12"


@pytest.mark.parametrize("name", ["a", "A9", "paper-boat", "x_y-", "0", "console", "com10", "a" * 100])
def test_fine_ids(name: str) -> None:
    """Ids are ASCII letters, digits, - and _, at most 100."""
    assert naming.id_fault(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "-a",
        "_a",
        ".a",
        "a.b",
        "a/b",
        "a\\b",
        "a b",
        "é",
        "a\n",
        "a\u202e",
        "C:x",
        "CON",
        "nul",
        "Com1",
        "lpt9",
        "a" * 101,
    ],
)
def test_refused_ids(name: str) -> None:
    """What any file system minds is refused, and the message is one printable line."""
    fault = naming.id_fault(name)
    assert fault is not None
    assert fault.isprintable()


def test_superseded_name() -> None:
    """A replaced image keeps its task's name, with its fingerprint, and a number when there are several."""
    assert naming.superseded_name("mug--01", "0123456789abcdef", "webp") == "mug--01.01234567.webp"
    assert (
        naming.superseded_name("mug--01", "0123456789abcdef", "webp", "c0ffee00")
        == "mug--01.01234567-c0ffee00.webp"
    )


def test_longest_name() -> None:
    """The longest task id still makes a file name within the limit when its image is superseded."""
    name = naming.superseded_name("a" * naming.TASK_ID_LIMIT, "0" * 64, "webp", "0" * naming.COPY_LENGTH)
    assert len(name) == naming.FILE_NAME_LIMIT_BYTES
