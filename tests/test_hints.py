"""What a person may have meant otherwise is said in time: warnings that change no exit code, and words that match nothing."""

from __future__ import annotations

from functools import partial

import anyio
import pytest

from batchgen.config.values import Config
from batchgen.job import Options
from batchgen.run import plan_job
from tests.support.cli import Desk, together
from tests.support.paid import Till

pytest_plugins = ("tests.support.fixtures",)

MUG = {"prompt": "A {color} mug.", "vary": {"color": ["red", "blue"]}}


def test_twins_are_warned_of_before_they_cost(desk: Desk) -> None:
    """`validate`, `plan` and `run` say it, with the place of the later prompt, and go on."""
    desk.manifest(
        [{"id": "mug", **MUG}, {"id": "cup", **MUG}, {"id": "boat", "prompt": "A boat.", "images": 4}]
    )

    checked, planned, ran = together(
        [
            partial(desk.do, "validate", "job.yaml"),
            partial(desk.do, "plan", "job.yaml", "--json"),
            partial(desk.do, "run", "job.yaml", "--provider", "sandbox"),
        ]
    )

    assert [0, 0, 0] == [checked.code, planned.code, ran.code]
    first, last = checked.out.splitlines()
    told = "warning: cup--red--01 asks for exactly the same picture as mug--red--01, from the prompt on line "
    assert told in first
    assert first.startswith("job.yaml:")
    assert last.endswith("warning: in all, 2 tasks ask for exactly the same picture as an earlier one")
    assert "no mistakes, 2 warnings" in checked.err
    assert [first, last] == planned.last["notices"]
    assert told in " ".join(ran.err.split())


def test_a_variable_that_changes_only_the_name_makes_twins(desk: Desk) -> None:
    """Within one prompt the advice is another one, and nothing is said in all where there is one pair."""
    desk.manifest([{"id": "mug-{n}", "prompt": "A mug.", "vary": {"n": ["a", "b"]}}])

    done = desk.do("validate", "job.yaml")

    (line,) = done.out.splitlines()
    assert "mug-b--01 asks for exactly the same picture as mug-a--01, also of this prompt" in line
    assert 0 == done.code


def test_rows_of_a_table_that_are_twins(desk: Desk) -> None:
    """The later row is named, with its column, and the earlier one."""
    (desk.folder / "teas.csv").write_text("sku,name\na,Green tea\nb,Black tea\nc,Green tea\n")
    desk.manifest([{"table": "teas.csv", "id": "{sku}", "prompt": "{name}"}])

    (line,) = desk.do("validate", "job.yaml").out.splitlines()

    told = "teas.csv:4:name: warning: c--01 asks for exactly the same picture as a--01, from row 2 of teas.csv"
    assert line.startswith(told)


def test_the_hundredth_twin_is_counted_and_not_told(desk: Desk) -> None:
    """Ten lines, and how many there are in all."""
    desk.manifest([{"id": f"p{number}", "prompt": "A boat."} for number in range(100)])

    lines = desk.do("validate", "job.yaml").out.splitlines()

    assert 11 == len(lines)
    assert "in all, 99 tasks" in "".join(lines)


def test_a_job_that_grew_tenfold_is_asked_about(desk: Desk) -> None:
    """`plan` and `run` say how many tasks there were; a part of a job that was sent is not its size."""
    boats = {"id": "boat", "prompt": "A boat.", "images": 10}
    desk.manifest([boats], provider="sandbox")
    desk.run("--limit", "1")
    desk.manifest([boats | {"images": 99}], provider="sandbox")
    assert [] == desk.json("plan", "job.yaml")["notices"]

    desk.manifest([boats | {"images": 100}], provider="sandbox")

    (notice,) = desk.json("plan", "job.yaml")["notices"]
    assert "warning: this job had 10 tasks when it last ran, and has 100 now" in notice
    assert notice.startswith("job.yaml:")
    done = desk.do("run", "job.yaml", "--limit", "0")
    assert "this job had 10 tasks" in " ".join(done.err.split())
    assert [] == desk.json("plan", "job.yaml")["notices"]


def test_a_limit_for_a_model_that_nobody_uses(desk: Desk) -> None:
    """It bounds nothing, so it is said, at its place."""
    desk.manifest(
        [{"id": "a", "prompt": "A."}], limits={"images_per_minute": {"gpt-imag-2": 5, "gpt-image-2": 9}}
    )

    (line,) = desk.do("validate", "job.yaml").out.splitlines()

    told = (
        "warning: no prompt uses the model gpt-imag-2, so this limit bounds nothing (did you mean gpt-image-2?)"
    )
    assert line.endswith(told)


@pytest.mark.parametrize(
    ("glob", "meant"),
    [
        ("mug", "'mug--*'"),
        ("mgu*", "'mug--*'"),
        ("MUG*", "'mug--*'"),
        ("mug--reed--01", "'mug--red--01'"),
        ("papper-boat*", "'Paper-boat--*'"),
        ("*boat", "'Paper-boat--*'"),
    ],
)
def test_globs_that_match_nothing_have_a_nearest_task(desk: Desk, glob: str, meant: str) -> None:
    """`--only` says so and what was probably meant, beside one that does match."""
    desk.manifest([{"id": "mug", **MUG}, {"id": "Paper-boat", "prompt": "A boat."}])

    options = Options(Config(), desk.environ, output=desk.folder / "output", only=(glob, "mug--blue*"))
    (notice,) = anyio.run(plan_job, desk.folder / "job.yaml", options).notices

    assert f"no task matches {glob} (did you mean {meant}?)" == notice


def test_a_retry_of_nothing_sends_nothing(desk: Desk, till: Till) -> None:
    """`retry --task` is about the tasks that it names: a slip of the pen buys no others."""
    desk.manifest([{"id": "mug", **MUG}])

    done = desk.do("retry", "job.yaml", "--task", "mug--red*", "--task", "mug--bleu*")

    assert 2 == done.code
    assert "no task matches mug--bleu* (did you mean 'mug--blue--01'?); nothing was sent\n" == done.err
    assert [] == till.requests


MISSPELT = [
    (("pln", "job.yaml"), "there is no command 'pln' (did you mean plan?)"),
    (("plan", "jbo.yaml"), "jbo.yaml: there is no such file (did you mean job.yaml?)"),
    (("plan", "job.yaml", "--provider", "opnai"), 'there is no provider "opnai" (did you mean openai?)'),
    (("plan", "job.yaml", "--onyl", "a"), "Did you mean"),
    (("run", "job.yaml", "--engine", "locl"), 'there is no engine "locl" (did you mean local?)'),
    (("retry", "job.yaml", "--class", "rate_limit"), "there is no 'rate_limit' (did you mean rate_limited?)"),
    (("models", "--provider", "opnai"), 'there is no provider "opnai" (did you mean openai?)'),
    (("models", "gpt-imag-2"), "did you mean gpt-image-2?"),
    (("sandbox", "--fail", "slwo=0.1"), "did you mean slow?"),
]


def test_a_misspelt_word_of_the_command_line(desk: Desk) -> None:
    """Wherever a word meets a closed list, the nearest one is named, with exit code 2."""
    desk.manifest([{"id": "boat", "prompt": "A boat."}])

    done = together(partial(desk.do, *words) for words, _ in MISSPELT)

    for (words, meant), one in zip(MISSPELT, done, strict=True):
        assert (2, "") == (one.code, one.out), words
        assert meant in one.err, words
