"""SVG drawings: whole to their last byte, and nothing but a picture.

A drawing is a document that a browser runs when it is opened by itself. So only what is known to do nothing but draw is
taken: elements of SVG's own, attributes that lead nowhere but into the drawing, styles that fetch nothing.
"""

from __future__ import annotations

import re
from xml.parsers import expat

from batchgen.core.errors import NotAnImageError

MAX_ELEMENTS = 1_000_000
MAX_DEPTH = 256

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_XML = "http://www.w3.org/XML/1998/namespace"
_BETWEEN = " "
"""What expat puts between a namespace and a name."""

_ELEMENTS = frozenset(
    [
        "svg",
        "g",
        "defs",
        "symbol",
        "use",
        "switch",
        "title",
        "desc",
        "metadata",
        "style",
        "image",
        "a",
        "path",
        "rect",
        "circle",
        "ellipse",
        "line",
        "polyline",
        "polygon",
        "text",
        "tspan",
        "textPath",
        "linearGradient",
        "radialGradient",
        "stop",
        "pattern",
        "clipPath",
        "mask",
        "marker",
        "view",
        "filter",
        "feBlend",
        "feColorMatrix",
        "feComponentTransfer",
        "feComposite",
        "feConvolveMatrix",
        "feDiffuseLighting",
        "feDisplacementMap",
        "feDistantLight",
        "feDropShadow",
        "feFlood",
        "feFuncA",
        "feFuncB",
        "feFuncG",
        "feFuncR",
        "feGaussianBlur",
        "feImage",
        "feMerge",
        "feMergeNode",
        "feMorphology",
        "feOffset",
        "fePointLight",
        "feSpecularLighting",
        "feSpotLight",
        "feTile",
        "feTurbulence",
        "animate",
        "animateTransform",
        "animateMotion",
        "mpath",
        "set",
    ]
)
_ANIMATIONS = frozenset({"animate", "animateTransform", "animateMotion", "set"})
_FORBIDDEN = frozenset(
    {"ping", "srcset", "src", "action", "formaction", "background", "data", "poster", "base"}
)
"""Attributes that lead somewhere on elements of HTML or of an older SVG; none of them draws."""

_LINK = re.compile(r"\s*(?:#|data:image/(?:png|jpeg|webp|gif);base64,|\Z)", re.IGNORECASE)
_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
_URL = re.compile(r"url\(\s*+['\"]?+\s*+(?:#|data:image/(?:png|jpeg|webp|gif);base64,)", re.IGNORECASE)
_FETCHES = re.compile(
    r"@import|\b(?:url|src|image|image-set|-webkit-image-set|cross-fade|expression)\(", re.IGNORECASE
)


def root_of(data: bytes) -> dict[str, str]:
    """The attributes of a drawing's outermost element. Raises `NotAnImageError` for what is cut, damaged or active."""
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=_BETWEEN)
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.doctype
    parser.EntityDeclHandler = reader.entity
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
        space, local = _split(name)
        if self._elements == 1:
            if local != "svg" or space not in {"", _SVG}:
                raise NotAnImageError(f"not an SVG drawing: its first element is {local[:40]}")
            self.root = attributes
        if space not in {"", _SVG} or local not in _ELEMENTS:
            raise _active(f"it holds a <{local[:40]}>")
        if self._style is not None:
            raise _active("its style holds an element")
        for key, value in attributes.items():
            _check_attribute(local, key, value)
        self._style = [] if local == "style" else None

    def end(self, _: str) -> None:
        self._depth -= 1
        # Nothing stands inside of a style, so this is its own end.
        if self._style is not None:
            _check_style("".join(self._style))
            self._style = None

    def text(self, text: str) -> None:
        if self._style is not None:
            self._style.append(text)

    def doctype(self, _name: str, _system: str | None, _public: str | None, has_internal_subset: int) -> None:
        """The usual one names a file that nobody fetches; one with declarations of its own is a trap."""
        if has_internal_subset:
            raise _active("it declares a document type of its own")

    def entity(self, *_: object) -> None:
        raise _active("it declares an entity")

    def instruction(self, target: str, _: str) -> None:
        raise _active(f"it holds an instruction ({target[:40]})")


def _split(name: str) -> tuple[str, str]:
    space, _, local = name.rpartition(_BETWEEN)
    return space, local


def _check_attribute(element: str, name: str, value: str) -> None:
    space, local = _split(name)
    if space == _XML and local == "base":
        raise _active("it leads elsewhere (xml:base)")
    if space not in {"", _XLINK, _XML}:
        raise _active(f"it holds an attribute of something else ({local[:40]})")
    lower = local.lower()
    if lower.startswith("on"):
        raise _active(f"it holds a handler ({local[:40]})")
    if lower in _FORBIDDEN or (lower == "href" and not _LINK.match(value)):
        raise _active(f"it leads elsewhere ({local})")
    if element in _ANIMATIONS and lower == "attributename" and _animated(value) in {"href", "style"}:
        raise _active("it changes where its parts lead")
    _check_style(value)


def _animated(value: str) -> str:
    return value.strip().rpartition(":")[2].lower()


def _check_style(text: str) -> None:
    """A style, or the value of an attribute, which may be one. An escape can spell anything, and drawings need none.

    Read with its comments and without them: what looks like one may stand in a text, and split a word if it does not.
    """
    readings = (text, _COMMENT.sub("", text)) if "/*" in text else (text,)
    if any(_FETCHES.search(_URL.sub("", reading)) for reading in readings) or (
        "\\" in text and ("(" in text or "@" in text)
    ):
        raise _active("it fetches something from elsewhere")


def _active(why: str) -> NotAnImageError:
    return NotAnImageError(f"an SVG drawing that is more than a picture: {why}")
