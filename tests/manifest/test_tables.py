"""Tables: formats, columns as variables, filters, and every mistake at its row and column."""

from __future__ import annotations

import csv
import io
import json
import os
import zipfile
from collections.abc import Sequence
from datetime import date, datetime, time
from pathlib import Path

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl.utils.datetime import WINDOWS_EPOCH

from batchgen.core.errors import Problem
from batchgen.core.types import Task
from batchgen.manifest.tables.delimited import DELIMITERS, read_delimited
from batchgen.manifest.tables.lines import Bad
from batchgen.manifest.tables.sheet_xml import Book, read_rows
from tests.manifest.reading import HEAD, read, tasks_of

CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\x1f\ufeff"), max_size=12)


def entry(text: str) -> str:
    """A manifest with one entry."""
    return f"{HEAD}prompts:\n  - {text}\n"


def made(folder: Path, text: str) -> list[tuple[str, str]]:
    """The ids and prompts of a manifest's tasks."""
    return [(task.task_id, task.request.prompt) for task in tasks_of(read(folder, text))]


def wrong(folder: Path, text: str) -> list[str]:
    """Everything that is wrong with a manifest and its tables, with places, without the folder's name."""
    manifest = read(folder, text)
    found = [*manifest.problems, *(each for each in manifest.expand() if isinstance(each, Problem))]
    return [str(problem).removeprefix(f"{folder}/") for problem in found]


def workbook(path: Path, *sheets: tuple[str, Sequence[Sequence[object]]]) -> None:
    """Write a workbook."""
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets:
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
    book.save(path)


def test_a_row_is_what_the_same_prompt_by_hand_is(tmp_path: Path) -> None:
    """Ids, fingerprints, prices and places of a row's tasks are those of a prompt that is written out."""
    (tmp_path / "mugs.csv").write_text("sku,color,size,seed\nm1,red,1024x1024,7\nm2,blue,1536x1024,8\n")
    table = """table: mugs.csv
    id: "mug-{sku}"
    prompt: "A {color} mug, {mood}."
    vary: {mood: [calm, wild]}
    images: 2
    tags: [shop]
    request: {size: "{size}", extra: {seed: "{seed}"}}"""
    hand = "\n  - ".join(
        f"""id: mug-{sku}
    prompt: "A {color} mug, {{mood}}."
    vary: {{mood: [calm, wild]}}
    images: 2
    tags: [shop]
    request: {{size: {size}, extra: {{seed: {seed}}}}}"""
        for sku, color, size, seed in [("m1", "red", "1024x1024", 7), ("m2", "blue", "1536x1024", 8)]
    )

    rows, written = tasks_of(read(tmp_path, entry(table))), tasks_of(read(tmp_path, entry(hand)))

    def facts(tasks: list[Task]) -> list[object]:
        return [
            (task.task_id, task.position, task.fingerprint, task.price, task.request, task.tags)
            for task in tasks
        ]

    assert "mug-m1--calm--01" == written[0].task_id
    assert facts(written) == facts(rows)
    expected = {"sku": "m2", "color": "blue", "size": "1536x1024", "seed": "8", "mood": "wild"}
    assert expected == rows[-1].variables


@pytest.mark.parametrize(
    "data",
    [
        b"id,prompt\na,A boat\nb,\"A cat, asleep\"\n",
        b"\xef\xbb\xbfid;prompt\r\na;A boat\r\nb;A cat, asleep\r\n",
        b"id\tprompt\na\tA boat\nb\tA cat, asleep",
        b"sep=;\r\nid;prompt\r\na;A boat\r\nb;A cat, asleep\r\n",
        b"sep=%\nid%prompt\na%A boat\nb%A cat, asleep\n",
        "id\tprompt\r\na\tA boat\r\nb\tA cat, asleep\r\n".encode("utf-16"),
        b"\n".join([b' id , prompt ,', b"a , A boat,,", b",,", b"", b'b,"A cat, asleep "']),
        b"id|prompt\ra|A boat\rb|A cat, asleep\r",
    ],
)  # fmt: skip
def test_what_spreadsheet_programs_write(tmp_path: Path, data: bytes) -> None:
    """Any delimiter, line end, BOM and encoding that Excel writes; blank rows and white space around cells do not count."""
    (tmp_path / "t.csv").write_bytes(data)
    assert [("a--01", "A boat"), ("b--01", "A cat, asleep")] == made(tmp_path, entry("table: t.csv"))


@given(
    st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=5),
    st.sampled_from(DELIMITERS),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(1, 3),
)
def test_csv_round_trip(rows: list[list[str]], delimiter: str, end: str, columns: int) -> None:
    """Whatever Python's csv writes with any of the delimiters is read back the same."""
    if end == "\n":  # then csv forgets to quote a carriage return
        rows = [[cell.replace("\r", " ") for cell in row] for row in rows]
    table = [["id", "prompt", "more"][:columns], *(row[:columns] for row in rows)]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=end).writerows(table)

    lines = list(read_delimited(io.BytesIO(text.getvalue().encode())))

    assert table == [list(cells) for _, cells in lines]
    assert list(range(1, len(table) + 1)) == [number for number, _ in lines]


def test_jsonl(tmp_path: Path) -> None:
    """An object a line; keys may come later, numbers stay as they are written, blank lines do not count."""
    lines = [
        '{"id": "a", "prompt": "A boat", "n": 1.50}',
        "",
        '{"prompt": "B", "id": "b", "on": true, "off": null}',
    ]
    (tmp_path / "t.jsonl").write_text("\n".join(lines))

    tasks = tasks_of(read(tmp_path, entry("table: t.jsonl")))

    assert {"id": "a", "prompt": "A boat", "n": "1.50", "on": "", "off": ""} == tasks[0].variables
    assert {"id": "b", "prompt": "B", "n": "", "on": "true", "off": ""} == tasks[1].variables


def test_jsonl_mistakes(tmp_path: Path) -> None:
    """A nested value is told at its key, and what is no object at its line."""
    (tmp_path / "t.jsonl").write_text('{"id": "a", "prompt": {"no": 1}}\n{"id": "b", "prompt": ["no"]}\n')
    assert [
        "t.jsonl:1:prompt: this is an object (write a text, a number, true or false)",
        "t.jsonl:2:prompt: this is a list (write a text, a number, true or false)",
    ] == wrong(tmp_path, entry("table: t.jsonl"))
    lines = [
        '{"id": "a", "prompt": ""}',
        "nothing",
        "[1]",
        '{"id": "b", "id": "c"}',
        '{"id": "\xe9"}',
        '{"id": "d"}',
    ]
    (tmp_path / "t.jsonl").write_bytes("\n".join(lines).encode("latin-1"))
    assert [
        "t.jsonl:1:prompt: the row has no prompt",
        "t.jsonl:2:id: the line is not JSON",
        "t.jsonl:3:id: the line is no object",
        "t.jsonl:4:id: the line has the key id twice",
        "t.jsonl:5:id: the line is not UTF-8 text",
        "t.jsonl:6:prompt: the row has no prompt",
    ] == sorted(each.partition(" (")[0] for each in wrong(tmp_path, entry("table: t.jsonl")))
    (tmp_path / "t.jsonl").write_text('{\n"id": "a"\n}\n')
    assert wrong(tmp_path, entry("table: t.jsonl"))[0].startswith("t.jsonl:1:A: the line is not JSON")


def test_workbook(tmp_path: Path) -> None:
    """Numbers, dates and yes-or-no cells become what a person sees; sheets have names; empty edges do not count."""
    header = ["id", "prompt", "whole", "part", "day", "moment", "hour", "sure", None]
    row = [
        "a",
        "A boat",
        12.0,
        0.1 + 0.2,
        date(2026, 1, 31),
        datetime.fromisoformat("2026-01-31T06:30:00"),
        time(6, 30),
        True,
    ]
    workbook(
        tmp_path / "t.xlsx",
        ("Notes", [["nothing"]]),
        ("Products", [header, row, [None] * 8, ["b", "A cat"], [None]]),
    )

    tasks = tasks_of(read(tmp_path, entry("table: t.xlsx\n    sheet: Products")))

    assert ["a--01", "b--01"] == [task.task_id for task in tasks]
    assert {
        "id": "a",
        "prompt": "A boat",
        "whole": "12",
        "part": "0.3",
        "day": "2026-01-31",
        "moment": "2026-01-31T06:30:00",
        "hour": "06:30:00",
        "sure": "TRUE",
    } == tasks[0].variables
    assert wrong(tmp_path, entry("table: t.xlsx\n    sheet: Product")) == [
        "job.yaml:5:12: there is no sheet Product (did you mean Products?)"
    ]
    assert "the table has no column `id`" in wrong(tmp_path, entry("table: t.xlsx"))[0]


def test_cells_without_a_value(tmp_path: Path) -> None:
    """Errors of the spreadsheet and formulas without a result are told where a prompt uses them, and only there."""
    rows = [["id", "prompt", "unused"], ["a", "#N/A", "#REF!"], ["b", "=A1", "=A1"], ["c", "A boat", "=A1"]]
    workbook(tmp_path / "t.xlsx", ("S", rows))
    assert [
        "t.xlsx:2:prompt: it is #N/A, an error of the spreadsheet (mend its formula, or write a value)",
        "t.xlsx:3:prompt: its formula has no stored result (open the file, let it calculate, and save it)",
    ] == wrong(tmp_path, entry("table: t.xlsx"))
    (tmp_path / "t.csv").write_text("id,prompt,unused\na, #REF! ,#N/A\nb,Err:502,\nc,A #N/A sign,\n")
    assert [
        "t.csv:2:prompt: it is #REF!, an error of the spreadsheet (mend its formula, or write a value)",
        "t.csv:3:prompt: it is Err:502, an error of the spreadsheet (mend its formula, or write a value)",
    ] == wrong(tmp_path, entry("table: t.csv"))


def test_cells_of_all_kinds() -> None:
    """Every way in which programs write a cell; places may be left out, and how a text is spoken is no part of it."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    xml = f"""<x:worksheet xmlns:x="{main}"><x:sheetData><x:row r="3">
    <x:c r="B3" t="s"><x:v>1</x:v></x:c><x:c t="b"><x:v>0</x:v></x:c><x:c t="str"><x:f>A1</x:f><x:v></x:v></x:c>
    <x:c t="inlineStr"><x:is><x:r><x:t>one </x:t></x:r><x:r><x:t>two</x:t></x:r><x:rPh><x:t>no</x:t></x:rPh></x:is></x:c>
    <x:c s="1"><x:v>46053.5</x:v></x:c><x:c s="1"><x:v>1e99</x:v></x:c><x:c><x:v>0.30000000000000004</x:v></x:c>
    <x:c r="AA3"><x:v>1E3</x:v></x:c></x:row><x:row><x:c><x:v>1.5e-7</x:v></x:c></x:row></x:sheetData></x:worksheet>"""
    book = Book(["zero", "one"], {1}, set(), WINDOWS_EPOCH)

    (number, cells), after = read_rows(io.BytesIO(xml.encode()), book)

    assert (3, ["", "one", "FALSE", "", "one two", "2026-01-31T12:00:00"]) == (number, list(cells[:6]))
    assert ("0.3", "", "1000") == (cells[7], cells[8], cells[-1])
    assert isinstance(cells[6], Bad)
    assert (27, (4, ["0.00000015"])) == (len(cells), after)


def test_hostile_workbooks(tmp_path: Path) -> None:
    """What fills the memory, is encrypted or is no workbook is refused in a sentence."""
    path = tmp_path / "t.xlsx"
    workbook(path, ("S", [["id", "prompt"], ["a", "A"]]))
    parts = {name: zipfile.ZipFile(path).read(name) for name in zipfile.ZipFile(path).namelist()}
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;">]>'

    def pack(name: str, data: bytes) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for each, content in {**parts, name: data}.items():
                archive.writestr(each, content)

    def told() -> str:
        (problem,) = wrong(tmp_path, entry("table: t.xlsx"))
        return problem

    for name in ("xl/worksheets/sheet1.xml", "xl/workbook.xml", "xl/styles.xml"):
        pack(name, bomb + parts[name].partition(b"?>")[2] if b"?>" in parts[name] else bomb + parts[name])
        assert "it cannot be read as a workbook" in told()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/media/zeros", b"0")
        archive.infolist()[0].file_size = 513 * 2**20  # which is all that is believed of an archive
    assert "it unpacks to more than 512 MiB" in told()
    pack("xl/workbook.xml", b"<no")
    assert "it cannot be read as a workbook" in told()
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1000))
    assert "it is protected with a password, or an .xls of old" in told()
    path.write_bytes(b"id,prompt")
    assert "it is no workbook" in told()


@pytest.mark.parametrize(
    ("expected", "table"),
    [
        ("t.csv:2:C: column C has no name in row 1", "id,prompt\na,A,more\n"),
        ("t.csv:2:B: column B has no name in row 1", "id,,prompt\na,x,A\n"),
        ("t.csv:1:id: columns A and C have the same name", "id,prompt,id\na,A,b\n"),
        ("t.csv:3:id: the row has no id", "id,prompt\na,A\n,B\n"),
        ("t.csv:3:prompt: the row has no prompt", "id,prompt\na,A\nb, \n"),
        ('t.csv:2:id: `id` is "a b"', "id,prompt\na b,A\n"),
        ("t.csv:3:id: `id` is con, a name that Windows keeps", 'id,prompt\na,"A\nB"\ncon,B\n'),
        ("t.csv:2:prompt: the control character U+0007 is not allowed", "id,prompt\na,A\x07\n"),
        ("t.csv:2:id: there are no rows", "id,prompt\n"),
        ("t.csv:2:prompt: the prompt has", "id,prompt\na," + "A" * 33_000 + "\n"),
    ],
)  # fmt: skip
def test_rows(tmp_path: Path, expected: str, table: str) -> None:
    """One mistake of a table is one line, at its row and column."""
    (tmp_path / "t.csv").write_text(table)
    (problem,) = wrong(tmp_path, entry("table: t.csv"))
    assert problem.startswith(expected)


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ("job.yaml:5:9: `{nam}` is neither a column of the table nor varied here (did you mean name?)", 'table: t.csv\n    id: "{nam}"'),
        ("job.yaml:5:9: every row would have the same `id` (write a column into it, such as {id})", "table: t.csv\n    id: mug"),
        ("job.yaml:5:12: `name` is a column of the table already", "table: t.csv\n    vary: {name: [a]}"),
        ("job.yaml:5:13: the table has no column `nmae` (did you mean name?)", "table: t.csv\n    where: {nmae: a}"),
        ('job.yaml:5:19: warning: no row has "Mug" in the column name (did you mean mug?)', "table: t.csv\n    where: {name: Mug}"),
        ("job.yaml:5:12: only a workbook (.xlsx) has sheets", "table: t.csv\n    sheet: S"),
        ("job.yaml:4:12: t.ods is a workbook of another kind", "table: t.ods"),
        ("job.yaml:4:12: t.txt is no table", "table: t.txt"),
        ("job.yaml:4:12: ../t.csv is no path inside the manifest's folder", "table: ../t.csv"),
        ("job.yaml:4:12: out.csv leads out of the manifest's folder (copy the table into it)", "table: out.csv"),
        ("job.yaml:4:12: pipe.csv is no file", "table: pipe.csv"),
        ("empty.csv:1:A: row 1 is empty", "table: empty.csv"),
        ("job.yaml:5:13: the column `Product Name` cannot stand in braces", 'table: t.csv\n    prompt: "{Product Name}"'),
        ("job.yaml:4:12: the table has no column `prompt`, so say where it comes from", "table: bare.csv"),
        ("job.yaml:5:9: `{name}` is neither a column of the table nor varied here (name the columns in row 1 of the table, where there is only All Our Mugs)", 'table: title.csv\n    id: "{name}"\n    prompt: A mug.'),
        ("latin.csv:3:prompt: the text is not UTF-8 from here on (save it as", "table: latin.csv"),
        ("utf16.csv:1:A: the text is not UTF-8 (save it as", "table: utf16.csv"),
        ("utf32.csv:1:A: the text is not UTF-8 (save it as", "table: utf32.csv"),
        ("odd.csv:1:A: the text is damaged here or below (save it as", "table: odd.csv"),
        ("quotes.csv:3:id: this row cannot be read: its quotes do not match", "table: quotes.csv"),
    ],
)  # fmt: skip
def test_entries(tmp_path: Path, expected: str, text: str) -> None:
    """One mistake of an entry with a table is one line at the entry, or in the file that is to be mended."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "t.csv").write_text("id,prompt,name,Product Name\na,A,mug,Mug\n")
    (folder / "bare.csv").write_text("id\na\n")
    (folder / "empty.csv").write_text("\nid,prompt\n")
    (folder / "latin.csv").write_bytes(b"id,prompt\na,A\nb,Gr\xfcn\nc,Gr\xfcn\n")
    (folder / "utf16.csv").write_text("id,prompt\na,A\n", "utf-16-le")
    (folder / "utf32.csv").write_text("id,prompt\na,A\n", "utf-32")
    (folder / "odd.csv").write_bytes("id,prompt\na,A\n".encode("utf-16") + b"x")
    (folder / "title.csv").write_text("All Our Mugs,\nid,name\na,A\n")
    (folder / "quotes.csv").write_text('id,prompt\na,A\nb,"never closed\nc,C\n')
    (tmp_path / "out.csv").write_text("id,prompt\na,A\n")
    (folder / "out.csv").symlink_to(tmp_path / "out.csv")
    os.mkfifo(folder / "pipe.csv")
    (problem,) = wrong(folder, entry(text))
    assert problem.startswith(expected)


def test_where(tmp_path: Path) -> None:
    """Rows are taken whose cells are equal to a value, or one of several; all columns must fit."""
    (tmp_path / "t.csv").write_text(
        "id,prompt,kind,ready\na,A,mug,TRUE\nb,B,cup,TRUE\nc,C,jug,TRUE\nd,D,mug,\n"
    )

    def ids(where: str) -> list[str]:
        return [name for name, _ in made(tmp_path, entry(f"table: t.csv\n    where: {where}"))]

    assert ["a--01", "b--01"] == ids("{kind: [mug, cup], ready: true}")
    assert ["d--01"] == ids('{ready: ""}')
    assert ["c--01"] == ids("{kind: jug}")


def test_variables_around_a_row(tmp_path: Path) -> None:
    """Columns work in `prompt_template`, in the model and in the names of pictures, and braces in a cell are text."""
    (tmp_path / "t.csv").write_text("id,prompt,style,model\na,A {style} boat,ink,gpt-image-2\n")
    text = f'{HEAD}prompt_template: "{{prompt}} In {{style}}."\nprompts:\n  - table: t.csv\n    model: "{{model}}"\n'
    assert [("a--01", "A {style} boat In ink.")] == made(tmp_path, text)
    missing = wrong(tmp_path, entry("table: t.csv\n    references: ['{style}.png']"))
    assert [
        "t.csv:2:style: there is no file ink.png in the manifest's folder (put the picture there)"
    ] == missing


def test_thousands_of_mistakes_are_few_lines(tmp_path: Path) -> None:
    """The first rows with a mistake are told one by one, the others are counted, for each kind and column."""
    lines = [f'"x y{number}",,{number}' for number in range(500)]
    (tmp_path / "t.csv").write_text("\n".join(["id,prompt,size", *lines]))
    told = wrong(tmp_path, entry('table: t.csv\n    request: {size: "{size}"}'))
    assert 3 * 21 == len(told)
    assert told[-3].startswith(
        "t.csv:22:prompt: 480 more rows have a mistake like this, from here on: the row has no prompt"
    )


def test_the_count_of_rows(tmp_path: Path) -> None:
    """`max_tasks` counts what the rows make, and nothing comes then."""
    (tmp_path / "t.csv").write_text("id,prompt\na,A\nb,B\n")
    text = f"{HEAD}max_tasks: 3\nprompts:\n  - table: t.csv\n    images: 2\n"
    assert [
        "job.yaml:3:12: this makes 4 tasks, more than max_tasks allows (write max_tasks: 4, or make fewer)"
    ] == wrong(tmp_path, text)
    manifest = read(tmp_path, text.replace("3", "4", 1))
    assert 4 == len(tasks_of(manifest))
    assert list(manifest.expand()) == list(manifest.expand())


def test_values_from_a_file(tmp_path: Path) -> None:
    """One value a line; blank lines, comments and a BOM do not count, and problems name the line."""
    (tmp_path / "colors.txt").write_bytes(b"\xef\xbb\xbf# all\nred\n\n sky blue \r\n#none\n")
    text = entry('id: mug\n    prompt: "A {c} mug"\n    vary: {c: {file: colors.txt}}')
    assert [("mug--red--01", "A red mug"), ("mug--sky-blue--01", "A sky blue mug")] == made(tmp_path, text)
    (tmp_path / "colors.txt").write_text("red\n!\nRed\nred\n")
    assert [
        'colors.txt:4:1: `c` has "red" twice (remove one of them)',
        'colors.txt:2:1: "!" has none of the letters a-z and no digit, so it cannot name a file (write an `id` that tells them apart, such as mug-{number}, or choose other values)',
        'colors.txt:3:1: "Red" and "red" of `c` both become red in a file\'s name (write an `id` that tells them apart, such as mug-{number}, or choose other values)',
    ] == wrong(tmp_path, text)


def test_a_table_is_read_once(tmp_path: Path) -> None:
    """What was read stays as it was, whatever happens to the file, so that what is planned is what is run."""
    (tmp_path / "t.csv").write_text("id,prompt\na,A\n")
    manifest = read(tmp_path, entry("table: t.csv"))
    before = tasks_of(manifest)
    (tmp_path / "t.csv").write_text("id,prompt\nb,B\n")
    assert before == tasks_of(manifest)
    assert ["b--01"] == [task.task_id for task in tasks_of(read(tmp_path, entry("table: t.csv")))]
    assert json.loads(json.dumps(dict(before[0].variables))) == {"id": "a", "prompt": "A"}
