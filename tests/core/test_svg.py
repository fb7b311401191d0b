"""SVG drawings: what is a picture, and what is more than one."""

from __future__ import annotations

import pytest

from batchgen.core.errors import NotAnImageError
from batchgen.core.media import media_of
from batchgen.core.types import Media

OPEN = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="8" height="8">'
)


def drawing(inner: str) -> bytes:
    """A drawing of 8x8."""
    return f"{OPEN}{inner}</svg>".encode()


@pytest.mark.parametrize(
    "inner",
    [
        '<path d="M0 0L8 8" fill="#fff" style="stroke:url(#g)"/>',
        '<defs><linearGradient id="g"/></defs><use xlink:href="#g"/>',
        "<style>.a{fill:url('#g');font-family:Inter}</style><text class='a'>Sale: 50% off (today only) @ home</text>",
        '<image href="data:image/png;base64,iVBORw0KGgo="/>',
        '<animate attributeName="x" from="0" to="8"/><title>A "boat" &amp; more</title><!-- note -->',
        "<a><text>shop</text></a>",
    ],
)
def test_what_only_shows_is_taken(inner: str) -> None:
    """Shapes, gradients, styles, embedded pictures and movement are what drawings are made of."""
    assert Media("image/svg+xml", "svg", 8, 8) == media_of(drawing(inner), allow_svg=True)


@pytest.mark.parametrize(
    ("inner", "words"),
    [
        ("<script>alert(1)</script>", "holds a <script>"),
        ("<x:SCRIPT xmlns:x='http://www.w3.org/2000/svg'/>", "holds a <script>"),
        ('<g onload="alert(1)"/>', "holds a handler (onload)"),
        ('<g OnClick="alert(1)"/>', "holds a handler"),
        ("<foreignObject><div/></foreignObject>", "holds a <foreignobject>"),
        ('<a href="javascript:alert(1)"/>', "leads elsewhere"),
        ('<a xlink:href="&#106;avascript:alert(1)"/>', "leads elsewhere"),
        ('<image href="https://tracker.example/x.png"/>', "leads elsewhere"),
        ('<use href="data:image/svg+xml;base64,PHN2Zy8+#a"/>', "leads elsewhere"),
        ('<set attributeName="xlink:href" to="javascript:alert(1)"/>', "changes where its parts lead"),
        ("<style>@import url(https://x.example/a.css);</style>", "fetches something"),
        ('<rect fill="url(https://x.example/#a)"/>', "fetches something"),
        ('<rect style="background:u\\72l(https://x.example/)"/>', "fetches something"),
        ("<?xml-stylesheet href='https://x.example/a.css'?>", "holds an instruction"),
    ],
)
def test_what_does_more_is_refused(inner: str, words: str) -> None:
    """Whoever opens a drawing from the output folder runs nothing and asks nobody on the network."""
    with pytest.raises(NotAnImageError, match="more than a picture") as caught:
        media_of(drawing(inner), allow_svg=True)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'<!DOCTYPE svg [<!ENTITY a "aaaa">]><svg>&a;</svg>', "declares a document type"),
        (b"<svg><g></svg>", "damaged SVG drawing: mismatched tag"),
        (drawing("<g/>") + b"<svg/>", "damaged SVG drawing"),
        (drawing("<g>" * 300 + "</g>" * 300), "more parts than an honest one"),
        (drawing("<g/>")[:-1], "truncated SVG drawing"),
        (b'<?xml version="1.0"?><html><svg/></html>', "its first element is html"),
    ],
)
def test_what_is_no_whole_drawing(data: bytes, words: str) -> None:
    """A drawing is read to its last byte, as every image is."""
    with pytest.raises(NotAnImageError) as caught:
        media_of(data, allow_svg=True)
    assert words in str(caught.value)
