"""What a run does with a task, by what the ledger knows of it: the rules of reruns as a table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple

from batchgen.core.differences import Asked
from batchgen.core.plan import TO_FETCH, TRIED_AGAIN, Known, Planned, decide, renew, waves
from batchgen.core.types import Change, FailureClass, OnUnknown, StoredImage, TaskState
from batchgen.core.values import replace
from tests.ledgers.samples import attempt, stored, task

TASK = task()
CHANGED = task(prompt="A tin boat.")
IMAGE = stored(attempt(TASK)).image
SPARE = replace(IMAGE, task_id="old--01", file="images/old--01.png")
NEVER_SEEN = Known(TASK)
SAME = Known(TASK, state=TaskState.PENDING, fingerprint=TASK.fingerprint)


def failed(kind: FailureClass) -> Known:
    """An unchanged task that failed."""
    return replace(SAME, state=TaskState.FAILED, failure_class=kind, reason="no", attempts=1)


def outcome(planned: Planned) -> tuple[Change, bool]:
    """What is said of a task, and whether it is sent."""
    return planned.change, planned.send


STORED = replace(SAME, state=TaskState.STORED, image=IMAGE, attempts=1)
SENT = replace(SAME, state=TaskState.SENT, attempts=1)
RECEIVED = replace(SAME, state=TaskState.RECEIVED, attempts=1)
HELD = replace(SAME, state=TaskState.HELD, failure_class=FailureClass.UNKNOWN, reason="lost", attempts=2)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (NEVER_SEEN, (Change.NEW, True)),
        (SAME, (Change.NEW, True)),
        (replace(SAME, attempts=1, reason="busy", failure_class=FailureClass.TRANSIENT), (Change.RETRY, True)),
        (replace(SAME, attempts=1), (Change.RETRY, True)),
        (replace(failed(FailureClass.INVALID), sent_otherwise=True), (Change.RETRY, True)),
        (replace(failed(FailureClass.NO_IMAGE), sent_otherwise=True), (Change.RETRY, True)),
        (replace(failed(FailureClass.REFUSED), sent_otherwise=True), (Change.FAILED, False)),
        (replace(SAME, reason="its image now serves another task"), (Change.RETRY, True)),
        (STORED, (Change.KEPT, False)),
        (replace(STORED, state=TaskState.FAILED, failure_class=FailureClass.REFUSED), (Change.KEPT, False)),
        (replace(STORED, task=CHANGED), (Change.CHANGED, True)),
        (replace(STORED, image=None), (Change.MISSING, False)),
        (RECEIVED, (Change.RETRY, False)),
        (replace(RECEIVED, task=CHANGED), (Change.RETRY, False)),
        (SENT, (Change.RETRY, True)),
        (replace(SENT, resent=True), (Change.HELD, False)),
        (replace(SENT, task=CHANGED), (Change.CHANGED, True)),
        (HELD, (Change.HELD, False)),
        (replace(HELD, task=CHANGED), (Change.CHANGED, True)),
        (failed(FailureClass.RATE_LIMITED), (Change.RETRY, True)),
        (failed(FailureClass.TRANSIENT), (Change.RETRY, True)),
        (failed(FailureClass.MODEL), (Change.RETRY, True)),
        (failed(FailureClass.STORAGE), (Change.RETRY, True)),
        (failed(FailureClass.REFUSED), (Change.FAILED, False)),
        (failed(FailureClass.INVALID), (Change.FAILED, False)),
        (failed(FailureClass.NO_IMAGE), (Change.FAILED, False)),
        (failed(FailureClass.DOWNLOAD), (Change.FAILED, False)),
        (replace(failed(FailureClass.REFUSED), task=CHANGED), (Change.CHANGED, True)),
        (replace(NEVER_SEEN, spare=SPARE), (Change.KEPT, False)),
        (replace(failed(FailureClass.REFUSED), spare=SPARE), (Change.KEPT, False)),
        (replace(HELD, spare=SPARE), (Change.KEPT, False)),
    ],
)
def test_the_rules_of_reruns(known: Known, expected: tuple[Change, bool]) -> None:
    """Every row of the contract's rules: what is continued, tried again, left alone, kept."""
    assert expected == outcome(decide(known))


def test_a_damaged_image_is_missing_and_not_bought() -> None:
    """A lost or altered image waits for a person; the reason says which."""
    planned = decide(STORED, damage="altered")
    assert (Change.MISSING, False, "altered") == (planned.change, planned.send, planned.reason)


def test_a_damaged_image_whose_request_changed_is_bought() -> None:
    """The older image is of no interest to the newer request."""
    assert (Change.CHANGED, True) == outcome(decide(replace(STORED, task=CHANGED), damage="missing"))


def test_a_damaged_image_with_a_spare_is_replaced_for_free() -> None:
    """Another paid image of the same request is moved in."""
    planned = decide(replace(STORED, spare=SPARE), damage="missing")
    assert (Change.KEPT, SPARE) == (planned.change, planned.restore)


def test_a_lost_answer_is_held_where_that_is_asked() -> None:
    """A task found `sent` follows `on_unknown`."""
    planned = decide(SENT, on_unknown=OnUnknown.HOLD)
    assert (Change.HELD, FailureClass.UNKNOWN) == (planned.change, planned.failure_class)


def test_a_changed_request_says_what_changed() -> None:
    """The diff has both values of every field."""
    (difference,) = decide(replace(STORED, task=CHANGED, asked=Asked(TASK.request))).differences
    assert ("prompt", TASK.request.prompt, "A tin boat.") == astuple(difference)


def test_what_is_left_alone_says_why() -> None:
    """The diff shows class and reason of what failed."""
    planned = decide(failed(FailureClass.REFUSED))
    assert (FailureClass.REFUSED, "no") == (planned.failure_class, planned.reason)


@pytest.mark.parametrize(
    ("known", "damage"),
    [
        (failed(FailureClass.REFUSED), None),
        (failed(FailureClass.TRANSIENT), None),
        (HELD, None),
        (STORED, "missing"),
        (replace(SAME, attempts=1, reason="busy"), None),
    ],
)
def test_a_retry_sends_what_it_names(known: Known, damage: str | None) -> None:
    """Failed, held, missing and waiting tasks are sent, with a fresh count of attempts."""
    planned = renew(decide(known, damage))
    assert (Change.RETRY, True, True) == (planned.change, planned.send, planned.renewed)


@pytest.mark.parametrize("known", [STORED, RECEIVED, NEVER_SEEN, replace(STORED, task=CHANGED)])
def test_a_retry_leaves_the_rest(known: Known) -> None:
    """What is kept, still to be fetched for free, new or changed is as in a plain run."""
    planned = decide(known)
    assert planned == renew(planned)


def test_what_is_still_to_be_fetched_is_never_sent() -> None:
    """It is paid for: neither a change of the request nor `retry` sends it again."""
    planned = renew(decide(replace(RECEIVED, task=CHANGED)))
    assert (False, TO_FETCH) == (planned.send, planned.reason)


KNOWN = st.builds(
    Known,
    task=st.sampled_from([TASK, CHANGED]),
    state=st.none() | st.sampled_from(TaskState),
    fingerprint=st.sampled_from([TASK.fingerprint, CHANGED.fingerprint]),
    failure_class=st.none() | st.sampled_from(FailureClass),
    reason=st.none() | st.just("no"),
    attempts=st.integers(0, 3),
    resent=st.booleans(),
    image=st.none() | st.just(IMAGE),
    spare=st.none() | st.just(SPARE),
)


@given(KNOWN, st.sampled_from([None, "missing", "altered"]), st.sampled_from(OnUnknown))
def test_no_state_buys_what_is_paid_for(known: Known, damage: str | None, on_unknown: OnUnknown) -> None:
    """A whole image of the right request, a spare or an open link is never bought again, whatever else is known."""
    planned = decide(known, damage, on_unknown)
    whole = known.image is not None and known.image.fingerprint == known.task.fingerprint and damage is None
    if whole or known.spare is not None or known.state is TaskState.RECEIVED:
        assert not planned.send
    assert planned.change is not Change.REMOVED
    assert (
        planned.send == (planned.change in {Change.NEW, Change.CHANGED, Change.RETRY})
        or planned.reason == TO_FETCH
    )


@given(st.sampled_from(FailureClass))
def test_a_failed_task_is_either_tried_again_or_left(kind: FailureClass) -> None:
    """There is no third way."""
    assert (kind in TRIED_AGAIN) == decide(failed(kind)).send


def test_an_image_is_restored_as_it_is_known() -> None:
    """The plan carries the image that moves, so that nobody looks it up again."""
    planned = decide(replace(NEVER_SEEN, spare=SPARE))
    assert isinstance(planned.restore, StoredImage)
    assert "moved back" == planned.reason


@given(st.permutations(range(12)))
def test_images_that_trade_names_are_moved_in_few_parts(target: list[int]) -> None:
    """Whoever gets whose name: each move is in one part, a part touches no name twice, and three parts do."""
    moves = [
        Planned(
            replace(TASK, task_id=f"t{new}--01"), Change.KEPT, send=False, restore=replace(IMAGE, file=file)
        )
        for old, new in enumerate(target)
        for file in (f"images/t{old}--01.png",)
    ]
    parts = list(waves(moves))
    assert sorted(map(id, moves)) == sorted(id(one) for part in parts for one in part)
    for part in parts:
        targets = {one.task.task_id for one in part}
        others = [(one.restore.file[7:-4], one.task.task_id) for one in part if one.restore]
        assert [] == [source for source, own in others if source in targets - {own}]
    assert len(parts) <= 3
