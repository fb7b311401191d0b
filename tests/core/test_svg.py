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
        '<g id="a" class="b" data-name="Layer 1" aria-label="boat" role="img" xml:space="preserve"/>',
        '<filter id="f"><feGaussianBlur stdDeviation="2"/><feOffset dx="1"/></filter><rect filter="url(#f)"/>',
        '<clipPath id="c"><circle r="4"/></clipPath><g clip-path="url(\'#c\')" transform="rotate(45 4 4)"/>',
        "<style>/* the boat */ .a:hover{fill:rgb(1 2 3);transform:translate(1px)}</style>",
        '<text x="1" y="2" font-family="Inter, sans-serif">Fresh (and cheap) @ the market</text>',
    ],
)
def test_what_only_shows_is_taken(inner: str) -> None:
    """Shapes, gradients, styles, embedded pictures and movement are what drawings are made of."""
    assert Media("image/svg+xml", "svg", 8, 8) == media_of(drawing(inner), allow_svg=True)


@pytest.mark.parametrize(
    ("inner", "words"),
    [
        ("<script>alert(1)</script>", "holds a <script>"),
        ("<x:SCRIPT xmlns:x='http://www.w3.org/2000/svg'/>", "holds a <SCRIPT>"),
        ("<style>@import url(https://x.example/a.css);<g/></style>", "its style holds an element"),
        (
            "<style>a{content:'/*'}b{background:url(https://x.example/)}c{content:'*/'}</style>",
            "fetches something",
        ),
        ("<style>@im/**/port url(https://x.example/a.css)</style>", "fetches something"),
        (
            "<style>a{background:image-set('data:image/png;base64,AA' 1x,'https://x.example/2x' 2x)}</style>",
            "fetches something",
        ),
        (
            "<style>a{background:url(data:image/png;base64,AA),url(https://x.example/)}</style>",
            "fetches something",
        ),
        ("<rect style=\"filter:src('https://x.example/')\"/>", "fetches something"),
        ('<h:img xmlns:h="http://www.w3.org/1999/xhtml" srcset="https://x.example/"/>', "holds a <img>"),
        ('<h:form xmlns:h="http://www.w3.org/1999/xhtml" action="javascript:alert(1)"/>', "holds a <form>"),
        ('<a ping="https://x.example/" href="#a"/>', "leads elsewhere (ping)"),
        ('<g xml:base="https://x.example/"/>', "leads elsewhere (xml:base)"),
        ('<g xmlns:e="http://www.w3.org/2001/xml-events" e:event="load"/>', "an attribute of something else"),
        (
            '<set attributeName="style" to="background:url(https://x.example/)"/>',
            "changes where its parts lead",
        ),
        ('<animate attributeName="fill" values="url(https://x.example/#a)"/>', "fetches something"),
        ('<g onload="alert(1)"/>', "holds a handler (onload)"),
        ('<g OnClick="alert(1)"/>', "holds a handler"),
        ("<foreignObject><div/></foreignObject>", "holds a <foreignObject>"),
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
        (b'<svg xmlns="http://www.w3.org/1999/xhtml"/>', "its first element is svg"),
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


def test_the_usual_document_type_is_taken() -> None:
    """Many programs write it, and nobody fetches what it names."""
    doctype = (
        '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">'
    )
    data = b'<?xml version="1.0" encoding="UTF-8"?>' + doctype.encode() + drawing("<g/>")
    assert Media("image/svg+xml", "svg", 8, 8) == media_of(data, allow_svg=True)
