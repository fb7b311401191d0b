"""SVG drawings: whole to their last byte, and nothing but a picture.

A drawing is a document that a browser runs, and it is stored as it came. So nothing is taken that is not known to do
no more than show: elements by their names and namespaces, attributes by what they can say, and styles by the
functions they call. What no list here knows is refused, so a browser's next feature is no hole.
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


def _names(*words: str) -> frozenset[str]:
    return frozenset(" ".join(words).split())


_ELEMENTS = _names(
    # Structure and words
    "svg g defs symbol use a switch view title desc metadata style",
    # Shapes
    "path rect circle ellipse line polyline polygon image text tspan textPath tref marker",
    # Paint
    "linearGradient radialGradient stop pattern clipPath mask filter",
    "feBlend feColorMatrix feComponentTransfer feComposite feConvolveMatrix feDiffuseLighting feDisplacementMap",
    "feDistantLight feDropShadow feFlood feFuncA feFuncB feFuncG feFuncR feGaussianBlur feImage feMerge",
    "feMergeNode feMorphology feOffset fePointLight feSpecularLighting feSpotLight feTile feTurbulence",
    # Movement
    "animate animateTransform animateMotion animateColor set mpath",
)

# Notes that drawing programs keep for themselves, and where a drawing comes from: no browser knows these namespaces.
_NOTES = frozenset(
    {
        "http://c2pa.org/manifest",
        "http://creativecommons.org/ns#",
        "http://web.resource.org/cc/",
        "http://purl.org/dc/elements/1.1/",
        "http://purl.org/dc/terms/",
        "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
        "http://www.inkscape.org/namespaces/inkscape",
        "http://sodipodi.sourceforge.net/DTD/sodipodi-0.dtd",
        "http://www.bohemiancoding.com/sketch/ns",
        "http://www.figma.com/figma/ns",
        "http://www.serif.com/",
    }
)

# Attributes whose words nothing acts upon.
_WORDS = _names(
    "id class role lang title alt name type media begin end dur systemlanguage",
    "requiredfeatures requiredextensions contentstyletype contentscripttype",
)
_XLINK_WORDS = _names("type title role arcrole show actuate")
_XML_WORDS = _names("id lang space")

# Attributes that hold addresses in some element of some language.
_ADDRESSES = _names("ping action formaction base")
_ANIMATED = re.compile(r"[A-Za-z][A-Za-z0-9-]*+")

_SPACE = r"[ \t\r\n\f]*+"
_PICTURE = r"data:image/(?:png|jpe?g|webp|gif);base64,[A-Za-z0-9+/=\s]*+"
_REFERENCE = re.compile(rf"{_SPACE}(?:#[^\s]*+{_SPACE}|{_PICTURE})", re.IGNORECASE | re.ASCII)
_TARGET = re.compile(
    rf"""{_SPACE}(?:(?P<quote>["'])(?:#[^"'()\s]*+|{_PICTURE})(?P=quote)|#[^"'()\s]*+|{_PICTURE}){_SPACE}\)""",
    re.IGNORECASE | re.ASCII,
)
# A colon or a slash leads elsewhere; the slash of `rgb(0 0 0 / 50%)` has blanks about it.
_LEADS = re.compile(r":|/(?! )")

# A name begins where no name goes on, or long words without a bracket would be read once for every letter.
_CALL = re.compile(r"@(?P<rule>[-\w]*+)|(?<![-\w])(?P<name>[-\w]*+)\(", re.ASCII)
_RULES = _names(
    "charset container font-face keyframes -moz-keyframes -webkit-keyframes layer media namespace property supports"
) | {""}  # An @ alone
_FUNCTIONS = _names(
    # Colours
    "rgb rgba hsl hsla hwb lab lch oklab oklch color color-mix light-dark",
    "linear-gradient radial-gradient conic-gradient",
    "repeating-linear-gradient repeating-radial-gradient repeating-conic-gradient",
    # Places
    "matrix matrix3d translate translatex translatey translatez translate3d scale scalex scaley scalez scale3d",
    "rotate rotatex rotatey rotatez rotate3d skew skewx skewy perspective",
    "path circle ellipse inset polygon rect xywh",
    # Numbers and times
    "calc min max clamp round mod rem abs sign sqrt pow hypot exp log sin cos tan asin acos atan atan2",
    "var env cubic-bezier steps linear counter counters minmax repeat fit-content",
    # Filters
    "blur brightness contrast drop-shadow grayscale hue-rotate invert opacity saturate sepia",
    # Selectors and fonts
    "not is where has lang nth-child nth-last-child nth-of-type nth-last-of-type local format tech",
) | {""}  # A bracket alone

# What browsers read as expat does. They know no entities by these names, while they know XHTML's and MathML's.
_ENCODINGS = _names("utf-8 us-ascii iso-8859-1 windows-1252")
_DOCTYPES = re.compile(r"-//W3C//DTD SVG (?:1\.0|1\.1|1\.1 Basic|1\.1 Tiny|1\.2|1\.2 Tiny|20010904)//EN")
_W3C = ("http://www.w3.org/", "https://www.w3.org/")


def root_of(data: bytes) -> dict[str, str]:
    """The attributes of a drawing's outermost element. Raises `NotAnImageError` for what is cut, damaged or active."""
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.XmlDeclHandler = reader.declaration
    parser.StartDoctypeDeclHandler = reader.doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.SkippedEntityHandler = reader.entity
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
                raise NotAnImageError(f"not an SVG drawing: its first element is {name[:80]}")
            self.root = {key: value for key, value in attributes.items() if " " not in key}
        if space not in _NOTES and (space not in {"", _SVG} or local not in _ELEMENTS):
            raise _active(
                f"it holds a <{local[:40]}>" + (f" of {space[:80]}" if space not in {"", _SVG} else "")
            )
        if self._style is not None:
            raise _active(f"its style holds a <{local[:40]}>")
        for key, value in attributes.items():
            _check_attribute(*_split(key), value)
        if local == "style":
            self._style = []

    def end(self, _: str) -> None:
        self._depth -= 1
        if self._style is not None:  # A style holds no elements, so it is the style that ends.
            _check_style("".join(self._style))
            self._style = None

    def text(self, text: str) -> None:
        if self._style is not None:
            self._style.append(text)

    def declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.lower() not in _ENCODINGS:
            raise NotAnImageError(f"an SVG drawing that is not written in UTF-8 but in {encoding[:40]}")

    def doctype(self, name: str, system: str | None, public: str | None, internal: int) -> None:
        known = _DOCTYPES.fullmatch(public or "") and (system or "").startswith(_W3C)
        if internal or name != "svg" or not (known or (public is None and system is None)):
            raise _active("it declares a document type of its own")

    def entity(self, name: str, _: int) -> None:
        raise _active(f"it holds an entity ({name[:40]})")

    def instruction(self, target: str, _: str) -> None:
        raise _active(f"it holds an instruction ({target[:40]})")


def _split(name: str) -> tuple[str, str]:
    """The namespace of a name, empty for none, and the name in it."""
    space, _, local = name.rpartition(" ")
    return space, local


def _check_attribute(space: str, name: str, value: str) -> None:
    name = name.lower()  # HTML reads it so.
    if name.startswith("on"):
        raise _active(f"it holds a handler ({name[:40]})")
    if name == "href":
        if not _REFERENCE.fullmatch(value):
            raise _active("it leads elsewhere (href)")
    elif _leads(name) or _is_of_another_language(space, name):
        raise _active(f"it leads elsewhere ({name[:40]})")
    elif not space and name == "attributename":
        _check_animated(value)
    elif not space and name == "style":
        _check_style(value)
    elif not _is_words(space, name):
        _check_value(name, value)


def _leads(name: str) -> bool:
    return name in _ADDRESSES or "src" in name


def _is_of_another_language(space: str, name: str) -> bool:
    """Whether browsers may know an attribute from XHTML, XML events and their like."""
    if space == _XML:
        return name not in _XML_WORDS
    return space.startswith(_W3C) and space != _XLINK and space not in _NOTES


def _is_words(space: str, name: str) -> bool:
    """Whether nothing acts upon what an attribute says, whatever it is."""
    if not space:
        return name in _WORDS or name.startswith(("data-", "aria-"))
    return space in _NOTES or (
        name in _XML_WORDS if space == _XML else space == _XLINK and name in _XLINK_WORDS
    )


def _check_value(name: str, value: str) -> None:
    """What a name that is not known by its meaning may say: nothing that an address is made of."""
    if _LEADS.search(value):
        raise _active(f"it leads elsewhere ({name[:40]})")
    _check_style(value)


def _check_animated(value: str) -> None:
    name = value.strip().lower()
    if not _ANIMATED.fullmatch(name) or name.startswith("on") or name == "href" or _leads(name):
        raise _active("it changes where its parts lead")


def _check_style(text: str) -> None:
    # Nothing is skipped, neither comments nor quoted words: what hides a call from one reader may not from another.
    if "\\" in text:  # An escape can spell anything, and drawings need none.
        raise _active("its style holds an escape")
    for call in _CALL.finditer(text):
        rule, name = call["rule"], (call["name"] or "").lower()
        if rule is not None and rule.lower() not in _RULES:
            raise _active(f"its style holds an @{rule[:40]}")
        if name == "url":
            if not _TARGET.match(text, call.end()):
                raise _active("its style fetches something from elsewhere")
        elif name not in _FUNCTIONS:
            raise _active(f"its style calls {name[:40]}()")


def _active(why: str) -> NotAnImageError:
    return NotAnImageError(f"an SVG drawing that is more than a picture: {why}")
