"""An error that nobody foresaw in one manifest: said in a line, and the other manifests of the command go on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from batchgen.cli.options import options_of
from batchgen.cli.plan import show_plans
from batchgen.cli.running import run_all
from batchgen.core.values import replace
from batchgen.job import Options
from batchgen.system.clock import utc_now

KEY = "sk-canary-that-must-not-be-seen"


class BrokenClock:
    """A clock that fails once with a foreign error, whose text holds a key, and is right from then on."""

    def __init__(self) -> None:
        self.failures = 1

    def __call__(self) -> datetime:
        """The present moment, or the failure."""
        if self.failures:
            self.failures -= 1
            raise OverflowError(f"date value\nout of range, {KEY}")
        return utc_now()


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, ...]:
    """Two manifests for the sandbox in an own folder, with a key in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(os.environ, "COMETAPI_KEY", KEY)
    for name in ("one", "two"):
        text = f"batchgen: 1\njob: {name}\nmodel: gpt-image-2\nprovider: sandbox\nprompts: [{{id: a, prompt: A boat.}}]\n"
        Path(f"{name}.yaml").write_text(text)
    return Path("one.yaml"), Path("two.yaml")


def told(act: Callable[[Options, dict[str, Any]], int], *, verbose: bool = False) -> int:
    """What a verb returns whose clock fails once."""
    values: dict[str, Any] = {"verbose": verbose, "quiet": True, "as_json": True}
    return act(replace(options_of(values), clock=BrokenClock()), values)


def test_the_next_manifest_is_run(two: tuple[Path, ...], capfd: pytest.CaptureFixture[str]) -> None:
    """One plain line says what failed and how to go on; its JSON line is there, exit 3; the other job is made."""
    code = told(lambda options, values: run_all(two, options, values))

    out, err = capfd.readouterr()
    first, second = (json.loads(line) for line in out.splitlines())
    assert 3 == code
    assert ("one", "breaker", 0) == (first["job"], first["stopped_by"], first["stored"])
    assert ("two", None, 1) == (second["job"], second["stopped_by"], second["stored"])
    assert "one.yaml: an internal error of batchgen (OverflowError: date value out of range, ***)" in err
    assert "`batchgen run one.yaml` goes on from there" in err
    assert "--verbose" in err
    assert "Traceback" not in err


def test_the_traceback_is_for_who_asks(two: tuple[Path, ...], capfd: pytest.CaptureFixture[str]) -> None:
    """`--verbose` shows where it happened, line by line, and still no key."""
    assert 3 == told(lambda options, values: run_all(two[:1], options, values), verbose=True)

    _, err = capfd.readouterr()
    assert "Traceback (most recent call last):\n" in err
    assert "\n  File " in err
    assert KEY not in err


def test_the_next_manifest_is_planned(two: tuple[Path, ...], capfd: pytest.CaptureFixture[str]) -> None:
    """A plan that fails hides no other plan."""
    code = told(lambda options, values: show_plans(two, options, values, as_json=True))

    out, err = capfd.readouterr()
    assert 2 == code
    assert ["two"] == [json.loads(line)["job"] for line in out.splitlines()]
    assert "one.yaml: an internal error of batchgen" in err
