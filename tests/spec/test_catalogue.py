"""Every model with everything that the catalogue says it takes, as it really goes over the wire."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from batchgen.catalogue import dialects
from batchgen.catalogue.catalogue import Catalogue
from batchgen.catalogue.dialects import DIALECTS
from batchgen.catalogue.model import AnySize, Anything, Choice, Flag, Model, Parameter, Whole
from batchgen.catalogue.rules import check_request
from batchgen.core.errors import AttemptError
from batchgen.core.types import ImageRequest, JsonObject, JsonValue, Reference
from batchgen.providers.http import HttpProvider, open_provider
from batchgen.sandbox.faults import Behaviour
from batchgen.sandbox.server import serve
from tests.providers.servers import PIXEL_B64, answering, endpoint_of, generate, serving
from tests.spec.carried import FILE, api_path, fields_of
from tests.spec.document import choices, document
from tests.spec.witness import WITNESS
from tests.support.png import png

CATALOGUE = Catalogue.builtin()
MODELS = pytest.mark.parametrize("model", CATALOGUE.models.values(), ids=lambda model: model.model_id)

SIZES = ("1024x1024", "1536x1024", "1024x640", "1536x512", "3840x2160", "2160x3840")
"""Within and at the corners of the rule: the fewest pixels, the widest ratio, the longest edge, the most pixels."""

PICTURE = png("picture")
TAKEN = 503
"""What a sandbox that is overloaded says to a request that it would take; one that it does not gets a 400."""


def values_of(parameter: Parameter) -> tuple[JsonValue, ...]:
    """Every value of a parameter, or enough of them."""
    match parameter:
        case Choice(values):
            return values
        case AnySize():
            return *parameter.values, *SIZES
        case Whole(low, high, default):
            return tuple({value for value in (low, high, default) if value is not None})
        case Flag():
            return True, False
        case Anything("object"):
            return {"model": "any-model"}, {}
        case Anything():
            return "user-1234", "“ü”\n"


def requests_of(model: Model) -> Iterator[JsonObject]:
    """Nothing, then each value of each parameter with what its rules need, then as much at once as goes together."""
    yield {}
    whole: JsonObject = {}
    for name, parameter in model.parameters.items():
        for value in values_of(parameter):
            asked: JsonObject = {name: value}
            for rule in model.rules:
                if rule.when == name and rule.value in (None, value):
                    asked = {**asked, rule.needs: rule.among[0]}
            yield asked
            more = {**whole, **asked}
            if not any(not complaint.warning for complaint in check_request(model, more, {})):
                whole = more
    yield whole


def reference(folder: Path, name: str, data: bytes) -> Reference:
    """A picture on the disk."""
    (folder / name).write_bytes(data)
    return Reference(name, hashlib.sha256(data).hexdigest(), len(data), "image/png", 8, 8)


def orders_of(model: Model, folder: Path) -> Iterator[ImageRequest]:
    """All requests for a model: with words alone; with a picture; with as many as it takes, with and without a mask."""
    for asked in requests_of(model):
        yield ImageRequest(model.model_id, "A boat.", asked)
    if model.edits is not None:
        clear = io.BytesIO()
        Image.new("RGBA", (8, 8)).save(clear, "PNG")
        picture, mask = reference(folder, "a.png", PICTURE), reference(folder, "mask.png", clear.getvalue())
        for asked in requests_of(model.for_edits):
            yield ImageRequest(model.model_id, "A boat.", asked, references=(picture,))
        many = (picture,) * model.edits.references
        for most in (many[:2], many):
            yield ImageRequest(model.model_id, "A boat.", references=most)
            yield ImageRequest(model.model_id, "A boat.", references=most, mask=mask)


def wanted(order: ImageRequest) -> JsonObject:
    """What has to arrive, and nothing else."""
    pictures: list[JsonValue] = [FILE] * len(order.references)
    files: dict[str, JsonValue] = {} if not pictures else {"image": pictures if len(pictures) > 1 else FILE}
    if order.mask is not None:
        files["mask"] = FILE
    return {"model": order.model, "prompt": order.prompt, "n": 1, **order.parameters, **files}


@MODELS
@pytest.mark.anyio
async def test_all_that_a_model_takes_is_sent_as_documented(model: Model, tmp_path: Path) -> None:
    """Each request carries what was asked and no more, and neither the document nor the model has anything against it."""
    handler = answering({"created": 1, "data": [{"b64_json": PIXEL_B64}]})
    orders = list(orders_of(model, tmp_path))
    async with (
        serving(handler) as api,
        open_provider(endpoint_of(api.base_url), concurrency=1, pictures=tmp_path) as provider,
    ):
        for order in orders:
            await generate(provider, order)

    arrived = []
    for request, body in zip(api.requests, api.bodies, strict=True):
        schema = document().request_schema(api_path(request.path), request.content_type)
        assert schema is not None
        arrived.append(fields_of(schema, request.headers["Content-Type"], body))
    assert [wanted(order) for order in orders] == arrived
    assert [] == WITNESS.requests


@pytest.mark.parametrize("name", DIALECTS)
def test_the_dialects_of_the_house_speak_alike(name: str) -> None:
    """What is proven of one is true of the other: both send a request's own fields to the same addresses."""
    dialect = DIALECTS[name]
    own = ImageRequest("gpt-image-2", "A boat.", dict.fromkeys(CATALOGUE.parameters, "value"))
    assert wanted(own) == dialects.fields_of(dialect, own)
    assert ("/images/generations", "/images/edits", "/models") == (
        dialect.generate,
        dialect.edit,
        dialect.models,
    )


@MODELS
@pytest.mark.anyio
async def test_the_sandbox_takes_all_of_it(model: Model, tmp_path: Path) -> None:
    """What the catalogue lets through is no request that fails at the provider: the sandbox refuses none of it."""
    async with (
        serve(Behaviour(failures={"overloaded": 1.0})) as sandbox,
        open_provider(endpoint_of(sandbox.base_url), concurrency=1, pictures=tmp_path) as provider,
    ):
        orders = orders_of(model, tmp_path)
        refused = [order for order in orders if await _status(provider, order) != TAKEN]
    assert [] == refused


async def _status(provider: HttpProvider, order: ImageRequest) -> int | None:
    with pytest.raises(AttemptError) as caught:
        await generate(provider, order)
    return caught.value.failure.http_status


GPT_IMAGE = ("gpt-image-2", "gpt-image-2.5-flare", "gpt-image-2.5-sunburst", "gpt-image-2.6-flare", "gpt-image-2.6-sunburst")  # fmt: skip
BEFORE_2_5 = GPT_IMAGE[:1]
BEFORE_2_6 = GPT_IMAGE[:3]

OMITTED = {
    "response_format": (GPT_IMAGE, "GPT image models always answer with base64, and may refuse the parameter"),
    "style": (GPT_IMAGE, "dall-e-3 alone has styles"),
    "quality=standard": (GPT_IMAGE, "a quality of dall-e"),
    "quality=hd": (GPT_IMAGE, "a quality of dall-e"),
    "quality=xhigh": (BEFORE_2_5, "a quality of gpt-image-2.5 and later"),
    "quality=max": (BEFORE_2_5, "a quality of gpt-image-2.5 and later"),
    "size=256x256": (GPT_IMAGE, "a size of dall-e-2, with too few pixels for the others"),
    "size=512x512": (GPT_IMAGE, "a size of dall-e-2, with too few pixels for the others"),
    "output_format=gif": (BEFORE_2_6, "a format of gpt-image-2.6"),
    "output_format=svg": (BEFORE_2_6, "a format of gpt-image-2.6"),
    "complexity": (BEFORE_2_6, "a parameter of gpt-image-2.6"),
    "frame_count": (BEFORE_2_6, "a parameter of gpt-image-2.6"),
    "frame_duration_ms": (BEFORE_2_6, "a parameter of gpt-image-2.6"),
    "svg": (BEFORE_2_6, "a parameter of gpt-image-2.6"),
    "input_fidelity": (GPT_IMAGE, "refused by gpt-image-2; the later ones always read pictures closely"),
}
"""What the document has and the catalogue has not, of the models that do not retire, and why."""

SET_BY_BATCHGEN = {"prompt", "model", "n", "image", "mask"}


def unknown_to(model: Model, schema: str) -> Iterator[str]:
    """Parameters of the document, and their words, that the catalogue does not know for a model."""
    for name, property_schema in document().properties(schema).items():
        if name in SET_BY_BATCHGEN:
            continue
        if name not in model.parameters:
            yield name
            continue
        for word in choices(property_schema):
            if any(
                complaint.parameter == name
                for complaint in check_request(model, {name: word}, {})
                if not complaint.warning
            ):
                yield f"{name}={word}"


def test_nothing_of_the_document_is_forgotten() -> None:
    """A parameter or a word that a live model may take is in the catalogue, or it is said here why not."""
    live = [
        model
        for model in CATALOGUE.models.values()
        if model.maker == "openai" and model.retires is None and model.dated_name_of is None
    ]
    assert GPT_IMAGE == tuple(model.model_id for model in live)
    found = {
        (what, model.model_id)
        for model in live
        for schema, taken in (("CreateImageRequest", model), ("CreateImageEditRequest", model.for_edits))
        for what in unknown_to(taken, schema)
    }
    known = {(what, model_id) for what, (models, _) in OMITTED.items() for model_id in models}
    assert set() == found - known, "the catalogue does not know what the document has"
    assert set() == known - found, "the catalogue knows by now"
