"""`run --confirm`: what is shown is asked for once, and what is sent is what was shown."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from functools import partial

import pytest

from tests.support.cli import WAIT_S, Desk, Done, pick, together
from tests.support.paid import Till
from tests.support.screen import on_terminal

pytest_plugins = ("tests.support.fixtures",)

BOAT: list[Mapping[str, object]] = [{"id": "boat", "prompt": "A boat.", "images": 2}]
ASK = ("run", "job.yaml", "--confirm")


def answered(desk: Desk, answer: str, *words: str) -> Done:
    """The command with an answer on a pipe."""
    running = desk.start(*ASK, *words, stdin=subprocess.PIPE)
    out, err = running.process.communicate(answer, timeout=WAIT_S)
    return Done(running.process.returncode, out, err)


def _answer(desk: Desk, answer: str, code: int, sent: int) -> None:
    desk.manifest(BOAT)
    done = answered(desk, answer)

    assert (code, sent) == (done.code, len(desk.till.requests)), (answer, done.err)
    assert (1, 1) == (done.out.count("Plan for job"), (done.out + done.err).count("[y/N]"))
    assert "Send 2 requests for ~$0.01" in done.err
    assert ("nothing was sent" in done.err) == (code == 3)
    assert (desk.folder / "output").exists() == (code == 0)


def test_only_a_yes_sends(desk: Desk) -> None:
    """The plan is shown once; a no, an empty line, the end of the input and nonsense send nothing and leave no folder."""
    cases = [("y\n", 0, 2), ("YES", 0, 2), ("n\n", 3, 0), ("\n", 3, 0), ("", 3, 0), ("sure\n", 3, 0)]
    together(partial(_answer, desk.beside(str(number)), *case) for number, case in enumerate(cases))


def test_stdout_stays_json(desk: Desk, till: Till) -> None:
    """With `--json` plan and question are on stderr; a no leaves stdout empty, a yes has the run's object."""
    desk.manifest(BOAT)

    no, yes = answered(desk, "n\n", "--json", "--quiet"), answered(desk, "y\n", "--json", "--quiet")

    assert (3, "") == (no.code, no.out)
    assert ["Plan for job" in done.err for done in (no, yes)] == [True, True]
    assert (0, 2, 1) == (yes.code, yes.last["stored"], len(yes.lines))
    assert 2 == len(till.requests)


def test_nothing_to_send_is_not_asked(desk: Desk, till: Till) -> None:
    """A job that is done says so, and no one has to be there."""
    desk.manifest(BOAT)
    desk.run()

    done = desk.do(*ASK)

    assert 0 == done.code
    assert "[y/N]" not in done.out + done.err
    assert 2 == len(till.requests)


def test_all_manifests_are_asked_for_together(desk: Desk, till: Till) -> None:
    """One question for all of them; where one of them is wrong nothing is sent, and nobody is asked."""
    desk.manifest(BOAT)
    desk.manifest([{"id": "cat", "prompt": "A cat."}], name="cats.yaml", job="cats")
    desk.manifest([{"id": "cat", "prompt": ""}], name="wrong.yaml", job="wrong")

    wrong = answered(desk, "y\n", "wrong.yaml")
    assert (2, []) == (wrong.code, till.requests)
    assert "[y/N]" not in wrong.err
    done = answered(desk, "y\n", "cats.yaml")

    assert 0 == done.code
    assert "Send 3 requests for ~$" in done.err
    assert 3 == len(till.requests)


@pytest.mark.parametrize("began", [False, True])
def test_what_changed_after_the_plan_is_not_sent(desk: Desk, till: Till, began: bool) -> None:
    """A manifest that is edited while the question waits is not run: nothing is sent, and the next plan shows it."""
    desk.manifest(BOAT)
    if began:
        desk.run()
    desk.manifest([{"id": "boat", "prompt": "A tin boat.", "images": 2}])
    before = len(till.requests)
    with on_terminal(desk, *ASK) as terminal:
        terminal.until("[y/N]")
        desk.manifest([{"id": "boat", "prompt": "A gold boat.", "images": 2}])
        terminal.type("y\n")
        code, screen = terminal.done()

    assert (3, before) == (code, len(till.requests))
    assert "was changed after its plan was shown; nothing was sent" in " ".join(" ".join(screen.lines).split())
    assert began == desk.job.exists()
    told = desk.do("plan", "job.yaml", "--tasks", "--json").lines
    assert ["changed" if began else "new"] * 2 == [line["change"] for line in told]


def test_no_more_is_sent_than_was_agreed_to(desk: Desk, till: Till) -> None:
    """What another run made meanwhile is kept, and not sent because somebody said yes to it."""
    desk.manifest(BOAT)
    with on_terminal(desk, *ASK, "--json") as terminal:
        terminal.until("[y/N]")
        desk.run()
        terminal.type("y\n")
        code, screen = terminal.done()

    assert (0, 2) == (code, len(till.requests))
    assert (0, 2) == pick(json.loads(_last_object(screen.lines)), "stored", "kept")


def _last_object(lines: list[str]) -> str:
    """The JSON at the end of a screen, put together again from its rows."""
    whole = "".join(lines)
    return whole[whole.rindex('{"job"') :]


def test_ctrl_c_at_the_question(desk: Desk, till: Till) -> None:
    """It is a signal, exit code 130; nothing was sent, and no folder is left."""
    desk.manifest(BOAT)
    with on_terminal(desk, *ASK) as terminal:
        terminal.until("[y/N]")
        terminal.type("\x03")
        code, screen = terminal.done()

    assert (130, []) == (code, till.requests)
    assert "nothing was sent" in screen.lines[-1]
    assert not (desk.folder / "output").exists()


def test_the_end_of_the_input_on_a_terminal(desk: Desk, till: Till) -> None:
    """Ctrl-D is a no, on a line of its own."""
    desk.manifest(BOAT)
    with on_terminal(desk, *ASK) as terminal:
        terminal.until("[y/N]")
        terminal.type("\x04")
        code, screen = terminal.done()

    assert (3, [], "nothing was sent") == (code, till.requests, screen.lines[-1])


def test_a_yes_on_a_terminal_runs_and_shows_the_plan_once(desk: Desk, till: Till) -> None:
    """The whole plan before the question, no second one after it."""
    desk.manifest(BOAT)
    with on_terminal(desk, *ASK) as terminal:
        terminal.until("[y/N]")
        terminal.type("yes\n")
        code, screen = terminal.done()

    assert (0, 2) == (code, len(till.requests))
    assert 1 == sum("Plan for job" in line for line in screen.lines)
    assert any("all 2 images are there" in line for line in screen.lines)
