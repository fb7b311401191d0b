"""Jobs from tables, through the real command: finished, interrupted, changed, and written back."""

from __future__ import annotations

import csv
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.cli import Desk, ended, pick, until
from tests.support.paid import Till

pytest_plugins = ("tests.support.fixtures",)

SHOP: dict[str, object] = {"table": "shop.csv", "id": "{sku}", "prompt": "{name}: {tagline}."}
ROWS = [
    ["sku", "name", "price", "state", "tagline", "size"],
    ["m1", "Größe, rot", "12", "=new", "Two\nlines", "1024x1024"],
    ["m2", 'Cup "big"', "3.5", "", "Round", "1536x1024"],
]
FORMATS = {
    "xlsx": "xlsx",
    "semicolons.csv": "csv:Text - txt - csv (StarCalc):59,34,76,1",
    "tabs.tsv": "tsv:Text - txt - csv (StarCalc):9,34,76,1",
}


def write(path: Path, rows: list[list[str]]) -> None:
    """Write a table."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def results(desk: Desk) -> list[dict[str, str]]:
    """The rows of `results.csv`."""
    with (desk.job / "results.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_a_job_from_a_table(desk: Desk) -> None:
    """A row is an image; the results have the table's columns in its order, then state, file, cost and reason."""
    write(desk.folder / "shop.csv", ROWS)
    write(desk.folder / "more.csv", [["id", "prompt", "price"], ["tree", "A tree.", "9"]])
    boat = {"id": "boat", "prompt": "A {mood} boat.", "vary": {"mood": ["calm"]}}
    desk.manifest([SHOP | {"request": {"size": "{size}"}}, boat, {"table": "more.csv"}])

    assert (4, 4) == pick(desk.run(), "tasks", "stored")

    rows = results(desk)
    expected = (
        "sku name price state (variable) tagline size id prompt (variable) state file cost_usd reason "
        "task_id prompt_id class attempts model prompt tags mood"
    )
    assert expected == " ".join(rows[0])
    assert ("m1", "12", "'=new", "stored", "images/m1--01.png") == pick(
        rows[0], "sku", "price", "state (variable)", "state", "file"
    )
    assert "Größe, rot: Two\nlines." == rows[0]["prompt"]
    assert (["m1", "m2", "", ""], ["", "", "calm", ""]) == (
        [row["sku"] for row in rows],
        [row["mood"] for row in rows],
    )
    assert ("tree", "9") == pick(rows[3], "id", "price")
    sizes = {request["body"]["prompt"]: request["body"]["size"] for request in desk.till.requests}
    assert "1536x1024" == sizes['Cup "big": Round.']


def test_a_changed_row_makes_one_image(desk: Desk) -> None:
    """A changed cell makes its row's image again, an unused one none; a row that is gone is `removed`."""
    write(desk.folder / "shop.csv", ROWS)
    desk.manifest([SHOP])
    desk.run()
    write(desk.folder / "shop.csv", [ROWS[0], ROWS[1], ["m2", 'Cup "big"', "4", "", "Square", ""]])
    assert {"changed": 1, "kept": 1} == desk.plan()
    assert (1, 1) == pick(desk.run(), "stored", "kept")
    write(desk.folder / "shop.csv", [ROWS[0], ["m1", "Größe, rot", "99", "", "Two\nlines", ""]])
    assert {"kept": 1, "removed": 1} == desk.plan()

    assert (0, 1) == pick(desk.run(), "attempts", "kept")

    assert 3 == len(desk.till.requests)
    assert [("m1", "99")] == [pick(row, "sku", "price") for row in results(desk)]


def test_interrupted_and_resumed(desk: Desk, till: Till) -> None:
    """A run over a table that is ended halfway goes on where it stood, and buys nothing twice."""
    write(
        desk.folder / "shop.csv",
        [["id", "prompt"], *([f"p{number}", f"Picture {number}."] for number in range(12))],
    )
    desk.manifest([{"table": "shop.csv"}], limits={"concurrency": 2})
    with ended(desk.start("run", "job.yaml")) as running:
        until(lambda: len(till.requests) >= 4, running)
        running.signal(signal.SIGINT)
        assert 130 == running.done().code
    assert len(till.requests) < 12

    summary = desk.run()

    assert (12, 12) == (summary["stored"] + summary["kept"], len(till.requests))


def test_ten_mistakes_at_once(desk: Desk) -> None:
    """Ten different mistakes of one table are ten lines, in the order of the rows, and nothing is sent."""
    header = ["sku", "name", "size", "", "sku"]
    rows = [
        ["m1", "Mug", "1024x1024"],
        ["", "Cup", "1024x1024"],
        ["b@d", "Bowl", "1024x1024"],
        ["M1", "Mug", "1024x1024"],
        ["m5", "", "1024x1024"],
        ["m6", "Jug", "1024x1025"],
        ["m7", "Pan\nwith lid", "1024x1024", "", "", "", "stray"],
        ["m8", "Pot", "1024x1024", "note"],
        ["m9", "Lid\x07", "1024x1024"],
        ["m10", "Tea", ""],
        ["nul", "Tray", "1024x1024"],
    ]
    write(desk.folder / "shop.csv", [header, *rows])
    desk.manifest([{"table": "shop.csv", "id": "{sku}", "prompt": "{name}", "request": {"size": "{size}"}}])

    done = desk.do("validate", "job.yaml")

    assert 2 == done.code
    assert [
        "shop.csv:1:sku: columns A and E have the same name (rename one of them)",
        "shop.csv:3:sku: the row has no id (write one, or leave the row out with `where`)",
        'shop.csv:4:sku: `id` is "b@d" (write only letters A-Z, digits, - and _, beginning with a letter or digit)',
        "shop.csv:5:sku: the id M1 is used in row 2 already (give each row an id of its own)",
        "shop.csv:6:name: the row has no prompt (describe the picture, or leave the row out with `where`)",
        "shop.csv:7:size: size 1024x1025 is not taken by gpt-image-2: both edges must be multiples of 16 (the nearest is 1024x1024)",
        'shop.csv:8:G: column G has no name in row 1 (name it in row 1, empty the cell, or put a text that holds the delimiter in "quotes")',
        'shop.csv:9:D: column D has no name in row 1 (name it in row 1, empty the cell, or put a text that holds the delimiter in "quotes")',
        "shop.csv:10:name: the control character U+0007 is not allowed in a text (remove it)",
        "shop.csv:11:size: the cell is empty, but `request` needs it (write a value, or leave the row out with `where`)",
        "shop.csv:12:sku: `id` is nul, a name that Windows keeps for a device (choose another)",
    ] == done.out.splitlines()
    assert [] == desk.till.requests


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one table in the formats that LibreOffice makes of it."""
    soffice = shutil.which("soffice")
    if soffice is None:
        pytest.skip("LibreOffice is not installed")
    folder = tmp_path_factory.mktemp("office")
    write(folder / "shop.csv", ROWS)
    profile = f"-env:UserInstallation={(folder / 'profile').as_uri()}"
    for number, kind in enumerate(FORMATS.values()):
        command = [soffice, profile, "--headless", "--infilter=CSV:44,34,76,1", "--convert-to", kind]
        out = folder / str(number)
        subprocess.run(
            [*command, "--outdir", str(out), str(folder / "shop.csv")],
            check=True,
            capture_output=True,
            timeout=100,
        )
    return folder


def test_what_an_office_suite_exports(desk: Desk, office: Path) -> None:
    """A workbook, and CSV and TSV of it, as LibreOffice writes them, are finished jobs with the same images."""
    fingerprints = []
    for number, name in enumerate(FORMATS):
        (exported,) = (office / str(number)).iterdir()
        table = f"shop{exported.suffix}"
        shutil.copy(exported, desk.folder / table)
        entry = SHOP | {"table": table, "request": {"size": "{size}"}}
        desk.manifest([entry], job="job", provider="sandbox", request={"quality": "low"})

        summary = desk.run("--output", f"output-{name}")

        assert (2, 2) == pick(summary, "tasks", "stored")
        with (desk.folder / f"output-{name}" / "job" / "results.csv").open(
            encoding="utf-8-sig", newline=""
        ) as file:
            rows = list(csv.DictReader(file))
        assert ROWS[0] == [column.removesuffix(" (variable)") for column in rows[0]][:6]
        assert ["12", "3.5"] == [row["price"] for row in rows]
        fingerprints.append([row["prompt"] for row in rows])
    assert [["Größe, rot: Two\nlines.", 'Cup "big": Round.']] * 3 == fingerprints
