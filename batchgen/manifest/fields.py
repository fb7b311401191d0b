"""What all shapes are made of: exact types, faults in plain words, and values that are more than a type."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from batchgen.core.limits import FASTEST_PER_MINUTE, SLOWEST_PER_MINUTE
from batchgen.core.naming import printable
from batchgen.manifest.durations import EXAMPLES, parse_duration
from batchgen.manifest.moments import moment_fault


def fault(message: str, *inside: str | int) -> PydanticCustomError:
    """A problem in plain words, for validators to raise; braces in it are kept as they are.

    `inside` leads on from the checked value to the part of it that is wrong.
    """
    return PydanticCustomError("plain_words", "{text}", {"text": message, "inside": list(inside)})


class Shape(BaseModel):
    """What all parts share: exact types, no unknown keys."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)
    elsewhere: ClassVar[Mapping[str, type[Shape] | None]] = MappingProxyType({})
    """Keys that belong here too, but are checked on their own, with the shape of their entries where they have one."""


def _duration_s(value: object) -> float:
    seconds = parse_duration(value) if isinstance(value, str) else None
    if seconds is None:
        shown = f'"{printable(value)}"' if isinstance(value, str) else "this"
        raise fault(f"{shown} is no length of time (write {EXAMPLES})")
    return seconds


def _moment(value: str) -> str:
    if message := moment_fault(value):
        raise fault(
            f'"{printable(value)}" {message} (write "06:30", or a date with a time such as "2026-01-31T06:30:00+01:00")'
        )
    return value


def _rate(value: object) -> float | dict[str, float]:
    """A number within bounds, or one for every model."""
    if isinstance(value, dict) and value:
        return {str(model): _per_minute(number, str(model)) for model, number in value.items()}
    return _per_minute(value)


def _per_minute(value: object, *inside: str) -> float:
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else 0
    if not SLOWEST_PER_MINUTE <= number <= FASTEST_PER_MINUTE:
        bounds = f"from {SLOWEST_PER_MINUTE:g} to {FASTEST_PER_MINUTE:,.0f}"
        raise fault(
            f"images_per_minute must be a number {bounds}, or one for every model (write 50, or {{gpt-image-2: 20}})",
            *inside,
        )
    return float(number)


def _varied_value(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise PydanticCustomError("varied_value", "a text or a number")
    return value


MOMENT_PATTERN = r"^([0-2][0-9]:[0-5][0-9]|[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}\S*)$"


def _wanted_values(value: object) -> object:
    """One value of a column, or several."""
    listed = value if isinstance(value, list) else [value]
    if not listed or not all(isinstance(each, str | int | float) for each in listed):
        raise fault(
            "a row's value must be a text or a number, or a list of them (write `column: value`, in quotes)"
        )
    return value


_PER_MINUTE = {"type": "number", "minimum": SLOWEST_PER_MINUTE, "maximum": FASTEST_PER_MINUTE}
SIMPLE = {"type": ["string", "number"]}

Duration = Annotated[
    float,
    PlainValidator(_duration_s),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": r"^\s*([0-9]+h)?([0-9]+m)?([0-9]+s)?\s*$",
            "minLength": 2,
            "errorMessage": f"Write {EXAMPLES}.",
        }
    ),
]
Rate = Annotated[
    float | dict[str, float],
    PlainValidator(_rate),
    WithJsonSchema(
        {
            "anyOf": [
                _PER_MINUTE,
                {"type": "object", "minProperties": 1, "additionalProperties": _PER_MINUTE},
            ]
        }
    ),
]
_WANTED = {"type": ["string", "number", "boolean"]}
WantedValues = Annotated[
    str | int | float | list[str | int | float],
    PlainValidator(_wanted_values),
    WithJsonSchema({"anyOf": [_WANTED, {"type": "array", "minItems": 1, "items": _WANTED}]}),
]
VariedValue = Annotated[str | int | float, PlainValidator(_varied_value), WithJsonSchema(SIMPLE)]
Moment = Annotated[str, AfterValidator(_moment)]
