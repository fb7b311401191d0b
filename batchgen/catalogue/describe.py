"""The catalogue as people and programs read it: `batchgen models` and `batchgen models MODEL`."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import date

from batchgen.catalogue.catalogue import Catalogue
from batchgen.catalogue.listing import Listing
from batchgen.catalogue.model import AnySize, Anything, Choice, Flag, Model, Parameter, Whole
from batchgen.catalogue.prices import quote
from batchgen.catalogue.rules import default_of, one_of, plainly
from batchgen.core.types import JsonObject, JsonValue, PriceKind

TYPICAL_SIZE = "1024x1024"
TYPICAL_PROMPT = "x" * 200
"""A prompt of a sentence or two, for prices of a typical image."""


def describe_all(
    catalogue: Catalogue, today: date, listings: Sequence[Listing] = ()
) -> list[dict[str, JsonValue]]:
    """Every model but dated names, one object each, those still served first; `listings` are what providers told."""
    plain = [model for model in catalogue.models.values() if model.dated_name_of is None]
    plain.sort(key=lambda model: model.retires is not None and model.retires <= today)
    return [_summary(catalogue, model, today, listings) for model in plain]


def describe(
    catalogue: Catalogue, model: Model, today: date, listings: Sequence[Listing] = ()
) -> dict[str, JsonValue]:
    """One model in full: its parameters, rules between them, and prices of typical images by quality."""
    return {
        **_summary(catalogue, model, today, listings),
        "also": list(model.also),
        "prompt_limit": model.prompt_limit,
        "parameters": {name: _parameter(parameter) for name, parameter in model.parameters.items()},
        "edits": _edits(model),
        "rules": _rules(model),
        "prices": _prices(catalogue, model, model.maker),
    }


def render_all(described: Sequence[JsonObject]) -> str:
    """The list for people: a paragraph a model, with what to ask next."""
    lines = [line for model in described for line in _paragraph(model)]
    return "\n".join([*lines, "", "`batchgen models MODEL` shows a model's parameters, rules and prices.", ""])


def render(described: JsonObject) -> str:
    """One model for people."""
    parameters, rules = described["parameters"], described["rules"]
    assert isinstance(parameters, dict)
    assert isinstance(rules, list)
    width = max((len(name) for name in parameters), default=0)
    lines = [*_paragraph(described), "", "Parameters (under `request:` in a manifest)"]
    for name, parameter in parameters.items():
        lines += _wrapped(f"  {name:<{width}}  ", _parameter_text(parameter))
    lines += _edits_lines(described["edits"])
    if rules:
        lines += ["", "Rules"]
        for rule in rules:
            lines += _wrapped("  - ", str(rule))
    if isinstance(described["also"], list) and described["also"]:
        lines += ["", f"Also known as {', '.join(map(str, described['also']))}"]
    lines += ["", f"Prices of an image at its maker, {TYPICAL_SIZE} ({described['price_note']})"]
    lines += _price_lines(described["prices"])
    for offer in _offers(described):
        if offer["prices"]:
            lines += ["", f"The same at {offer['provider']}, by its list of {offer['as_of']} (estimated)"]
            lines += _price_lines(offer["prices"])
    return "\n".join([*lines, ""])


def _summary(
    catalogue: Catalogue, model: Model, today: date, listings: Sequence[Listing]
) -> dict[str, JsonValue]:
    typical = _price_of(catalogue, model, _middling(model), model.maker)
    return {
        "model": model.model_id,
        "family": model.family,
        "for": model.good_for,
        "sizes": _sizes(model),
        "typical_usd": typical,
        "price_note": _price_note(catalogue, model),
        "retires": model.retires.isoformat() if model.retires else None,
        "retired": model.retires is not None and model.retires <= today,
        "replacement": model.replacement,
        "providers": [_offer(catalogue, model, listing) for listing in listings],
    }


def _offer(catalogue: Catalogue, model: Model, listing: Listing) -> dict[str, JsonValue]:
    """What a provider said of a model, with its own prices of typical images where it has some."""
    listed = listing.models.get(model.model_id)
    there = catalogue.with_listing(listing)
    own = listed is not None and there.models[model.model_id].pricing is not model.pricing
    return {
        "provider": listing.provider,
        "host": listing.host,
        "as_of": listing.day,
        "listed": listed is not None if listed is not None or listing.whole else None,
        "shutdown_date": listed.shutdown.isoformat() if listed is not None and listed.shutdown else None,
        "prices": _prices(there, there.models[model.model_id], listing.provider) if own else None,
    }


def _qualities(model: Model) -> tuple[str, ...]:
    quality = model.parameters.get("quality")
    return tuple(value for value in quality.values if value != "auto") if isinstance(quality, Choice) else ()


def _middling(model: Model) -> str | None:
    qualities = _qualities(model)
    return "medium" if "medium" in qualities else next(iter(qualities), None)


def _request(quality: str | None) -> JsonObject:
    return {"size": TYPICAL_SIZE} | ({"quality": quality} if quality else {})


def _price_of(catalogue: Catalogue, model: Model, quality: str | None, provider: str) -> float | None:
    return quote(catalogue, provider, model.model_id, _request(quality), {}).price(TYPICAL_PROMPT).expected_usd


def _price_note(catalogue: Catalogue, model: Model) -> str:
    kind = quote(catalogue, model.maker, model.model_id, _request(_middling(model)), {}).price("").kind
    return {PriceKind.EXACT: "exact", PriceKind.ESTIMATE: "estimated", PriceKind.UNPRICED: "unpriced"}[kind]


def _prices(catalogue: Catalogue, model: Model, provider: str) -> dict[str, JsonValue]:
    return {
        quality or "any": _price_of(catalogue, model, quality, provider)
        for quality in _qualities(model) or (None,)
    }


def _sizes(model: Model) -> str:
    match model.parameters.get("size"):
        case AnySize(grid=grid):
            return f"any WIDTHxHEIGHT up to {grid.max_edge} pixels an edge"
        case Choice(values=values):
            return ", ".join(value for value in values if value != "auto")
        case _:
            return "not known"


def _parameter(parameter: Parameter) -> dict[str, JsonValue]:
    shape: dict[str, JsonValue] = {}
    match parameter:
        case AnySize(grid=grid, values=values):
            shape = {
                "values": list(values),
                "pattern": "WIDTHxHEIGHT",
                "multiple_of": grid.multiple,
                "max_edge": grid.max_edge,
                "max_ratio": grid.max_ratio,
                "min_pixels": grid.min_pixels,
                "max_pixels": grid.max_pixels,
            }
        case Choice(values=values):
            shape = {"values": list(values)}
        case Whole(minimum=minimum, maximum=maximum):
            shape = {"minimum": minimum, "maximum": maximum}
        case Flag():
            shape = {"values": [True, False]}
        case Anything(kind=kind):
            shape = {"kind": kind}
    return {**shape, "default": default_of(parameter)}


def parameter_text(parameter: Parameter) -> str:
    """What a parameter may be, in one line."""
    return _parameter_text(_parameter(parameter))


def _parameter_text(parameter: JsonValue) -> str:
    assert isinstance(parameter, dict)
    default = f" (default {plainly(parameter['default'])})" if parameter["default"] is not None else ""
    values = parameter.get("values")
    words = ", ".join(map(plainly, values)) if isinstance(values, list) else ""
    if "pattern" in parameter:
        return (
            f"WIDTHxHEIGHT or {words}{default}: edges multiples of {parameter['multiple_of']} and at most "
            f"{parameter['max_edge']}, at most {parameter['max_ratio']}:1, {parameter['min_pixels']:,} to "
            f"{parameter['max_pixels']:,} pixels in all"
        )
    if "minimum" in parameter:
        top = f"to {parameter['maximum']}" if parameter["maximum"] is not None else "or more"
        return f"a whole number, {parameter['minimum']} {top}{default}"
    return f"{words or parameter.get('kind')}{default}"


def _edits(model: Model) -> JsonValue:
    """How pictures go along with a prompt; None where the model takes none, "not known" where nobody has said."""
    edits = model.edits
    if edits is None:
        return None
    if not edits.known:
        return "not known"
    further: dict[str, JsonValue] = {name: _parameter(each) for name, each in edits.parameters.items()}
    return {
        "references": edits.references,
        "mask": edits.mask,
        "without": [*sorted(edits.without)],
        "parameters": further,
    }


def _edits_lines(edits: JsonValue) -> list[str]:
    if edits == "not known":
        return ["", "Whether it takes reference pictures is not known (they are sent unchecked)"]
    if not isinstance(edits, dict):
        return ["", "Takes no reference pictures"]
    mask = " and a mask" if edits["mask"] else ""
    lines = ["", f"With pictures (`references:` in a prompt): 1 to {edits['references']} of them{mask}"]
    without, further = edits["without"], edits["parameters"]
    assert isinstance(without, list)
    assert isinstance(further, dict)
    if without:
        lines.append(f"  without  {', '.join(map(str, without))}")
    for name, parameter in further.items():
        lines += _wrapped(f"  {name}  ", _parameter_text(parameter))
    return lines


def _rules(model: Model) -> list[JsonValue]:
    rules: list[JsonValue] = [
        f"{rule.when}{f' {rule.value}' if rule.value else ''} works only with {rule.needs} {one_of(rule.among)}"
        for rule in model.rules
    ]
    return rules + [warn.message for warn in model.warnings]


def _paragraph(described: JsonObject) -> list[str]:
    price = described["typical_usd"]
    mark = "~" if described["price_note"] == "estimated" else ""
    cost = f"{mark}${price:.4f} for a typical image" if isinstance(price, float) else "price not known"
    lines = [str(described["model"]), *_wrapped("  for     ", str(described["for"]))]
    lines += _wrapped("  sizes   ", str(described["sizes"]))
    lines.append(f"  costs   {cost}")
    if described["retires"]:
        word = "retired" if described["retired"] else "retires"
        instead = f"; use {described['replacement']}" if described["replacement"] else ""
        lines.append(f"  {word} {described['retires']}{instead}")
    for offer in _offers(described):
        lines += _wrapped("  at      ", f"{offer['provider']}: {_offer_text(offer)}")
    return lines


def _offers(described: JsonObject) -> list[dict[str, JsonValue]]:
    offers = described["providers"]
    assert isinstance(offers, list)
    return [offer for offer in offers if isinstance(offer, dict) and offer["listed"] is not None]


def _offer_text(offer: JsonObject) -> str:
    if not offer["listed"]:
        return f"not in its list of {offer['as_of']}"
    prices = offer["prices"]
    price = (prices.get("medium") or next(iter(prices.values()))) if isinstance(prices, dict) else None
    cost = f", ~${price:.4f} for a typical image" if isinstance(price, float) else ""
    ends = f", until {offer['shutdown_date']}" if offer["shutdown_date"] else ""
    return f"in its list of {offer['as_of']}{cost}{ends}"


def _price_lines(prices: JsonValue) -> list[str]:
    assert isinstance(prices, dict)
    width = max(map(len, prices))
    return [
        f"  {quality:<{width}}  {f'${price:.4f}' if isinstance(price, float) else 'not known'}"
        for quality, price in prices.items()
    ]


def _wrapped(label: str, text: str) -> list[str]:
    return textwrap.wrap(text, width=100, initial_indent=label, subsequent_indent=" " * len(label))
