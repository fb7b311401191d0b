"""`results.jsonl` and `results.csv`."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.plain import safe_text
from batchgen.reports.results import formula_safe, write_results
from tests.reports.samples import broken_after, contents, in_batches, view

pytestmark = pytest.mark.anyio

TRICKY = st.text(st.sampled_from("=+-@＝\t\r\n \u00a0\u200b'\",;ab\x00\u202e\ud800"), max_size=12)


def read_table(folder: Path) -> list[dict[str, str]]:
    """The table as a spreadsheet program reads it."""
    with (folder / "results.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


async def test_a_line_a_task_in_both_files(tmp_path: Path) -> None:
    """Every task is a line of both files, in manifest order, with what a team needs to work on."""
    views = [
        view("boat--01", variables={"color": "red"}, tags=("shop", "new"), parameters={"size": "768x512"}),
        view("boat--02", state="failed", failure_class="refused", reason="No, thanks"),
        view("boat--03", variables={"state": "mint"}, cost_usd=0.00001),
    ]

    await write_results(tmp_path, in_batches(views))
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text("utf-8").splitlines()]
    rows = read_table(tmp_path)

    expected_line = {
        **views[0].as_json(),
        "model": "gpt-image-2",
        "prompt": "A paper boat.",
        "parameters": {"size": "768x512"},
        "tags": ["shop", "new"],
        "variables": {"color": "red"},
        "width": 768,
        "height": 512,
    }
    expected_row = {
        "task_id": "boat--02",
        "prompt_id": "boat",
        "state": "failed",
        "class": "refused",
        "reason": "No, thanks",
        "attempts": "1",
        "file": "",
        "cost_usd": "",
        "model": "gpt-image-2",
        "prompt": "A paper boat.",
        "tags": "",
        "color": "",
        "state (variable)": "",
    }
    assert expected_line == lines[0]
    assert expected_row == rows[1]
    assert [each.task_id for each in views] == [line["task_id"] for line in lines]
    assert [each.task_id for each in views] == [row["task_id"] for row in rows]
    assert (rows[2]["cost_usd"], rows[2]["state (variable)"]) == ("0.00001", "mint")


async def test_the_table_is_for_excel(tmp_path: Path) -> None:
    """Excel reads UTF-8 only with a byte order mark, and RFC 4180 asks for CR LF."""
    await write_results(tmp_path, in_batches([view("boat--01", prompt="Größe\nzwei")]))

    raw = (tmp_path / "results.csv").read_bytes()

    assert raw.startswith(b"\xef\xbb\xbftask_id,")
    assert raw.endswith(b"\r\n")
    assert '"Größe\nzwei"'.encode() in raw


@given(TRICKY)
def test_no_cell_is_a_formula(cell: str) -> None:
    """No line of a cell starts a formula: an apostrophe leads it, and the cell; nothing visible is lost."""
    safe, clean = formula_safe(cell), safe_text(cell, keep_lines=True)
    lines = safe.replace("\r", "\n").split("\n")

    assert set() == {line.lstrip(" \u00a0\u200b\n")[:1] for line in lines} & set("=+-@＝\t\r")
    assert safe == clean or safe.startswith("'")
    assert [
        line if line == other else line.removeprefix("'")
        for line, other in zip(safe.split("\n"), clean.split("\n"), strict=True)
    ] == clean.split("\n")


def test_a_formula_at_a_later_line_is_none() -> None:
    """Line by line, as programs read it that split cells."""
    assert "'good\n'=cmd\nfine\n' @x" == formula_safe("good\n=cmd\r\nfine\n @x")


def test_plain_texts_get_no_apostrophe() -> None:
    """What is no formula stays as it was written, paragraphs with Windows line ends included."""
    expected = "A boat, 50 % - calm = good.\n\nSunrise."

    assert expected == formula_safe("A boat, 50 % - calm = good.\r\n\r\nSunrise.")


async def test_prompts_stay_exact_in_json(tmp_path: Path) -> None:
    """Scripts get the prompt to the character, half surrogates and control characters included."""
    prompt = "=1+1 \ud800 \x1b[0m\u202e line\u2028end"

    await write_results(tmp_path, in_batches([view("boat--01", prompt=prompt)]))
    text = (tmp_path / "results.jsonl").read_text("utf-8")

    assert prompt == json.loads(text)["prompt"]


@pytest.mark.parametrize("good_readings", [0, 1])
async def test_an_error_midway_leaves_the_old_files(tmp_path: Path, good_readings: int) -> None:
    """Both files are replaced or none, and no working file stays, in whichever reading it breaks."""
    (tmp_path / "results.jsonl").write_text("old lines")
    (tmp_path / "results.csv").write_text("old table")

    with pytest.raises(OSError, match="went away"):
        await write_results(tmp_path, broken_after([view("boat--01")], good_readings))

    left = contents(tmp_path)
    assert left == {"results.jsonl": "old lines", "results.csv": "old table"}
