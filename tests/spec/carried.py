"""A request as it came over the wire -> what the document or the catalogue has against it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from batchgen.catalogue.catalogue import Catalogue
from batchgen.catalogue.model import Model
from batchgen.catalogue.rules import check_prompt, check_request
from batchgen.core.values import replace
from tests.spec.document import document

OWN = frozenset({"model", "prompt", "n"})
PICTURES = frozenset({"image", "image[]", "images", "mask"})
FILE = "(file)"
"""What stands for a picture's bytes in a form's fields: the document says nothing of them but that they are there."""


class NoRequestError(Exception):
    """The body is not what its content type says."""


def api_path(path: str) -> str:
    """The path as the document names it: what follows the base URL."""
    return "/" + path.partition("?")[0].partition("/v1/")[2]


def request_faults(path: str, content_type: str, body: bytes, catalogue: Catalogue) -> list[str]:
    """Everything that the document's schema or the model forbids. Nothing for what the document does not know."""
    kind = _kind(content_type)
    schema = document().request_schema(api_path(path), kind)
    if schema is None:
        return []
    try:
        fields = fields_of(schema, content_type, body)
    except NoRequestError as error:
        return [f"{schema}: {error}"]
    return [*document().faults(schema, fields), *_model_faults(fields, catalogue)]


def fields_of(schema: str, content_type: str, body: bytes) -> dict[str, Any]:
    """The fields of a body: a form's as the values that their schemas speak of. Raises `NoRequestError`."""
    return _form(schema, content_type, body) if _kind(content_type) == "multipart/form-data" else _object(body)


def _kind(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _object(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NoRequestError(str(error)) from error
    if not isinstance(fields, dict):
        raise NoRequestError("no JSON object")
    return fields


def _form(schema: str, content_type: str, body: bytes) -> dict[str, Any]:
    whole = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    if not whole.is_multipart() or whole.defects:
        raise NoRequestError(f"no form: {whole.defects}")
    known = document().properties(schema)
    fields: dict[str, Any] = {}
    for name, value in (_field(part) for part in whole.iter_parts()):
        if name.endswith("[]"):
            fields.setdefault(name.removesuffix("[]"), []).append(value)
        elif name in fields:
            raise NoRequestError(f"{name} is there twice")
        else:
            fields[name] = _typed(known.get(name, {}), value)
    return fields


def _field(part: Message) -> tuple[str, str]:
    name = part.get_param("name", header="content-disposition")
    if not isinstance(name, str):
        raise NoRequestError("a field without a name")
    if part.get_filename() is not None:
        return name, FILE
    text = part.get_payload(decode=True)
    try:
        return name, text.decode() if isinstance(text, bytes) else ""
    except UnicodeDecodeError as error:
        raise NoRequestError(f"{name}: {error}") from error


def _typed(schema: Mapping[str, Any], text: str) -> Any:  # noqa: ANN401 - any JSON
    """A form has text only: a number, a flag or an object is written as in JSON, and nothing at all is null."""
    if not text and schema.get("nullable"):
        return None
    types = {branch.get("type") for branch in (schema, *schema.get("anyOf", ()))}
    if not types & {"integer", "boolean", "object"}:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _model_faults(fields: Mapping[str, Any], catalogue: Catalogue) -> Iterator[str]:
    """What the model does not take. A model that the catalogue does not know is asked for at the user's own risk."""
    if fields.get("model") is None:
        yield "no model is named, and the default is one that is gone"
        return
    model = catalogue.find(str(fields["model"]))
    if model is None:
        return
    pictures = fields.get("image", fields.get("images"))
    if pictures is not None:
        yield from _picture_faults(model, pictures, "mask" in fields)
        model = _for_edits(model, form="image" in fields)
    asked = {
        name: value
        for name, value in fields.items()
        if name not in OWN | PICTURES and value is not None and not name.startswith("newer_")
    }
    yield from (told.message for told in check_request(model, asked, {}) if not told.warning)
    if isinstance(fields.get("prompt"), str) and (wrong := check_prompt(model, fields["prompt"])):
        yield wrong
    if isinstance(fields.get("n"), int) and fields["n"] > model.max_images:
        yield f"{model.model_id} makes {model.max_images} images a request, not {fields['n']}"


def _for_edits(model: Model, *, form: bool) -> Model:
    """What forms lack is taken in JSON, as the document has it; batchgen sends forms."""
    taken = model.for_edits
    return taken if form else replace(taken, parameters={**model.parameters, **taken.parameters})


def _picture_faults(model: Model, pictures: object, masked: bool) -> Iterator[str]:
    count = len(pictures) if isinstance(pictures, list) else 1
    if model.edits is None:
        yield f"{model.model_id} takes no pictures"
    elif count > model.edits.references:
        yield f"{model.model_id} takes {model.edits.references} pictures, these are {count}"
    elif masked and not model.edits.mask:
        yield f"{model.model_id} takes no mask"
