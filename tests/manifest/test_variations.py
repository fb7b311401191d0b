"""Combinations of varied values."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from batchgen.manifest.document import Scalar
from batchgen.manifest.variations import Exclusion, Value, Variation


def values(*texts: str) -> list[Value]:
    """Values without a place."""
    return [Value.of(Scalar(0, 0, text, plain=True)) for text in texts]


@st.composite
def variations(draw: st.DrawFn) -> tuple[list[int], list[Exclusion]]:
    """How many values each variable has, and partial matches to exclude."""
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    exclusion = st.dictionaries(st.integers(0, len(sizes) - 1), st.just(""), min_size=1).flatmap(
        lambda chosen: st.tuples(
            *(
                st.tuples(st.just(number), st.integers(0, sizes[number] - 1).map(str))
                for number in sorted(chosen)
            )
        )
    )
    return sizes, draw(st.lists(exclusion, max_size=6))


@given(variations())
def test_product_minus_exclusions(drawn: tuple[list[int], list[Exclusion]]) -> None:
    """The combinations are the product without what an exclusion matches, in order, and counted without making them."""
    sizes, exclusions = drawn
    made = Variation.of("abcd"[: len(sizes)], [values(*map(str, range(size))) for size in sizes], exclusions)
    expected = [
        combination
        for combination in itertools.product(*(map(str, range(size)) for size in sizes))
        if not any(all(combination[number] == text for number, text in exclusion) for exclusion in exclusions)
    ]
    assert expected == [tuple(value.text for value in choice) for choice in made.choices()]
    assert len(expected) == made.count


def test_counting_needs_no_combinations() -> None:
    """A product of a million million is counted at once, and what little remains of one is found at once."""
    many = values(*map(str, range(1000)))
    made = Variation.of("abcd", [many] * 4, [((0, "1"), (3, "2")), ((2, "5"),)])
    assert 1000**4 - 1000**2 - 1000**3 + 1000 == made.count
    sparse = Variation.of(
        "abcd", [values("x", "y"), many, many, many], [((0, "x"),), *(((1, str(n)),) for n in range(999))]
    )
    assert 1000**2 == sparse.count
    assert ("y", "999", "0", "0") == tuple(value.text for value in next(sparse.choices()))
