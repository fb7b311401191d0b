"""SVG drawings: what is a picture, and what is more than one."""

from __future__ import annotations

from time import monotonic

import pytest

from batchgen.core.errors import NotAnImageError
from batchgen.core.media import media_of
from batchgen.core.svg import root_of
from batchgen.core.types import Media

OPEN = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'xmlns:h="http://www.w3.org/1999/xhtml" width="8" height="8">'
)
W3C = '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">'
RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:cc="http://creativecommons.org/ns#"'
INKSCAPE = (
    'xmlns:inkscape="http://www.inkscape.org/namespaces/inkscape" '
    'xmlns:sodipodi="http://sodipodi.sourceforge.net/DTD/sodipodi-0.dtd"'
)


def drawing(inner: str) -> bytes:
    """A drawing of 8x8."""
    return f"{OPEN}{inner}</svg>".encode()


def refused(data: bytes) -> str:
    """Why a drawing is not taken."""
    with pytest.raises(NotAnImageError) as caught:
        media_of(data, allow_svg=True)
    return str(caught.value)


@pytest.mark.parametrize(
    "inner",
    [
        '<path d="M0 0L8 8" fill="#fff" style="stroke:url(#g)"/>',
        (
            '<defs><linearGradient id="g" gradientTransform="rotate(45 .5 .5)"><stop offset="50%"/></linearGradient></defs>'
            '<use xlink:href="#g"/><use href=" #g "/>'
        ),
        "<style>.a{fill:url('#g');font-family:Inter}</style><text class='a'>Sale: 50% off (today only) @ home</text>",
        "<style type='text/css'><![CDATA[@media (max-width:9px){.a>.b:not(.c){fill:rgb(0 0 0/50%)}}]]></style>",
        "<style>/* Waves, softly */@keyframes w{to{transform:translateX(9px) rotate(calc(1deg*var(--n)))}}</style>",
        "<style>@media(prefers-color-scheme:dark){:root{--ink:#fff}}</style>",
        "<style>.a{fill:url( data:image/png;base64,iVBO+Rw0/KGgo= )}</style>",
        '<image href="data:image/png;base64,iVBORw0KGgo="/>',
        '<image xlink:href="data:image/jpeg;base64,&#10;iVBO&#10;Rw==" preserveAspectRatio="xMidYMid slice"/>',
        '<animate attributeName="x" from="0" to="8" begin="0s;a.end+1s" dur="00:01" keySplines="0 0 1 1;0 0 1 1"/>',
        '<animateTransform attributeName="transform" type="rotate" values="0 4 4;360 4 4" repeatCount="indefinite"/>',
        '<animateMotion path="M0,0 L8,8"><mpath href="#p"/></animateMotion>',
        '<title>A "boat" &amp; more: https://boats.example</title><desc>url(x)</desc><!-- <script> -->',
        "<a><text>shop</text></a>",
        (
            '<filter id="f"><feGaussianBlur in="SourceAlpha" stdDeviation="2"/><feColorMatrix values="0 0 0 1 0"/>'
            '<feMerge><feMergeNode/></feMerge></filter><g filter="url(#f)"/>'
        ),
        '<clipPath id="c"><rect rx="2"/></clipPath><mask id="m"/><g clip-path="url(#c)" mask="url(&quot;#m&quot;)"/>',
        '<pattern patternUnits="userSpaceOnUse"/><marker orient="auto-start-reverse"/><symbol viewBox="0 0 8 8"/>',
        (
            "<text font-family=\"'Open Sans', Inter, sans-serif\" xml:space='preserve' text-anchor='middle'>"
            "<tspan dx='1 2' fill='hsl(20 50% 50% / 50%)'>a</tspan><textPath href='#p'>b</textPath></text>"
        ),
        '<g id="a:b/c" class="x/y" data-name="https://x.example (1)" aria-label="a: b(c)" role="img" tabindex="0"/>',
        '<g style="mix-blend-mode:multiply;transform-box:fill-box" vector-effect="non-scaling-stroke" odd="word"/>',
        '<switch><g requiredFeatures="http://www.w3.org/TR/SVG11/feature#Shape" xml:lang="en"/></switch>',
        (
            f'<metadata><rdf:RDF {RDF}><cc:Work rdf:about="https://x.example"><cc:license '
            'rdf:resource="https://x.example/by"/></cc:Work></rdf:RDF></metadata>'
        ),
        '<metadata><c2pa:manifest xmlns:c2pa="http://c2pa.org/manifest">AAAB/w==</c2pa:manifest></metadata>',
        f'<g {INKSCAPE} inkscape:label="a: b" sodipodi:docname="/home/a.svg"><sodipodi:namedview pagecolor="#fff"/></g>',
        '<g xmlns:odd="https://odd.example/ns" odd:kind="leaf"/>',
    ],
)
def test_what_only_shows_is_taken(inner: str) -> None:
    """Shapes, gradients, styles, embedded pictures, notes and movement are what drawings are made of."""
    assert Media("image/svg+xml", "svg", 8, 8) == media_of(drawing(inner), allow_svg=True)


@pytest.mark.parametrize(
    "head",
    [
        '<?xml version="1.0" encoding="UTF-8" standalone="no"?>',
        '<?xml version="1.0" encoding="iso-8859-1"?>',
        "<!DOCTYPE svg>",
        f"<?xml version='1.0'?>\n{W3C}\n<!-- drawn by hand -->",
    ],
)
def test_how_drawings_begin(head: str) -> None:
    """A document type that declares nothing does nothing: nobody fetches the one of the W3C."""
    assert media_of(head.encode() + drawing("<g/>"), allow_svg=True).width == 8


def test_a_root_is_told_by_plain_names() -> None:
    """The size is read from attributes of no namespace, with and without one for the elements."""
    size = {"width": "4", "height": "5", "viewBox": "0 0 4 5"}
    said = 'width="4" height="5" viewBox="0 0 4 5"'
    assert size == root_of(f"<svg {said}/>".encode())
    assert size == root_of(
        f'<v:svg xmlns:v="http://www.w3.org/2000/svg" {said} xml:space="preserve"/>'.encode()
    )


@pytest.mark.parametrize(
    ("inner", "words"),
    [
        ("<script>alert(1)</script>", "holds a <script>"),
        ("<x:SCRIPT xmlns:x='http://www.w3.org/2000/svg'/>", "holds a <SCRIPT>"),
        ("<script xmlns=''/>", "holds a <script>"),
        ("<foreignObject><div/></foreignObject>", "holds a <foreignObject>"),
        ("<unheardOf/>", "holds a <unheardOf>"),
        ("<handler/>", "holds a <handler>"),
        ("<metadata><h:script/></metadata>", "holds a <script> of http://www.w3.org/1999/xhtml"),
        ('<h:img srcset="https://x.example/x 1x"/>', "holds a <img> of"),
        ('<h:picture><h:source srcset="https://x.example/x"/></h:picture>', "holds a <picture> of"),
        ('<h:form action="javascript:alert(1)"/>', "holds a <form> of"),
        ('<h:button formaction="javascript:alert(1)"/>', "holds a <button> of"),
        ('<h:body background="https://x.example/x"/>', "holds a <body> of"),
        ('<h:style>@import "https://x.example/a.css";</h:style>', "holds a <style> of"),
        ('<math xmlns="http://www.w3.org/1998/Math/MathML"/>', "holds a <math> of"),
        ('<i:include xmlns:i="http://www.w3.org/2001/XInclude" href="#a"/>', "holds a <include> of"),
        ('<t xmlns="http://www.w3.org/1999/XSL/Transform"/>', "holds a <t> of"),
        ("<?xml-stylesheet href='https://x.example/a.css'?>", "holds an instruction"),
    ],
)
def test_parts_that_are_not_drawn_are_refused(inner: str, words: str) -> None:
    """Only what is known to draw is taken, in whatever namespace the rest hides."""
    said = refused(drawing(inner))
    assert "more than a picture" in said
    assert words in said


@pytest.mark.parametrize(
    ("inner", "words"),
    [
        ('<g onload="alert(1)"/>', "holds a handler (onload)"),
        ('<g OnClick="alert(1)"/>', "holds a handler"),
        ('<g h:onclick="alert(1)"/>', "holds a handler"),
        ('<a href="javascript:alert(1)"/>', "leads elsewhere (href)"),
        ('<a xlink:href="&#106;avascript:alert(1)"/>', "leads elsewhere (href)"),
        ('<a href="&#160;#a"/>', "leads elsewhere (href)"),
        ('<a href=""/>', "leads elsewhere (href)"),
        ('<a HREF="other.svg"/>', "leads elsewhere (href)"),
        ('<a href="#a" ping="https://x.example/"/>', "leads elsewhere (ping)"),
        ('<a href="#a" ping="x"/>', "leads elsewhere (ping)"),
        ('<a href="#a" attributionsrc=""/>', "leads elsewhere (attributionsrc)"),
        ('<image href="https://tracker.example/x.png"/>', "leads elsewhere (href)"),
        ('<image src="x.png"/>', "leads elsewhere (src)"),
        ('<feImage href="//x.example/x"/>', "leads elsewhere (href)"),
        ('<use href="data:image/svg+xml;base64,PHN2Zy8+#a"/>', "leads elsewhere (href)"),
        ('<image href="data:image/png,x"/>', "leads elsewhere (href)"),
        ('<image href="data:image/png;base64,AA, https://x.example/"/>', "leads elsewhere (href)"),
        ('<g xml:base="https://x.example/"/>', "leads elsewhere (base)"),
        ('<g xml:base="x"/>', "leads elsewhere (base)"),
        ('<g odd="//x.example"/>', "leads elsewhere (odd)"),
        ('<g odd="/&#9;/x.example"/>', "leads elsewhere (odd)"),
        ('<g h:odd="https://x.example"/>', "leads elsewhere (odd)"),
        ('<g h:odd="word"/>', "leads elsewhere (odd)"),
        ('<g xmlns:e="http://www.w3.org/2001/xml-events" e:event="load"/>', "leads elsewhere (event)"),
        ('<g xmlns:s="http://www.w3.org/2000/svg" s:fill="red"/>', "leads elsewhere (fill)"),
        ('<g xmlns:odd="https://odd.example/ns" odd:kind="https://x.example"/>', "leads elsewhere (kind)"),
        (f'<sodipodi:namedview {INKSCAPE} xlink:href="https://x.example"/>', "leads elsewhere (href)"),
        ('<set attributeName="xlink:href" to="javascript:alert(1)"/>', "changes where its parts lead"),
        ('<animate attributeName=" HREF " values="#a;#b"/>', "changes where its parts lead"),
        ('<set attributeName="h:href" to="a"/>', "changes where its parts lead"),
        ('<set attributeName="onclick" to="a"/>', "changes where its parts lead"),
        ('<set attributeName="fill" to="url(https://x.example)"/>', "leads elsewhere (to)"),
        ('<animate attributeName="fill" values="&quot;;url(x.svg#a);&quot;"/>', "fetches something"),
        ('<rect fill="url(https://x.example/#a)"/>', "leads elsewhere (fill)"),
        ('<rect fill="u&#x72;l(x.svg#a)"/>', "fetches something"),
    ],
)
def test_attributes_that_act_are_refused(inner: str, words: str) -> None:
    """Whoever opens a drawing from the output folder runs nothing and asks nobody on the network."""
    said = refused(drawing(inner))
    assert "more than a picture" in said
    assert words in said


@pytest.mark.parametrize(
    ("css", "words"),
    [
        ("@import url(https://x.example/a.css);", "holds an @import"),
        ("@IMPORT 'a.css';", "holds an @IMPORT"),
        ("@im<!-- -->port 'a.css';", "holds an @import"),
        ("<![CDATA[@imp]]>ort 'a.css';", "holds an @import"),
        ("@&#105;mport 'a.css';", "holds an @import"),
        ("/* /* */@import 'a.css';/* */", "holds an @import"),
        ("a{content:'/*'}@import 'a.css';/* */", "holds an @import"),
        ("<g/>@import url(https://x.example/a.css);", "its style holds a <g>"),
        ("@import url(https://x.example/a.css);<g/>", "its style holds a <g>"),
        ("a{}<a/>*{background:url(https://x.example/x)}", "its style holds a <a>"),
        ("<style/>", "its style holds a <style>"),
        ("@document domain(x){}", "holds an @document"),
        ("a{fill:url(https://x.example)}", "fetches something"),
        ("a{fill:url(/**/'#a')}", "fetches something"),
        ("a{fill:URL('x.svg')}", "fetches something"),
        ("a{fill:url()}", "fetches something"),
        ("a{fill:url(#a", "fetches something"),
        ("a{fill:url('#a\")}", "fetches something"),
        ("a{fill:url(data:image/svg+xml;base64,AA)}", "fetches something"),
        ("a{fill:url(data:image/png;base64,AA,https://x.example)}", "fetches something"),
        ("a{content:'/*';fill:url(x.svg);b:'*/'}", "fetches something"),
        ("a{b:image-set('data:image/png;base64,AA' 1x, 'https://x.example' 2x)}", "calls image-set()"),
        ("a{b:-webkit-image-set('x' 1x)}", "calls -webkit-image-set()"),
        ("@font-face{src:src('https://x.example')}", "calls src()"),
        ("@font-face{font-family:a;src:url(a.woff2) format('woff2')}", "fetches something"),
        ("a{b:image('x.png')}", "calls image()"),
        ("a{b:cross-fade(url(#a), 'x')}", "calls cross-fade()"),
        ("a{width:expression(alert(1))}", "calls expression()"),
        ("a{b:éimage-set('x' 1x)}", "calls image-set()"),
        (r"a{b:u\72l(x)}", "holds an escape"),
        (r"@\69mport 'a.css'", "holds an escape"),
    ],
)
def test_styles_that_fetch_are_refused(css: str, words: str) -> None:
    """A style is read whole, with its comments, and calls only what is known to fetch nothing."""
    said = refused(drawing(f"<style>{css}</style>"))
    assert "more than a picture" in said
    assert words in said
    if "<" not in css:
        escaped = css.replace("&#105;", "i").replace('"', "&quot;")
        assert words in refused(drawing(f'<rect style="{escaped}"/>'))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'<!DOCTYPE svg [<!ENTITY a "aaaa">]><svg>&a;</svg>', "declares a document type"),
        (W3C[:-1].encode() + b'[<!ENTITY a "a">]>' + drawing("<g/>"), "declares a document type"),
        (W3C[:-1].encode() + b"[]>" + drawing("<g/>"), "declares a document type"),
        (W3C.replace("www.w3.org", "x.example").encode() + drawing("<g/>"), "declares a document type"),
        (W3C.replace("SVG 1.1", "XHTML 1.1").encode() + drawing("<g/>"), "declares a document type"),
        (b'<!DOCTYPE svg SYSTEM "x.dtd">' + drawing("<g/>"), "declares a document type"),
        (W3C.encode() + drawing("<text>&lpar;</text>"), "holds an entity (lpar)"),
        (drawing("<text>&lpar;</text>"), "damaged SVG drawing: undefined entity"),
        (b'<?xml version="1.0" encoding="utf-7"?>' + drawing("<g/>"), "not written in UTF-8 but in utf-7"),
        (b'<?xml version="1.0" encoding="unheard-of"?>' + drawing("<g/>"), "not written in UTF-8"),
        (b"<svg><g></svg>", "damaged SVG drawing: mismatched tag"),
        (b'<svg><use xlink:href="#a"/></svg>', "damaged SVG drawing: unbound prefix"),
        (drawing("<g/>") + b"<svg/>", "damaged SVG drawing"),
        (drawing("<g>" * 300 + "</g>" * 300), "more parts than an honest one"),
        (drawing("<g/>")[:-1], "truncated SVG drawing"),
        (b'<?xml version="1.0"?><html><svg/></html>', "its first element is html"),
        (
            b'<svg xmlns="http://www.w3.org/1999/xhtml"/>',
            "its first element is http://www.w3.org/1999/xhtml svg",
        ),
    ],
)
def test_what_is_no_whole_drawing(data: bytes, words: str) -> None:
    """A drawing is read to its last byte, as every image is, and as a browser reads it."""
    assert words in refused(data)


@pytest.mark.parametrize(
    "inner",
    [
        "<style>" + "a" * 4_000_000 + "</style>",
        "<style>" + "url(#a)" * 400_000 + "</style>",
        "<style>" + "@" * 4_000_000 + "</style>",
        f'<path d="{"M" * 4_000_000}"/>',
        f'<image href="data:image/png;base64,{"A" * 4_000_000}"/>',
        f'<g fill="{"( " * 2_000_000}"/>',
    ],
    ids=["word", "urls", "rules", "path", "picture", "brackets"],
)
def test_long_ones_are_read_once(inner: str) -> None:
    """No drawing takes longer than its length."""
    began = monotonic()
    assert media_of(drawing(inner), allow_svg=True).width == 8
    assert monotonic() - began < 15
