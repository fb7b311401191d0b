"""The composer: places, and what is refused before anything is built."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchgen.core.errors import ProblemsError, UsageError
from batchgen.manifest import document
from batchgen.manifest.document import ListNode, MapNode, Scalar, compose, read_document


def refused(data: bytes) -> list[str]:
    """The problems of bytes that are refused."""
    with pytest.raises(ProblemsError) as caught:
        compose("f.yaml", data)
    return [str(problem) for problem in caught.value.problems]


def test_nodes_know_their_places() -> None:
    """Every node has the line and column of the file, from 1, and scalars their own text."""
    root = compose("f", '\ufeffa: 012\nb:\n  - "x\\ty"\n  - {c: 1.50}\n'.encode()).root
    assert isinstance(root, MapNode)
    assert (root.line, root.column) == (1, 1)
    first, listed = root.values["a"], root.values["b"]
    assert isinstance(first, Scalar)
    assert ("012", True, 1, 4) == (first.text, first.plain, first.line, first.column)
    assert isinstance(listed, ListNode)
    quoted, inner = listed.items
    assert isinstance(quoted, Scalar)
    assert ("x\ty", False, 3, 5) == (quoted.text, quoted.plain, quoted.line, quoted.column)
    assert isinstance(inner, MapNode)
    assert (4, 6) == (inner.keys["c"].line, inner.keys["c"].column)


@pytest.mark.parametrize(
    ("place", "word", "data"),
    [
        ("1:4", "anchors", b"a: &x 1"),
        ("2:4", "aliases", b"a: 1\nb: *x"),
        ("1:4", "!!python/object/apply:os.system", b"a: !!python/object/apply:os.system [ls]"),
        ("1:4", "!mine", b"a: !mine 1"),
        ("1:4", "!!set", b"a: !!set {x}"),
        ("2:1", "second document", b"a: 1\n---\nb: 2"),
        ("1:5", "quotes", b"a: {{x}: y}"),
        ("1:4", "UTF-8", b"a: \xff"),
        ("2:5", "U+0000", b"a: 1\nb: x\x00"),
        ("2:1", "tab", b"a:\n\t- b"),
        ("1:5", 'a text with a colon in it needs quotes (write a: "b: c")', b"a: b: c"),
        ("2:8", "goes on a line of its own, or in braces (write vary: {c: [red]})", b"a: 1\nvary: c: [red]"),
        ("1:6", 'begins with > needs quotes (write a: "> b")', b"a: > b\n  c"),
        ("2:1", "a line without a colon (write `name: value`, or indent it further", b"a: b\nc d\n"),
        ("1:4", "never closed", b'a: "b\nc: d'),
        ("1:4", "close it with ]", b"a: [1, 2\nb: c"),
        ("1:8", 'begins with { needs quotes (write a: "{b} c")', b"a: {b} c"),
        ("3:8", 'ends it (write b: "It\'s")', b"a: 1\n\nb: 'It's'"),
        ("1:6", 'begins with * needs quotes (write a: "*b* c d")', b"a: *b* c d"),
        ("2:3", "begins too far to the right", b"a: b\n c: d"),
        ("2:1", "use blanks", b"a:\n\tb: 1"),
        ("2:2", "the line above has no colon", b"a 1\nb: 2"),
        ("1:7", "escape", b'a: "\\ud800"'),
    ],
)
def test_refused(place: str, word: str, data: bytes) -> None:
    """What YAML can do beyond plain data, and what is no YAML, is one problem with its place and what to do."""
    (problem,) = refused(data)
    assert problem.startswith(f"f.yaml:{place}: ")
    assert word in problem


def test_all_refusals_at_once() -> None:
    """Every alias, anchor and tag of a file is named in one go."""
    places = [problem.split(": ")[0] for problem in refused(b"a: &x 1\nb: *x\nc: !foo [d, !bar e]\n")]
    assert ["f.yaml:1:4", "f.yaml:2:4", "f.yaml:3:4", "f.yaml:3:13"] == places


def test_refusals_are_bounded() -> None:
    """A hostile file is given up after a hundred reasons."""
    assert document.MAX_REFUSALS == len(refused(b"[" + b"&a 1," * 10_000 + b"]"))


def test_depth() -> None:
    """Nesting is refused while it is parsed, however deep it goes on."""
    compose("f", b"[" * document.MAX_DEPTH + b"]" * document.MAX_DEPTH)
    (problem,) = refused(b"[" * 100_000)
    assert f"deeper than {document.MAX_DEPTH} levels" in problem


def test_core_tags_say_what_quotes_say() -> None:
    """`!!str 12` is text and `!!int "12"` is a number; no other tag is needed."""
    root = compose("f", b'a: !!str 12\nb: !!int "12"\nc: ! no\n').root
    assert isinstance(root, MapNode)
    plain = [value.plain for value in root.values.values() if isinstance(value, Scalar)]
    assert [False, True, False] == plain


def test_duplicate_keys() -> None:
    """A key that is written twice is a problem that names both lines; the rest of the file is still read."""
    made = compose("f", b"a: 1\nb: {c: 1, c: 2}\na: 3\n")
    assert [
        "f:2:11: `c` is written twice here, first on line 2 (keep one of the two)",
        "f:3:1: `a` is written twice here, first on line 1 (keep one of the two)",
    ] == [str(problem) for problem in made.problems]
    assert isinstance(made.root, MapNode)
    assert {"a", "b"} == set(made.root.values)


def test_control_characters() -> None:
    """A control character that an escape smuggles in is a problem, a line break or tab is not."""
    made = compose("f", b'a: "x\\0"\nb: "x\\n\\ty"\nc: "\\e[31m"\n')
    assert ["f:1:4", "f:3:4"] == [str(problem).split(": ")[0] for problem in made.problems]


def test_too_large(tmp_path: Path) -> None:
    """A file beyond the limit is refused without being parsed."""
    path = tmp_path / "big.yaml"
    with path.open("wb") as file:
        file.truncate(document.MAX_BYTES + 1)
    with pytest.raises(ProblemsError, match="larger than 64 MiB"):
        read_document(path)


def test_missing(tmp_path: Path) -> None:
    """A file that is not there is a mistake of the command, not of the file."""
    with pytest.raises(UsageError, match="no such file") as caught:
        read_document(tmp_path / "none.yaml")
    assert not isinstance(caught.value, ProblemsError)


def test_unreadable(tmp_path: Path) -> None:
    """What cannot be read as a file is a problem of its own."""
    with pytest.raises(ProblemsError, match="cannot be read"):
        read_document(tmp_path)


@given(
    st.binary(max_size=60)
    | st.text(string.printable + "é\u2028\ufeff\x85\U0001f600", max_size=60).map(str.encode)
)
@example(b"\xef\xbb\xbf")
@example("a: \ufeff b\r\n\u2028?".encode())
def test_any_bytes(data: bytes) -> None:
    """Whatever a file holds, it becomes nodes or problems, never a traceback."""
    try:
        made = compose("f", data)
    except ProblemsError as error:
        assert all(str(problem).startswith("f:") for problem in error.problems)
    else:
        assert made.root is None or made.root.line >= 1
