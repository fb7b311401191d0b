"""A request's fields -> what is to be painted, checked as strictly as the real API checks them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from batchgen.catalogue.catalogue import Catalogue
from batchgen.catalogue.model import Anything, Flag, Model, Parameter, TokenPricing, Whole
from batchgen.catalogue.prices import USUAL_SIZE, middling_quality
from batchgen.catalogue.rules import check_prompt, check_request, size_of, value_of
from batchgen.core.types import JsonObject, JsonValue
from batchgen.core.values import replace
from batchgen.sandbox.errors import ApiError, bad
from batchgen.sandbox.faults import AnswerAs
from batchgen.sandbox.references import References

_OWN_FIELDS = ("model", "prompt", "n")


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for: `images` pictures, with the model's own choices made; `as_url` for links.

    `partials` is None for an answer in one piece, else how many unfinished pictures a stream brings before each.
    """

    model: Model
    prompt: str
    parameters: JsonObject
    images: int
    size: tuple[int, int]
    quality: str
    output_format: str
    background: str
    as_url: bool
    partials: int | None = None
    references: References | None = None

    @property
    def is_dalle(self) -> bool:
        """Whether the answer has the older shape, without usage and the choices that were made."""
        return "response_format" in self.model.parameters


def order_of(fields: Mapping[str, JsonValue], catalogue: Catalogue, answer: AnswerAs) -> Order:
    """Check the fields of a request for new pictures. Raises `ApiError` for the first thing that is wrong."""
    return _order(fields, _model(fields.get("model"), catalogue), answer)


def edit_of(
    fields: Mapping[str, JsonValue],
    references: References,
    catalogue: Catalogue,
    answer: AnswerAs,
    *,
    form: bool,
) -> Order:
    """Check the fields of a request that pictures go along with; those of a form are text. Raises `ApiError`."""
    model = _model(fields.get("model"), catalogue)
    if model.edits is None:
        raise bad(f"{model.model_id} does not edit images.", code="invalid_value", param="model")
    if form:
        taking = model.for_edits
        fields = {name: _typed(name, value, taking.parameters) for name, value in fields.items()}
    else:
        # What forms lack, the other way takes.
        taking = replace(model, parameters={**model.parameters, **model.edits.parameters})
    return _order(fields, taking, answer, references)


def _order(
    fields: Mapping[str, JsonValue], model: Model, answer: AnswerAs, references: References | None = None
) -> Order:
    given = {name: value for name, value in fields.items() if value is not None}
    prompt = _prompt(given.get("prompt"), model)
    parameters = {name: value for name, value in given.items() if name not in _OWN_FIELDS}
    images = _images(given.get("n", 1), model, parameters)
    _check_parameters(model, parameters)
    links = value_of(model, parameters, "response_format") == "url"
    background = value_of(model, parameters, "background")
    return Order(
        model=model,
        prompt=prompt,
        parameters=parameters,
        images=images,
        size=size_of(model, parameters) or USUAL_SIZE,
        quality=_quality(model, parameters),
        output_format=str(value_of(model, parameters, "output_format") or "png"),
        background="transparent" if background == "transparent" else "opaque",
        as_url=links if answer == AnswerAs.AUTO else answer == AnswerAs.URL,
        partials=_partials(model, parameters),
        references=references,
    )


def _typed(name: str, value: JsonValue, parameters: Mapping[str, Parameter]) -> JsonValue:
    """A form's text as the value that it stands for; left as it is where it stands for none."""
    parameter = Whole() if name == "n" else parameters.get(name)
    if not isinstance(value, str) or not isinstance(parameter, Whole | Flag | Anything):
        return value
    if isinstance(parameter, Anything) and parameter.kind == "text":
        return value
    try:
        found: JsonValue = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return found


def _model(name: JsonValue, catalogue: Catalogue) -> Model:
    if name is None:
        raise bad("You must name a model.", code="missing_required_parameter", param="model")
    model = catalogue.find(name) if isinstance(name, str) else None
    if model is None:
        raise no_such_model(str(name))
    return model


def no_such_model(name: str) -> ApiError:
    """What is said of a model that nobody knows."""
    return ApiError(
        HTTPStatus.NOT_FOUND,
        f"The model `{name[:100]}` does not exist or you do not have access to it.",
        code="model_not_found",
        param="model",
    )


def _prompt(prompt: JsonValue, model: Model) -> str:
    if prompt is None:
        raise bad("A prompt is required.", code="missing_required_parameter", param="prompt")
    if not isinstance(prompt, str):
        raise bad("The prompt must be a string.", code="invalid_type", param="prompt")
    fault = check_prompt(model, prompt)
    if fault is not None:
        raise bad(f"Invalid prompt: {fault}.", code="invalid_value", param="prompt")
    return prompt


def _images(count: JsonValue, model: Model, parameters: JsonObject) -> int:
    # Drawings come one by one.
    most = 1 if parameters.get("output_format") == "svg" else model.max_images
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= most:
        message = f"Invalid n: {model.model_id} makes at most {most} such a request, and at least 1."
        raise bad(message, code="invalid_value", param="n")
    return count


def _check_parameters(model: Model, parameters: JsonObject) -> None:
    for name in parameters:
        if name not in model.parameters:
            raise bad(f"Unknown parameter: '{name[:100]}'.", code="unknown_parameter", param=name[:100])
    for complaint in check_request(model, parameters, {}):
        if not complaint.warning:
            raise bad(f"Invalid value: {complaint.message}.", code="invalid_value", param=complaint.parameter)


def _partials(model: Model, parameters: JsonObject) -> int | None:
    if value_of(model, parameters, "stream") is not True:
        return None
    asked = value_of(model, parameters, "partial_images")
    return asked if isinstance(asked, int) else 0


def _quality(model: Model, parameters: JsonObject) -> str:
    """The quality asked for; for `auto` what a plan expects of it, too."""
    asked = value_of(model, parameters, "quality")
    if isinstance(asked, str) and asked != "auto":
        return asked
    return middling_quality(model.pricing) if isinstance(model.pricing, TokenPricing) else "standard"
