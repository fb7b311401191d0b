"""What flags take besides words: finite numbers, durations, moments. Anything else is refused in words, exit 2."""

from __future__ import annotations

import math
import os
from typing import Any

import click

from batchgen.manifest.durations import EXAMPLES, parse_duration
from batchgen.manifest.guess import did_you_mean
from batchgen.manifest.moments import moment_fault
from batchgen.system.addresses import is_url, url_fault


class OneOf(click.Choice[str]):
    """One of some words; of a misspelt one, what was probably meant."""

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse what is none of them."""
        if value not in self.choices:
            self.fail(f"there is no {value!r} ({did_you_mean(str(value), self.choices)})", param, ctx)
        return str(value)


class Number(click.FloatRange):
    """A number within bounds. `nan` and `inf` pass every comparison of a range, and would bound nothing."""

    def convert(self, value: float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Refuse what is no finite number."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is no finite number", param, ctx)
        return number


class Output(click.Path):
    """A folder, or the address of an object store, which stays a text."""

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """Refuse an address that is wrong; it is not repeated, since it may hold a key."""
        if not isinstance(value, str) or not is_url(value):
            return super().convert(value, param, ctx)
        if wrong := url_fault(value):
            self.fail(f"the output {wrong}", param, ctx)
        return value.rstrip("/")


class Seconds(click.ParamType[float]):
    """A count of seconds, or a duration with units."""

    name = "seconds"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Refuse what is no duration, or too long to be counted."""
        text = str(value)
        seconds = float(text) if text.isdecimal() else parse_duration(text)
        if seconds is None or not math.isfinite(seconds):
            self.fail(f"{value!r} is no duration (write 600, or {EXAMPLES})", param, ctx)
        return seconds


class Moment(click.ParamType[str]):
    """A local time or a date with a time."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse what is no moment."""
        text = str(value)
        if fault := moment_fault(text):
            self.fail(f"{text!r} {fault} (write 06:30, or 2026-11-24T06:30)", param, ctx)
        return text
