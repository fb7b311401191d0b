"""Faults on request: repeatable, in the shares that were asked for, and a strict limit."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.sandbox.faults import Behaviour, Window
from batchgen.sandbox.mishaps import CUT, ERROR, RATE_LIMIT, SLOW


def test_no_fault_and_no_limit_by_default() -> None:
    """Whoever asks for nothing gets pictures."""
    assert {None} == {Behaviour().fault_of(number) for number in range(1, 500)}
    assert not Behaviour().refuses("anything")


def test_runs_repeat() -> None:
    """The same seed gives the same faults in the same order, another seed others."""

    def faults(seed: int) -> list[str | None]:
        behaviour = Behaviour(rate_limit_share=0.2, error_share=0.2, cut_share=0.2, slow_share=0.2, seed=seed)
        return [behaviour.fault_of(number) for number in range(1, 100)]

    assert faults(1) == faults(1)
    assert faults(1) != faults(2)
    assert {None, RATE_LIMIT, ERROR, CUT, SLOW} == set(faults(1))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_shares_are_met(share: float) -> None:
    """A tenth is about a tenth, all is all, none is none."""
    behaviour = Behaviour(error_share=share)
    met = sum(behaviour.fault_of(number) == ERROR for number in range(1, 2001)) / 2000
    assert pytest.approx(share, abs=0.03) == met


@pytest.mark.parametrize(
    "wrong",
    [
        {"error_share": 1.1},
        {"cut_share": -0.1},
        {"error_share": 0.6, "slow_share": 0.6},
        {"error_share": 0.6, "failures": {"conflict": 0.6}},
        {"latency_s": -1.0},
        {"images_per_minute": 0.0},
    ],
)
def test_impossible_behaviour_is_refused(wrong: dict[str, Any]) -> None:
    """A share above one or a negative delay is a mistake of whoever wrote it."""
    with pytest.raises(ValueError, match=r"shares|durations|images_per_minute"):
        Behaviour(**wrong)


@pytest.mark.parametrize(
    ("name", "advice"), [("slowdown", "did you mean slow_down"), ("zzz", "use one of cut, slow")]
)
def test_an_unknown_fault_is_refused(name: str, advice: str) -> None:
    """With the name that was probably meant, or all there are."""
    with pytest.raises(ValueError, match=advice):
        Behaviour(failures={name: 0.1})


def test_every_fault_can_be_asked_for() -> None:
    """Beside those that have an option of their own, in the share that was asked for."""
    behaviour = Behaviour(error_share=0.2, failures={"slow_down": 0.3, CUT: 0.1})
    met = Counter(behaviour.fault_of(number) for number in range(1, 2001))
    assert {None, ERROR, "slow_down", CUT} == set(met)
    assert pytest.approx(600, abs=80) == met["slow_down"]


def test_refusal_by_a_word() -> None:
    """The word counts in any case and anywhere."""
    assert Behaviour(refuse_word="Forbidden").refuses("a FORBIDDEN fruit")


@given(st.floats(0.5, 90), st.lists(st.tuples(st.floats(0, 30), st.integers(1, 3)), max_size=60))
def test_no_window_ever_sees_more_than_allowed(limit: float, steps: list[tuple[float, int]]) -> None:
    """However requests come, images begun within any one window stay within the limit."""
    window, now, begun = Window(limit, 60), 0.0, list[float]()
    for wait_s, images in steps:
        now += wait_s
        if window.take(images, now) is None:
            begun += [now] * images
    for start in begun:
        assert sum(start <= moment < start + window.seconds for moment in begun) <= window.images


@given(st.integers(1, 20), st.integers(1, 40))
def test_waiting_as_told_is_enough(limit: int, requests: int) -> None:
    """Whoever waits for the time that a refusal names gets through."""
    window, now = Window(limit, 60), 0.0
    for _ in range(requests):
        wait_s = window.take(1, now)
        if wait_s is not None:
            now += wait_s
            # Adding floats can fall a hair short of the moment.
            assert window.take(1, now) is None or window.take(1, now + 1e-6) is None


def test_a_slow_limit_stretches_its_window() -> None:
    """Half an image a minute is one in two minutes."""
    window = Window(0.5, 60)
    assert window.take(1, 0.0) is None
    assert window.take(1, 60.0) == 60.0
    assert window.take(1, 120.0) is None


def test_what_is_left_of_the_limit() -> None:
    """The headers' numbers follow what was taken."""
    window = Window(3, 60)
    assert (window.remaining(0.0), window.reset_s(0.0)) == (3, 0.0)
    window.take(2, 0.0)
    assert (window.remaining(10.0), window.reset_s(10.0)) == (1, 50.0)
    assert window.take(5, 10.0) == 50.0
