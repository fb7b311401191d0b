"""Placeholders."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.manifest.template import MOST_FAULTS, mentioned, parse_template

texts = st.text(st.characters(exclude_characters="{}"), max_size=20)
braces = st.text("{}ab ", max_size=12)


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("plain", "plain"),
        ("A red mug", "A {color} mug"),
        ("red red", "{color} {color}"),
        ("{color} red", "{{color}} {color}"),
        ("{red}", "{{{color}}}"),
        ("größer", "{grö-ße_2}er"),
    ],
)
def test_render(expected: str, text: str) -> None:
    """A name in braces is replaced, doubled braces are braces."""
    assert expected == parse_template(text).render({"color": "red", "grö-ße_2": "größ"})


@given(
    st.dictionaries(st.sampled_from(["a", "b", "c"]), braces, min_size=3),
    st.lists(texts, min_size=4, max_size=4),
)
def test_once(values: dict[str, str], around: list[str]) -> None:
    """What a value holds is never looked at again, not even braces or other variables' names."""
    rendered = parse_template(f"{around[0]}{{a}}{around[1]}{{b}}{around[2]}{{c}}{around[3]}").render(values)
    assert around[0] + values["a"] + around[1] + values["b"] + around[2] + values["c"] + around[3] == rendered


@given(st.text(max_size=40))
def test_doubling_keeps_any_text(text: str) -> None:
    """Any text can be written: with its braces doubled it comes out as it was."""
    assert text == parse_template(text.replace("{", "{{").replace("}", "}}")).render({})


@pytest.mark.parametrize(
    "text", ["{", "}", "a { b", "{a", "a}", "{a}}", "{{a}", "{}", "{a.b}", "{a[0]}", "{a!r}", "{a b}", "{1}"]
)
def test_refused(text: str) -> None:
    """A single brace, an attribute, an index, a conversion or an empty name is an error that says what to write."""
    template = parse_template(text)
    assert template.faults
    assert all(re.search(r"\(write .*\)$", fault) for fault in template.faults)


def test_every_fault_of_a_text() -> None:
    """One look finds all braces of a text that mean nothing, and the placeholders between them are still read."""
    template = parse_template("{a b} {0} {zz} { x {0} {yy}")
    assert ("zz", "yy") == template.names
    assert ["`{a b}`", "`{0}`", "a single"] == [
        re.split(" is | {", fault)[0] if fault[0] == "`" else fault[:8] for fault in template.faults
    ]


def test_faults_of_a_text_are_bounded() -> None:
    """A text of nothing but wrong braces is refused without a message for every one."""
    template = parse_template("".join(f"{{{n}}}" for n in range(MOST_FAULTS + 1)))
    assert MOST_FAULTS == len(template.faults)


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (["d"], "{d}"),
        (["d"], "{d } x"),
        (["d"], "x { d"),
        (["d"], "x d }"),
        (["d", "x"], "{d.x}"),
        (["d"], "{{d}"),
        ([], "d {{d}} d"),
        ([], "d {1}} {"),
    ],
)
def test_mentioned(expected: list[str], text: str) -> None:
    """A name in or beside wrong braces was probably meant as a placeholder; doubled braces are only braces."""
    assert expected == list(mentioned(text))
