"""What a model accepts: pure checks whose complaints say what to write instead."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator
from datetime import date

from msgspec import Struct

from batchgen.catalogue import sizes
from batchgen.catalogue.model import AnySize, Anything, Choice, Flag, Model, Parameter, Rule, Whole
from batchgen.core.naming import printable
from batchgen.core.types import JsonObject, JsonValue

RETIREMENT_NOTICE_DAYS = 30
"""From this many days before a model retires its jobs are warned: a monthly campaign sees it in time."""


_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")


class Complaint(Struct, frozen=True):
    """One thing wrong with a request; `parameter` is None for the model or the prompt itself.

    `key` is the wrong key in a parameter that is a mapping.
    """

    parameter: str | None
    message: str
    warning: bool = False
    key: str | None = None


def check_request(model: Model, parameters: JsonObject, extra: JsonObject) -> tuple[Complaint, ...]:
    """Everything that the model does not take, in the order of the parameters.

    `extra` is not checked but for names that belong elsewhere: it is for fields newer than the catalogue.
    """
    wrong = list(_check_names_and_values(model, parameters))
    return (
        *wrong,
        *_check_rules(model, parameters, {complaint.parameter for complaint in wrong}),
        *check_extra(extra, model.reserved, model),
    )


MOST_CHARACTERS = 1_000_000
"""No text of a request may be longer, whatever is known of its model: no model takes as much."""


def check_prompt(model: Model, prompt: str) -> str | None:
    """What is wrong with a prompt; None when it is fine."""
    if not prompt or prompt.isspace():
        return "the prompt is empty (describe the picture)"
    return check_prompt_length(model, len(prompt))


def check_prompt_length(model: Model | None, characters: int) -> str | None:
    """What is wrong with a prompt of so many characters, for a model that may be unknown; it need not be there yet."""
    taker, limit = "batchgen", MOST_CHARACTERS
    if model is not None and model.prompt_limit is not None:
        taker, limit = model.model_id, model.prompt_limit
    if characters <= limit:
        return None
    return (
        f"the prompt has {characters:,} characters, {taker} takes at most {limit:,} "
        f"(shorten it by {characters - limit:,})"
    )


def check_retirement(model: Model, provider: str, today: date) -> Complaint | None:
    """Whether the model is retired or about to be: an error only at its maker, who no longer serves it."""
    if model.retires is None:
        return None
    instead = f" (use {model.replacement})" if model.replacement else ""
    if today < model.retires:
        soon = (model.retires - today).days <= RETIREMENT_NOTICE_DAYS
        return (
            Complaint(None, f"{model.model_id} retires on {model.retires}{instead}", warning=True)
            if soon
            else None
        )
    retired = f"{model.model_id} was retired by its maker on {model.retires}"
    if provider == model.maker:
        return Complaint(None, retired + instead)
    still = "the sandbox still paints it" if provider == "sandbox" else "a gateway may still serve it"
    return Complaint(None, f"{retired}; {still}{instead}", warning=True)


def size_of(model: Model, parameters: JsonObject) -> sizes.Size | None:
    """Width and height in pixels that will come; None when the model chooses them."""
    return sizes.parse(value_of(model, parameters, "size"))


def value_of(model: Model, parameters: JsonObject, name: str) -> JsonValue:
    """A parameter's value, or the default that the model takes for it."""
    return parameters[name] if name in parameters else default_of(model.parameters.get(name))


def default_of(parameter: Parameter | None) -> str | int | bool | None:
    """What a model takes when the parameter is left out."""
    return None if parameter is None or isinstance(parameter, Anything) else parameter.default


def sheet_of(model: Model, parameters: JsonObject, size: sizes.Size) -> sizes.Size:
    """The pixels that are painted: an animation's frames lie side by side on one sheet."""
    if value_of(model, parameters, "output_format") != "gif" or "frame_count" not in model.parameters:
        return size
    frames = value_of(model, parameters, "frame_count")
    count = frames if isinstance(frames, int) else 16
    columns = 3 if count <= 9 else 4
    rows = 3 if count <= 12 else 4
    return size[0] * columns, size[1] * rows


def one_of(words: Iterable[str | bool]) -> str:
    """`a`, `a or b`, `a, b or c`; true and false as YAML writes them."""
    *first, last = map(plainly, words)
    return f"{', '.join(first)} or {last}" if first else last


def plainly(value: JsonValue) -> str:
    """A value as YAML writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _check_names_and_values(model: Model, parameters: JsonObject) -> Iterator[Complaint]:
    for name, value in parameters.items():
        parameter = model.parameters.get(name)
        if parameter is None:
            yield Complaint(name, _unknown_name(model, name))
            continue
        message = _value_fault(model, name, parameter, value, parameters)
        if message is not None:
            yield Complaint(name, message)


def _unknown_name(model: Model, name: str) -> str:
    if not model.parameters:
        return f"{model.model_id} takes no parameters (remove {name})"
    if model.edits is not None and name in model.edits.parameters:
        return f"{model.model_id} takes {name} only together with references (add references, or remove it)"
    if model.edits is not None and name in model.edits.without:
        return f"{model.model_id} does not take {name} together with references (write {name}: null in this prompt's request)"
    close = difflib.get_close_matches(name.lower(), model.parameters, n=1, cutoff=0.7)
    advice = f"did you mean {close[0]}?" if close else f"use one of {', '.join(model.parameters)}; or remove it"
    if not close and name not in model.reserved:
        advice += f"; or {as_extra(name)}"
    return f"{model.model_id} does not take {name} ({advice})"


def as_extra(name: str) -> str:
    """The way for what the catalogue does not know yet."""
    return f"write `extra: {{{printable(name)}: ...}}` if it is newer than the catalogue"


def _value_fault(
    model: Model, name: str, parameter: Parameter, value: JsonValue, parameters: JsonObject
) -> str | None:
    match parameter:
        case AnySize():
            return _size_fault(model, name, parameter, value, parameters)
        case Choice():
            return _choice_fault(model, name, parameter, value)
        case Whole():
            return _whole_fault(name, parameter, value)
        case Flag() if not isinstance(value, bool):
            return f"{name} {shown(value)} is neither yes nor no (write true or false, without quotes)"
        case Anything(kind="text") if not isinstance(value, str):
            return f"{name} must be text (put it in quotes)"
        case Anything(kind="object") if not isinstance(value, dict):
            return f"{name} must be lines of `name: value` (write {name}: {{name: value}})"
        case _:
            return None


def _choice_fault(model: Model, name: str, parameter: Choice, value: JsonValue) -> str | None:
    if isinstance(value, str) and value in parameter.values:
        return None
    return f"{name} {shown(value)} is not taken by {model.model_id} ({_advice(parameter.values, value)})"


def _advice(values: tuple[str, ...], value: JsonValue) -> str:
    text = str(value)
    wanted = sizes.guess(text)
    known = {size: word for word in values if (size := sizes.parse(word))}
    if wanted and known:
        return f"the nearest is {known[sizes.nearest_of(known, wanted)]}; it takes {one_of(values)}"
    close = difflib.get_close_matches(text.lower(), values, n=1)
    return f"did you mean {close[0]}? It takes {one_of(values)}" if close else f"use {one_of(values)}"


def _whole_fault(name: str, parameter: Whole, value: JsonValue) -> str | None:
    low, high = parameter.minimum, parameter.maximum
    number = value if isinstance(value, int) and not isinstance(value, bool) else None
    quoted = int(value) if isinstance(value, str) and _INTEGER.fullmatch(value) else None
    meant = number if quoted is None else quoted
    if meant is not None and (low is None or low <= meant) and (high is None or meant <= high):
        return None if quoted is None else f"{name} {shown(value)} is text (write {value}, without quotes)"
    span = f"from {low} to {high}" if high is not None else f"of at least {low}"
    wrong = "is no whole number" if meant is None else "is out of range"
    return f"{name} {shown(value)} {wrong} (use a whole number {span})"


def _size_fault(
    model: Model, name: str, parameter: AnySize, value: JsonValue, parameters: JsonObject
) -> str | None:
    if isinstance(value, str) and value in parameter.values:
        return None
    size = sizes.parse(value)
    if size is None:
        wanted = sizes.guess(str(value))
        instead = sizes.written(sizes.nearest_on_grid(parameter.grid, wanted)) if wanted else "1024x1024"
        return f"{name} {shown(value)} is no size (write WIDTHxHEIGHT such as {instead}, or {one_of(parameter.values)})"
    sheet = sheet_of(model, parameters, size)
    if sheet != size:
        return _sheet_fault(parameter, name, size, sheet)
    wrong = sizes.fault(parameter.grid, size)
    if wrong is None:
        return None
    nearest = sizes.written(sizes.nearest_on_grid(parameter.grid, size))
    return f"{name} {value} is not taken by {model.model_id}: {wrong} (the nearest is {nearest})"


def _sheet_fault(parameter: AnySize, name: str, size: sizes.Size, sheet: sizes.Size) -> str | None:
    """All frames of an animation share one sheet, which keeps the rule (measured by a reseller, November 2026)."""
    grid = parameter.grid
    uneven = any(edge % grid.multiple for edge in size)
    wrong = f"both edges must be multiples of {grid.multiple}" if uneven else sizes.fault(grid, sheet)
    if wrong is None:
        return None
    columns, rows = sheet[0] // size[0], sheet[1] // size[1]
    instead = sizes.written(sizes.nearest_on_grid(sizes.part_of(grid, columns, rows), size))
    return (
        f"{name} {sizes.written(size)} is not taken for an animation: its frames lie on one sheet of "
        f"{sizes.written(sheet)}, and {wrong} (use {instead}, or fewer frames)"
    )


def _check_rules(model: Model, parameters: JsonObject, wrong: Collection[str | None]) -> Iterator[Complaint]:
    for rule in model.rules:
        if (
            rule.needs not in wrong
            and rule.when in parameters
            and (rule.value is None or parameters[rule.when] == rule.value)
        ):
            actual = value_of(model, parameters, rule.needs)
            if actual not in rule.among:
                yield Complaint(rule.when, _rule_broken(rule, actual, rule.needs in parameters))
    for warn in model.warnings:
        if parameters.get(warn.when) == warn.value:
            yield Complaint(warn.when, warn.message, warning=True)


def _rule_broken(rule: Rule, actual: JsonValue, given: bool) -> str:
    subject = f"{rule.when} {rule.value}" if rule.value else rule.when
    now = f"{rule.needs} is {shown(actual)}" if given else f"{rule.needs} is {shown(actual)} when left out"
    return f"{subject} works only with {rule.needs} {one_of(rule.among)}, but {now} (write {rule.needs}: {one_of(rule.among[:1])})"


def check_extra(
    names: Iterable[str], reserved: Collection[str], model: Model | None = None
) -> Iterator[Complaint]:
    """What `extra` may not hold: parameters of the model, and names that are `reserved` whatever the model.

    Without a model, one that is not known: it takes every parameter.
    """
    for name in names:
        if name in reserved if model is None else name in model.parameters:
            why = ", which is a parameter (move it up into `request`)"
        elif model is not None and name in reserved:
            why = f", a parameter that {model.model_id} does not take (remove it)"
        else:
            continue
        yield Complaint("extra", f"`extra` may not hold `{name}`{why}", key=name)


def shown(value: JsonValue) -> str:
    """A value as a message shows it, cut when it is long."""
    text = plainly(value)
    return f'"{text[:60]}{"…" if len(text) > 60 else ""}"' if isinstance(value, str) else text[:60]
