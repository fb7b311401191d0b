"""Placeholders."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.manifest.template import TemplateError, parse_template

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
    with pytest.raises(TemplateError, match=r"\(write .*\)$"):
        parse_template(text)
