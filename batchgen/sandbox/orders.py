"""A request's body -> what is to be painted, checked as strictly as the real API checks it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus

from batchgen.catalogue.catalogue import Catalogue
from batchgen.catalogue.model import Model, TokenPricing
from batchgen.catalogue.prices import USUAL_SIZE, middling_quality
from batchgen.catalogue.rules import check_prompt, check_request, size_of, value_of
from batchgen.core.types import JsonObject, JsonValue
from batchgen.sandbox.faults import AnswerAs

_OWN_FIELDS = ("model", "prompt", "n", "stream", "partial_images")


class ApiError(Exception):
    """An answer that is an error, in the API's own words and codes."""

    def __init__(
        self,
        status: HTTPStatus,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param, self.kind = status, message, code, param, kind
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for: `images` pictures, with the model's own choices made; `as_url` for links."""

    model: Model
    prompt: str
    parameters: JsonObject
    images: int
    size: tuple[int, int]
    quality: str
    output_format: str
    background: str
    as_url: bool

    @property
    def is_dalle(self) -> bool:
        """Whether the answer has the older shape, without usage and the choices that were made."""
        return "response_format" in self.model.parameters


def parse_order(body: bytes, catalogue: Catalogue, answer: AnswerAs) -> Order:
    """Read and check a body. Raises `ApiError` for the first thing that is wrong with it."""
    fields = {name: value for name, value in _fields(body).items() if value is not None}
    model = _model(fields.get("model"), catalogue)
    prompt = _prompt(fields.get("prompt"), model)
    images = _images(fields.get("n", 1), model)
    _check_stream(fields)
    parameters = {name: value for name, value in fields.items() if name not in _OWN_FIELDS}
    _check_parameters(model, parameters)
    return _order(model, prompt, parameters, images, answer)


def _fields(body: bytes) -> dict[str, JsonValue]:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise _bad("The body is not valid JSON.") from None
    if not isinstance(fields, dict):
        raise _bad("The body must be a JSON object.")
    return fields


def _model(name: JsonValue, catalogue: Catalogue) -> Model:
    if name is None:
        raise _bad("You must name a model.", code="missing_required_parameter", param="model")
    model = catalogue.find(name) if isinstance(name, str) else None
    if model is None:
        raise ApiError(
            HTTPStatus.NOT_FOUND,
            f"The model `{str(name)[:100]}` does not exist or you do not have access to it.",
            code="model_not_found",
            param="model",
        )
    return model


def _prompt(prompt: JsonValue, model: Model) -> str:
    if prompt is None:
        raise _bad("A prompt is required.", code="missing_required_parameter", param="prompt")
    if not isinstance(prompt, str):
        raise _bad("The prompt must be a string.", code="invalid_type", param="prompt")
    fault = check_prompt(model, prompt)
    if fault is not None:
        raise _bad(f"Invalid prompt: {fault}.", code="invalid_value", param="prompt")
    return prompt


def _images(count: JsonValue, model: Model) -> int:
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= model.max_images:
        message = f"Invalid n: {model.model_id} makes at most {model.max_images} a request, and at least 1."
        raise _bad(message, code="invalid_value", param="n")
    return count


def _check_stream(fields: JsonObject) -> None:
    for name in ("stream", "partial_images"):
        if fields.get(name):
            raise _bad(f"The sandbox does not take {name}.", code="unsupported_parameter", param=name)


def _check_parameters(model: Model, parameters: JsonObject) -> None:
    for name in parameters:
        if name not in model.parameters:
            raise _bad(f"Unknown parameter: '{name[:100]}'.", code="unknown_parameter", param=name[:100])
    for complaint in check_request(model, parameters, {}):
        if not complaint.warning:
            raise _bad(f"Invalid value: {complaint.message}.", code="invalid_value", param=complaint.parameter)
    if parameters.get("output_format") == "svg":
        raise _bad("The sandbox does not draw svg.", code="unsupported_value", param="output_format")


def _order(model: Model, prompt: str, parameters: JsonObject, images: int, answer: AnswerAs) -> Order:
    background = value_of(model, parameters, "background")
    links = value_of(model, parameters, "response_format") == "url"
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
    )


def _quality(model: Model, parameters: JsonObject) -> str:
    """The quality asked for; for `auto` what a plan expects of it, too."""
    asked = value_of(model, parameters, "quality")
    if isinstance(asked, str) and asked != "auto":
        return asked
    return middling_quality(model.pricing) if isinstance(model.pricing, TokenPricing) else "standard"


def _bad(message: str, *, code: str | None = None, param: str | None = None) -> ApiError:
    return ApiError(HTTPStatus.BAD_REQUEST, message, code=code, param=param)
