"""SVG drawings: whole to their last byte, and nothing but a picture.

A drawing is a document that a browser runs. One that could do anything beyond being looked at is not taken: no
scripts, no handlers, no foreign content, nothing fetched from elsewhere, no document type (entities can be bombs).
"""

from __future__ import annotations

import re
from xml.parsers import expat

from batchgen.core.errors import NotAnImageError

MAX_ELEMENTS = 1_000_000
MAX_DEPTH = 256

_ACTIVE = frozenset(
    {
        "script",
        "handler",
        "listener",
        "foreignobject",
        "iframe",
        "object",
        "embed",
        "audio",
        "video",
        "link",
        "meta",
    }
)
_REFERENCE = re.compile(r"\s*(?:#|data:image/(?:png|jpeg|webp|gif);base64,|\Z)", re.IGNORECASE)
_FETCHES = re.compile(
    r"@import|(?:url\(|image-set\()\s*+['\"]?+\s*+(?!#|data:image/(?:png|jpeg|webp|gif);)", re.IGNORECASE
)


def root_of(data: bytes) -> dict[str, str]:
    """The attributes of a drawing's outermost element. Raises `NotAnImageError` for what is cut, damaged or active."""
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.doctype
    parser.ProcessingInstructionHandler = reader.instruction
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        what = "truncated" if error.code in _CUT else "damaged"
        raise NotAnImageError(f"a {what} SVG drawing: {expat.ErrorString(error.code)}") from error
    return reader.root


_CUT = frozenset(
    expat.errors.codes[words]
    for words in (
        expat.errors.XML_ERROR_NO_ELEMENTS,
        expat.errors.XML_ERROR_UNCLOSED_TOKEN,
        expat.errors.XML_ERROR_UNCLOSED_CDATA_SECTION,
        expat.errors.XML_ERROR_PARTIAL_CHAR,
    )
)


class _Reader:
    """What the parser tells."""

    def __init__(self) -> None:
        self.root: dict[str, str] = {}
        self._depth = 0
        self._elements = 0
        self._style: list[str] | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        if self._depth > MAX_DEPTH or self._elements > MAX_ELEMENTS:
            raise NotAnImageError("an SVG drawing with more parts than an honest one has")
        local = _local(name)
        if self._elements == 1:
            if local != "svg":
                raise NotAnImageError(f"not an SVG drawing: its first element is {local[:40]}")
            self.root = attributes
        if local in _ACTIVE:
            raise _active(f"it holds a <{local}>")
        for key, value in attributes.items():
            _check_attribute(_local(key), value)
        self._style = [] if local == "style" else None

    def end(self, name: str) -> None:
        self._depth -= 1
        if self._style is not None and _local(name) == "style":
            _check_style("".join(self._style))
            self._style = None

    def text(self, text: str) -> None:
        if self._style is not None:
            self._style.append(text)

    def doctype(self, *_: object) -> None:
        raise _active("it declares a document type")

    def instruction(self, target: str, _: str) -> None:
        raise _active(f"it holds an instruction ({target[:40]})")


def _local(name: str) -> str:
    """A name without its prefix, in lower case: HTML reads it so."""
    return name.rpartition(":")[2].lower()


def _check_attribute(name: str, value: str) -> None:
    if name.startswith("on"):
        raise _active(f"it holds a handler ({name[:40]})")
    if name in {"href", "src"} and not _REFERENCE.match(value):
        raise _active(f"it leads elsewhere ({name})")
    if name == "attributename" and _local(value.strip()) in {"href", "src"}:
        raise _active("it changes where its parts lead")
    _check_style(value)


def _check_style(text: str) -> None:
    # An escape can spell anything where functions are called, and drawings need none.
    if _FETCHES.search(text) or ("\\" in text and ("(" in text or "@" in text)):
        raise _active("it fetches something from elsewhere")


def _active(why: str) -> NotAnImageError:
    return NotAnImageError(f"an SVG drawing that is more than a picture: {why}")
