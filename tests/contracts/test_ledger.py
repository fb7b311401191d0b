"""What every ledger keeps, in a file or in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from batchgen.core.differences import Asked
from batchgen.core.history import History
from batchgen.core.plan import Planned, renew
from batchgen.core.protocols import Ledger
from batchgen.core.records import Dearer, Remembered, RunRecord, Totals
from batchgen.core.retry import NextStep
from batchgen.core.types import (
    Answer,
    AttemptState,
    Change,
    FailureClass,
    Link,
    Paid,
    Price,
    PriceKind,
    StoredImage,
    Task,
    TaskState,
    TokenRates,
    Usage,
)
from batchgen.core.values import replace
from batchgen.ledgers.sqlite import SqliteLedger, memory_ledger, open_ledger
from tests.ledgers.samples import (
    BUSY,
    FAILED,
    HELD,
    LOST,
    MOMENT,
    RETRY,
    RUN,
    as_renamed,
    attempt,
    bought,
    fail,
    failure,
    known,
    queue,
    rerun,
    send,
    states,
    store,
    stored,
    task,
    tasks,
)

pytestmark = pytest.mark.anyio

LATER = "2026-11-23T23:00:00.000Z"
LINK = Link(
    "https://cdn.example.com/1.png?sig=abc",
    Answer(200, "req-9", Usage(1, 2, 3), "a boat", {"x": 1}),
    LATER,
    ("https://cdn.example.com/2.png?sig=def",),
)
SAME_KEY = NextStep(TaskState.PENDING, same_key=True)
STAYS_RECEIVED = NextStep(TaskState.RECEIVED)


@pytest.fixture(params=["file", "memory"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledger]:
    """Every ledger in turn, empty."""
    opened = open_ledger(tmp_path / "ledger.sqlite") if request.param == "file" else memory_ledger()
    async with opened as ledger:
        yield ledger


# Staging and comparing


async def test_ids_clash_without_regard_to_case(ledger: Ledger) -> None:
    """Two names that one file system would take for the same are found, with the task that came first."""
    first, second = task("Boat--01"), task("boat--01", position=1, prompt="Another.")
    assert [] == list(await ledger.stage([first]))
    assert [(second, first)] == list(await ledger.stage([second]))


async def test_a_task_comes_back_as_it_was_staged(ledger: Ledger) -> None:
    """Every field of a task survives, in manifest order and over more than one page."""
    price = Price(PriceKind.ESTIMATE, 0.1, 0.2, 0.3, TokenRates(5, 8, 30))
    rich = task("mug--01", price=price, tags=("shop", "été"), variables={"color": "red"})
    manifest = [rich, *(replace(one, position=one.position + 1) for one in tasks(1200))]
    assert manifest == [one.task for one in await known(ledger, manifest)]


async def test_tasks_that_ask_for_the_same_are_found(ledger: Ledger) -> None:
    """Counted without regard to names and tags; further images of one prompt are none, and the first of all is the earlier one."""
    one, two = task("boat--01", tags=("a",)), task("boat--02", position=1, sample=2)
    three = task("ship--01", position=2)
    four = task("ship--02", position=3, sample=2)
    five, six = task("raft--01", position=4), task("mug--01", position=5, prompt="A mug.")
    await ledger.stage([one, two, three, four, five, six])

    assert (2, [(three, one), (five, one)]) == await ledger.twins(10)
    assert (2, [(three, one)]) == await ledger.twins(1)


async def test_no_twins(ledger: Ledger) -> None:
    """Nothing is staged, or nothing twice."""
    assert (0, []) == await ledger.twins(10)
    await ledger.stage(tasks(3))
    assert (0, []) == await ledger.twins(10)


async def test_names_and_models_of_what_is_staged(ledger: Ledger) -> None:
    """Every task with its prompt, in manifest order and over more than one page; every model once."""
    staged = [*tasks(1200), task("mug--01", position=1200, model="dall-e-3")]
    await ledger.stage(staged)

    names = [pair async for page in ledger.staged_names() for pair in page]
    assert [(one.task_id, one.prompt_id) for one in staged] == names
    assert {"gpt-image-2", "dall-e-3"} == set(await ledger.staged_models())


async def test_the_size_of_the_last_manifest_is_remembered(ledger: Ledger) -> None:
    """None before it was ever noted; a later note replaces it."""
    await ledger.stage(tasks(3))
    assert (None, 3) == await ledger.size()
    await ledger.note_size()
    await ledger.stage([task("mug--01", position=3)])
    assert (3, 4) == await ledger.size()
    await ledger.note_size()
    assert (4, 4) == await ledger.size()


async def test_a_new_task_is_unknown(ledger: Ledger) -> None:
    """Nothing is known of a task that was never seen."""
    (one,) = await known(ledger, [task()])
    assert (None, None, 0, None, None) == (one.state, one.fingerprint, one.attempts, one.image, one.spare)


async def test_a_kept_task_has_its_image(ledger: Ledger) -> None:
    """A stored task is known with its fingerprint and its image."""
    image = (await bought(ledger, task())).image
    (one,) = await known(ledger, [task()])
    assert (TaskState.STORED, task().fingerprint, image, None) == (
        one.state,
        one.fingerprint,
        one.image,
        one.spare,
    )


async def test_a_changed_task_has_its_older_image_and_no_spare(ledger: Ledger) -> None:
    """The image of the older request stands under the name, but does not serve the newer one."""
    image = (await bought(ledger, task())).image
    (one,) = await known(ledger, [task(prompt="A tin boat.")])
    assert (image, None, task().fingerprint) == (one.image, one.spare, one.fingerprint)


async def test_a_renamed_task_finds_its_image(ledger: Ledger) -> None:
    """An image whose old name left the manifest is spare for the task of the same request."""
    image = (await bought(ledger, task("boat--01"))).image
    (one,) = await known(ledger, [as_renamed(task(), "ship--01")])
    assert image == one.spare


async def test_an_image_that_its_own_task_wants_is_no_spare(ledger: Ledger) -> None:
    """A twin prompt does not take the image of a task that is still in the manifest."""
    await bought(ledger, task("boat--01"))
    boat, twin = await known(ledger, [task("boat--01"), as_renamed(task(), "twin--01", position=1)])
    assert boat.image is not None
    assert twin.spare is None


async def test_one_image_serves_one_of_two_twins(ledger: Ledger) -> None:
    """Two new tasks with the same fingerprint share no image: the first gets it, the second is bought."""
    image = (await bought(ledger, task("boat--01"))).image
    twins = [as_renamed(task(), "a--01"), as_renamed(task(), "b--01", position=1)]
    assert [image, None] == [one.spare for one in await known(ledger, twins)]


async def test_two_images_of_one_fingerprint_serve_two_twins(ledger: Ledger) -> None:
    """As many twins as there are spare images get one each."""
    images = [(await bought(ledger, as_renamed(task(), f"old{n}--01", position=n))).image for n in (0, 1)]
    twins = [as_renamed(task(), "a--01"), as_renamed(task(), "b--01", position=1)]
    assert images == [one.spare for one in await known(ledger, twins)]


async def image_of(ledger: SqliteLedger, image: StoredImage) -> StoredImage:
    """An image as it is noted now."""
    (noted,) = await ledger.noted([image])
    return noted


async def test_two_prompts_that_swap_names_swap_images(ledger: SqliteLedger) -> None:
    """Each of two renamed tasks finds its image under the other's name, and both are stored afterwards."""
    a, b = task("a--01", prompt="one"), task("b--01", position=1, prompt="two")
    image_a, image_b = (await bought(ledger, a)).image, (await bought(ledger, b)).image
    new_a, new_b = as_renamed(b, "a--01", position=0), as_renamed(a, "b--01", position=1)
    assert [image_b, image_a] == [one.spare for one in await known(ledger, [new_a, new_b])]

    aside = f"superseded/a--01.{image_a.fingerprint[:8]}.png"
    there = replace(image_b, task_id="a--01", file="images/a--01.png")
    moved = replace(stored(attempt(b)), image=there, superseded={image_a.attempt_id: aside})
    await ledger.moved([(moved, new_a)])
    assert aside == (await image_of(ledger, image_a)).file
    back = replace(image_a, task_id="b--01", file="images/b--01.png", mtime_ns=99)
    await ledger.moved([(replace(stored(attempt(a)), image=back), new_b)])
    await ledger.settle_manifest()

    assert {"a--01": "stored", "b--01": "stored"} == await states(ledger)
    assert [there, back] == [await image_of(ledger, image) for image in (image_b, image_a)]


async def test_a_request_that_is_changed_back_finds_its_superseded_image(ledger: Ledger) -> None:
    """A paid image in `superseded/` is spare again for the request that made it."""
    old = (await bought(ledger, task())).image
    newer = task(prompt="A tin boat.")
    await ledger.apply(RUN, [Planned(newer, Change.CHANGED, send=True)])
    aside = f"superseded/boat--01.{old.fingerprint[:8]}.png"
    await store(ledger, await send(ledger, newer, number=2), superseded={old.attempt_id: aside})
    (one,) = await known(ledger, [task()])
    assert replace(old, file=aside) == one.spare


async def test_an_image_that_vanished_makes_way(ledger: Ledger) -> None:
    """A newer image takes the name also where the older one was deleted by hand and moved nowhere."""
    await bought(ledger, task())
    newer = task(prompt="A tin boat.")
    await ledger.apply(RUN, [Planned(newer, Change.CHANGED, send=True)])
    image = (await store(ledger, await send(ledger, newer, number=2))).image
    (one,) = await known(ledger, [newer])
    assert (TaskState.STORED, image) == (one.state, one.image)


async def test_an_image_that_left_its_name_makes_its_task_pending(ledger: Ledger) -> None:
    """A task whose image serves another is to be bought, should it come back."""
    image = (await bought(ledger, task("boat--01"))).image
    ship = as_renamed(task(), "ship--01")
    there = replace(image, task_id="ship--01", file="images/ship--01.png")
    await ledger.moved([(replace(stored(attempt(task())), image=there), ship)])
    boat, _ = await known(ledger, [task("boat--01"), replace(ship, position=1)])
    assert (TaskState.PENDING, None, None) == (boat.state, boat.image, boat.spare)


# Rows of a plan


async def test_a_rerun_keeps_the_record_of_an_unchanged_request(ledger: Ledger) -> None:
    """Attempts of this run count from 0, lost answers and their key stay, and so does the not-before time."""
    await queue(ledger, [task()])
    await fail(ledger, await send(ledger, task(), key="k-1"), LOST, SAME_KEY, not_before=LATER)
    await rerun(ledger, [task()], run_id="r2")
    assert [] == list(await ledger.due("r2", ["gpt-image-2"], MOMENT, 9))
    (due,) = await ledger.due("r2", ["gpt-image-2"], LATER, 9)
    assert (2, 0, 1, 1, "k-1") == (
        due.number,
        due.tried,
        due.unknowns,
        due.resends_allowed,
        due.idempotency_key,
    )


async def test_a_changed_request_starts_with_a_clean_record(ledger: Ledger) -> None:
    """Lost answers, their key, reason and not-before time belong to the older fingerprint."""
    await queue(ledger, [task()])
    await fail(ledger, await send(ledger, task()), LOST, SAME_KEY, not_before=LATER)
    await rerun(ledger, [task(prompt="A tin boat.")], run_id="r2")
    (due,) = await ledger.due("r2", ["gpt-image-2"], MOMENT, 9)
    assert (2, 0, 0, 1, None) == (due.number, due.tried, due.unknowns, due.resends_allowed, due.idempotency_key)
    assert "A tin boat." == due.task.request.prompt
    (view,) = [view async for page in ledger.tasks() for view in page]
    assert ("pending", None, None) == (view.state, view.failure_class, view.reason)


async def test_a_retry_allows_one_more_resend_and_waits_no_longer(ledger: Ledger) -> None:
    """What `retry` names may be lost once more, keeps its key, and its not-before time is forgotten."""
    await queue(ledger, [task()])
    await fail(ledger, await send(ledger, task()), LOST, SAME_KEY)
    await fail(ledger, await send(ledger, task(), number=2, key="k-1"), LOST, HELD, not_before=LATER)
    (held,) = await known(ledger, [task()])
    assert (TaskState.HELD, True) == (held.state, held.resent)
    await ledger.apply("r2", [renew(Planned(task(), Change.HELD, send=False))])
    (due,) = await ledger.due("r2", ["gpt-image-2"], MOMENT, 9)
    assert (3, 0, 2, 2, "k-1") == (
        due.number,
        due.tried,
        due.unknowns,
        due.resends_allowed,
        due.idempotency_key,
    )


async def test_a_plan_without_a_run_only_makes_pending(ledger: Ledger) -> None:
    """`retry --no-run` queues nothing for anybody."""
    await queue(ledger, [task()], run_id=None)
    assert {"boat--01": "pending"} == await states(ledger)
    assert {} == await ledger.models(RUN)


async def test_a_kept_task_is_stored_whatever_it_was(ledger: Ledger) -> None:
    """A task whose image serves again is stored, and its failure is forgotten."""
    await bought(ledger, task())
    await ledger.apply(RUN, [Planned(task(prompt="A tin boat."), Change.CHANGED, send=True)])
    await fail(ledger, await send(ledger, task(prompt="A tin boat."), number=2), BUSY, FAILED)
    (planned,) = await rerun(ledger, [task()])
    assert Change.KEPT == planned.change
    (view,) = [view async for page in ledger.tasks() for view in page]
    assert ("stored", None, None) == (view.state, view.failure_class, view.reason)
    assert (task().fingerprint, "images/boat--01.png") == (view.fingerprint, view.file)


async def test_a_missing_image_is_noted_and_not_queued(ledger: Ledger) -> None:
    """A lost image has its reason on the ledger, and stays stored until `retry` names it."""
    await bought(ledger, task())
    await ledger.apply("r2", [Planned(task(), Change.MISSING, send=False, reason="altered")])
    (view,) = [view async for page in ledger.tasks() for view in page]
    assert ("stored", "altered") == (view.state, view.reason)
    assert {} == await ledger.models("r2")


async def test_a_model_that_became_dearer(ledger: Ledger) -> None:
    """Told with the task that rose most, until one is queued at the new price; not for cheaper, new or changed tasks."""
    first = tasks(3)
    await queue(ledger, first)
    cheap = task("cheap--01", position=8, model="cheap-1")
    await queue(ledger, [cheap])

    def at(usd: float, of: Task) -> Task:
        return replace(of, price=replace(of.price, expected_usd=usd))

    now = [at(0.05, first[0]), at(0.06, first[1]), at(0.05, first[2]), at(0.03, cheap)]
    others = [task("new--01", position=9, prompt="new"), task("x--01", position=10, model="other")]
    await ledger.stage([*now, *others])

    assert [Dearer("gpt-image-2", "t1--01", 0.04, 0.06)] == list(await ledger.dearer())
    await queue(ledger, now[:1])
    assert [] == list(await ledger.dearer())


async def test_what_left_the_manifest_is_counted_and_not_read(ledger: Ledger) -> None:
    """Removed tasks are told by number and first ids; they are no longer among the manifest's tasks."""
    await queue(ledger, tasks(5))
    await ledger.stage(tasks(2))
    assert (3, ["t2--01", "t3--01"]) == tuple(await ledger.removed(limit=2))
    assert ["t2--01", "t3--01", "t4--01"] == [task_id async for page in ledger.left() for task_id in page]
    await ledger.settle_manifest()
    assert ["t0--01", "t1--01"] == list(await states(ledger))
    assert (0, []) == tuple(await ledger.removed(limit=2))


async def test_what_was_asked_for_before_is_known(ledger: Ledger) -> None:
    """A changed task comes with its last request and who was asked; an unchanged and a new one have nothing to tell."""
    older, same = task(prompt="A paper boat."), task("same--01", position=1, prompt="Same.")
    await ledger.begin_run(RunRecord(RUN, "spring", "m.yaml", "cometapi", "h", MOMENT))
    await bought(ledger, older)
    await bought(ledger, same)

    now = [task(prompt="A tin boat."), same, task("new--01", position=2, prompt="New.")]

    asked = [one.asked for one in await known(ledger, now)]
    assert [Asked(older.request, "cometapi"), None, None] == asked


async def test_a_request_that_was_never_sent_is_known_too(ledger: Ledger) -> None:
    """What was queued and changed before it went out: the run that queued it tells who would have been asked."""
    await ledger.begin_run(RunRecord(RUN, "spring", "m.yaml", "openai", "h", MOMENT))
    await queue(ledger, [task(model="m1")])

    (one,) = await known(ledger, [task(model="m2")])

    assert Asked(task(model="m1").request, "openai") == one.asked


async def test_what_a_status_asks_of_a_run(ledger: Ledger) -> None:
    """Images since a moment, and the first moment of those that a waiting task names."""
    first, second, third = tasks(3)
    await bought(ledger, first)
    await queue(ledger, [second, third])
    for one, moment in ((second, LATER), (third, "2026-11-23T22:30:00.000Z")):
        await fail(ledger, await send(ledger, one), BUSY, RETRY, not_before=moment)

    assert [1, 0] == [await ledger.stored_since(since) for since in ("2026-11-23T21:59:59.000Z", MOMENT)]
    assert "2026-11-23T22:30:00.000Z" == await ledger.waits_until(MOMENT)
    assert LATER == await ledger.waits_until("2026-11-23T22:30:00.000Z")
    assert None is await ledger.waits_until(LATER)


async def test_places_and_labels_follow_the_manifest(ledger: Ledger) -> None:
    """A kept task takes over its place, tags and variables, and its name's case; its request stays."""
    await bought(ledger, task("Boat--01"))
    moved = task("boat--01", position=9, tags=("new",), variables={"color": "red"})
    await rerun(ledger, [task("first--01", prompt="First."), moved])
    views = [view async for page in ledger.tasks() for view in page]
    assert ["first--01", "Boat--01"] == [view.task_id for view in views]
    assert (("new",), {"color": "red"}) == (views[1].tags, views[1].variables)


# The queue


async def test_due_tasks_come_in_manifest_order_and_in_time(ledger: Ledger) -> None:
    """What waits for its moment is left out until then; a limit cuts the list; other models stay out."""
    await queue(ledger, tasks(4))
    await queue(ledger, [task("other--01", position=9, model="dall-e-3")])
    await fail(ledger, await send(ledger, tasks(4)[1]), BUSY, RETRY, not_before=LATER)

    async def due(now: str, limit: int) -> list[str]:
        return [due.task.task_id for due in await ledger.due(RUN, ["gpt-image-2"], now, limit)]

    assert ["t0--01", "t2--01"] == await due(MOMENT, 2)
    assert ["t0--01", "t2--01", "t3--01"] == await due(MOMENT, 9)
    assert ["t0--01", "t1--01", "t2--01", "t3--01"] == await due(LATER, 9)
    assert {"gpt-image-2": 4, "dall-e-3": 1} == await ledger.models(RUN)


async def test_models_that_share_a_limit_are_due_in_manifest_order(ledger: Ledger) -> None:
    """One lane, one queue: no model waits until another one's tasks are all sent, and the earliest moment counts."""
    both = ["gpt-image-2", "dall-e-3"]
    models = [both[number % 2] for number in range(4)]
    await queue(ledger, [task(f"t{at}--01", position=at, model=model) for at, model in enumerate(models)])
    await queue(ledger, [task("other--01", position=9, model="dall-e-2")])
    due = [one.task.task_id for one in await ledger.due(RUN, both, MOMENT, 3)]
    assert ["t0--01", "t1--01", "t2--01"] == due
    assert due == [one.task.task_id for one in await ledger.due(RUN, [*both, *both], MOMENT, 3)]
    assert "" == await ledger.next_due(RUN, [*both, "imagen-4"])


async def test_the_next_moment_is_the_earliest(ledger: Ledger) -> None:
    """An empty text while something is due at any time, then the earliest moment, None when nothing is queued."""
    first, second = tasks(2)
    assert None is await ledger.next_due(RUN, ["gpt-image-2"])
    await queue(ledger, [first, second])
    assert "" == await ledger.next_due(RUN, ["gpt-image-2"])
    await fail(ledger, await send(ledger, first), BUSY, RETRY, not_before=LATER)
    await fail(ledger, await send(ledger, second), BUSY, RETRY, not_before=MOMENT)
    assert MOMENT == await ledger.next_due(RUN, ["gpt-image-2"])
    assert MOMENT == await ledger.next_due(RUN, ["dall-e-3", "gpt-image-2"])
    assert None is await ledger.next_due(RUN, ["dall-e-3"])


# An attempt's life


async def test_a_sent_attempt_is_open_until_it_ends(ledger: Ledger) -> None:
    """A run that finds an attempt `sent` has all that it needs to settle it."""
    await queue(ledger, [task()])
    sent = await send(ledger, task())
    (found,) = await ledger.unfinished()
    assert (sent, None, 0, 1) == (found.attempt, found.link, found.unknowns, found.resends_allowed)
    assert {"boat--01": "sent"} == await states(ledger)
    await store(ledger, sent)
    assert [] == list(await ledger.unfinished())


async def test_a_link_survives_on_the_ledger(ledger: Ledger) -> None:
    """A received link is there again, whole, for as long as it is not fetched."""
    await queue(ledger, [task()])
    sent = await send(ledger, task())
    await ledger.received(sent.attempt_id, LINK)
    await fail(ledger, sent, BUSY, STAYS_RECEIVED)
    (found,) = await ledger.unfinished()
    assert (sent, LINK) == (found.attempt, found.link)
    assert {"boat--01": "received"} == await states(ledger)
    assert 0.05 == (await ledger.totals()).spent_usd


async def test_a_stored_attempt_has_its_cost_and_its_task_its_file(ledger: Ledger) -> None:
    """What a person reads of a stored task: file, size, cost, one attempt."""
    await bought(ledger, task())
    (view,) = [view async for page in ledger.tasks() for view in page]
    assert {
        "task_id": "boat--01",
        "prompt_id": "boat",
        "state": "stored",
        "class": None,
        "reason": None,
        "attempts": 1,
        "file": "images/boat--01.png",
        "sha256": "a" * 64,
        "cost_usd": 0.041,
        "fingerprint": task().fingerprint,
        "not_before": None,
    } == view.as_json()
    assert (1024, 1024, 1000) == (view.width, view.height, view.size_bytes)
    (tried,) = [view async for page in ledger.attempts() for view in page]
    assert (AttemptState.STORED, 0.041, 2.5, 200, "req-1") == (
        tried.state,
        tried.cost_usd,
        tried.seconds,
        tried.http_status,
        tried.request_id,
    )


async def test_every_failure_is_there_with_its_reason(ledger: Ledger) -> None:
    """Class, reason, status, the provider's id and the cost of each attempt can be read, oldest first."""
    await queue(ledger, [task()])
    await fail(ledger, await send(ledger, task()), BUSY, RETRY, not_before=LATER)
    await fail(ledger, await send(ledger, task(), number=2), LOST, HELD)
    views = [view.as_json() async for page in ledger.attempts() for view in page]
    assert [
        (1, "failed", "transient", "busy", 500, "req-2", 0.0),
        (2, "failed", "unknown", "the answer was lost", 500, "req-2", 0.05),
    ] == [
        tuple(
            view[key] for key in ("number", "state", "class", "reason", "http_status", "request_id", "cost_usd")
        )
        for view in views
    ]
    (view,) = [view async for page in ledger.tasks() for view in page]
    assert ("held", "unknown", "the answer was lost", 2) == (
        view.state,
        view.failure_class,
        view.reason,
        view.attempts,
    )


async def test_a_model_that_is_gone_fails_its_unsent_tasks(ledger: Ledger) -> None:
    """Pending tasks of the model fail with the reason and without an attempt; the sent one and others stay."""
    mine = tasks(3)
    await queue(ledger, [*mine, task("other--01", position=9, model="dall-e-3")])
    await send(ledger, mine[0])
    assert 2 == await ledger.fail_unsent(RUN, "gpt-image-2", failure(FailureClass.MODEL, reason="retired"))
    assert {"t0--01": "sent", "t1--01": "failed", "t2--01": "failed", "other--01": "pending"} == await states(
        ledger
    )
    assert {("sent", ""): 1, ("failed", "model"): 2, ("pending", ""): 1} == await ledger.outcome(RUN)
    assert 1 == (await ledger.totals()).attempts


async def test_a_shape_that_is_not_accepted_fails_its_unsent_tasks(ledger: Ledger) -> None:
    """Of the same model only those fail that ask for the same beside the prompt; what a shape is, is told exactly."""
    big, small = {"size": "auto", "quality": "high"}, {"size": "1024x1024", "quality": "high"}
    mine = [task(f"b{n}--01", position=n, prompt=f"boat {n}", parameters=big) for n in range(3)]
    others = [
        task("size--01", position=3, parameters=small),
        task("more--01", position=4, parameters=big | {"background": "opaque"}),
        task("model--01", position=5, parameters=big, model="dall-e-3"),
        replace(mine[0], task_id="extra--01", position=6, request=replace(mine[0].request, extra={"seed": 1})),
    ]
    await queue(ledger, [*mine, *others])
    await queue(ledger, [task("tomorrow--01", position=7, parameters=big)], "r2")
    await send(ledger, mine[0])
    refused = failure(FailureClass.INVALID, reason="not sent: never accepted")
    assert 2 == await ledger.fail_unsent_shape(RUN, mine[0].request, refused)
    assert {"b1--01", "b2--01"} == {name for name, state in (await states(ledger)).items() if state == "failed"}
    assert 0 == await ledger.fail_unsent_shape(RUN, mine[0].request, refused)
    (view,) = [view async for page in ledger.tasks() for view in page if view.task_id == "b2--01"]
    assert ("invalid", "not sent: never accepted", 0) == (view.failure_class, view.reason, view.attempts)


# Time


async def test_the_slowest_of_the_last_images_is_known(ledger: SqliteLedger) -> None:
    """Over all runs and of these models alone; what failed, or is a hundred images ago, does not count."""
    assert 0.0 == await ledger.longest(["gpt-image-2"])
    durations = [("old", 500.0), *[(f"t{number}", 30.0 + number) for number in range(100)], ("other", 400.0)]
    for name, seconds in durations:
        model = "dall-e-3" if name == "other" else "gpt-image-2"
        one = task(f"{name}--01", prompt=name, model=model)
        await queue(ledger, [one])
        sent = await send(ledger, one, run_id=name)
        await ledger.stored(stored(sent), ended=MOMENT, seconds=seconds)
    lost = task("lost--01", prompt="lost")
    await queue(ledger, [lost])
    await ledger.failed(await send(ledger, lost), LOST, HELD, not_before=None, ended=MOMENT, seconds=600.0)
    assert 129.0 == await ledger.longest(["gpt-image-2"])
    assert 400.0 == await ledger.longest(["dall-e-3", "gpt-image-2"])
    assert 0.0 == await ledger.longest([])


async def test_an_open_link_keeps_its_own_request(ledger: Ledger) -> None:
    """Changed back while its link was still to be fetched: the image to come never stands for the older request."""
    older, newer = task(), task(prompt="A tin boat.")
    await queue(ledger, [older])
    await store(ledger, await send(ledger, older))
    await queue(ledger, [newer])
    await ledger.received((await send(ledger, newer)).attempt_id, LINK)
    await ledger.apply(RUN, [Planned(older, Change.KEPT, send=False)])
    (found,) = await ledger.unfinished()
    assert newer == found.attempt.task
    await store(ledger, found.attempt)
    await ledger.apply(RUN, [Planned(older, Change.KEPT, send=False)])
    (page,) = [views async for views in ledger.tasks()]
    assert [(older.fingerprint, "stored")] == [(view.fingerprint, view.state) for view in page]


async def test_a_lost_answer_belongs_to_what_was_asked_for(ledger: SqliteLedger) -> None:
    """An attempt stays open with its own request when its task wants another one; that one is not charged for it."""
    older, newer = task(), task(prompt="A tin boat.")
    await queue(ledger, [older])
    sent = await send(ledger, older)
    await queue(ledger, [newer])
    (found,) = await ledger.unfinished()
    assert (sent.attempt_id, older.fingerprint) == (found.attempt.attempt_id, found.attempt.task.fingerprint)
    assert (0, 1, 0.05) == (found.unknowns, found.resends_allowed, found.attempt.task.price.bound_usd)

    await fail(ledger, found.attempt, LOST, HELD)

    assert {"boat--01": "pending"} == await states(ledger)
    (due,) = await ledger.due(RUN, ["gpt-image-2"], LATER, 1)
    assert (newer, 0) == (due.task, due.unknowns)
    (one,) = await known(ledger, [older])
    assert 1 == one.earlier.lost


async def test_a_late_image_of_an_older_request_stores_no_newer_one(ledger: SqliteLedger) -> None:
    """It lies under the task's name until the task has its own, which is still to be bought."""
    older, newer = task(), task(prompt="A tin boat.")
    await queue(ledger, [older])
    await send(ledger, older)
    await queue(ledger, [newer])
    (found,) = await ledger.unfinished()
    await store(ledger, found.attempt)
    assert {"boat--01": "pending"} == await states(ledger)


async def test_an_attempt_without_a_task_is_open_too(ledger: SqliteLedger) -> None:
    """What a log tells of a prompt that left the manifest is settled like everything else."""
    told = Remembered("a-1", "gone--01", MOMENT, "f" * 64, 1, "k-1", True, 0.05, TaskState.SENT, None, None)
    assert 1 == await ledger.replay("r0", "r0", [told])
    (found,) = await ledger.unfinished()
    assert ("k-1", True) == (found.attempt.idempotency_key, found.attempt.possible_duplicate)
    assert ("a-1", "gone--01", "f" * 64) == (
        found.attempt.attempt_id,
        found.attempt.task.task_id,
        found.attempt.task.fingerprint,
    )
    await fail(ledger, found.attempt, LOST, HELD)
    assert [] == list(await ledger.unfinished())
    assert 0.05 == (await ledger.totals()).unknown_usd


async def test_links_are_waited_for_by_whoever_is_in_the_manifest(ledger: SqliteLedger) -> None:
    """Also where the task has an image, or the request another name; a removed prompt waits for nothing."""
    older, newer, removed = task(), task(prompt="A tin boat."), task("gone--01", prompt="Gone.")
    renamed = task("ship--01", prompt="A ship.")
    await bought(ledger, older)
    await queue(ledger, [newer, renamed, removed])
    for one in (newer, renamed, removed):
        await ledger.received((await send(ledger, one)).attempt_id, LINK)
    await ledger.stage([older, replace(as_renamed(renamed, "vessel--01"), position=1)])
    assert ["boat--01", "vessel--01"] == list(await ledger.open_links())


# Money


async def test_money_counts_settled_lost_and_open_alike(ledger: Ledger) -> None:
    """Against a budget count: stored images, what may have been paid for, and what is reserved right now."""
    one, two, three, four = tasks(4)
    await queue(ledger, [one, two, three, four])
    await store(ledger, await send(ledger, one))
    await fail(ledger, await send(ledger, two), LOST, HELD)
    await fail(ledger, await send(ledger, three), BUSY, FAILED)
    await send(ledger, four, run_id="r2")
    assert Totals(4, spent_usd=0.141, unknown_usd=0.05, images=1, images_usd=0.041) == await ledger.totals()
    assert Totals(1, spent_usd=0.05) == await ledger.totals("r2")


async def test_what_may_be_paid_twice_is_told(ledger: Ledger) -> None:
    """The cost of an image that was sent again after a lost answer counts as maybe paid twice."""
    await queue(ledger, [task()])
    await fail(ledger, await send(ledger, task()), LOST, SAME_KEY)
    again = attempt(task(), number=2, duplicate=True)
    await ledger.sent(again)
    await store(ledger, again)
    assert (
        Totals(2, spent_usd=0.091, unknown_usd=0.05, maybe_twice_usd=0.041, images=1, images_usd=0.041)
        == await ledger.totals()
    )


async def test_a_refusal_that_was_charged_counts(ledger: Ledger) -> None:
    """An answer without an image that was paid for costs what was reserved for it; one by the rules is free."""
    await queue(ledger, tasks(2))
    paid = failure(FailureClass.NO_IMAGE, paid=Paid.YES)
    await fail(ledger, await send(ledger, tasks(2)[0]), paid, FAILED)
    await fail(ledger, await send(ledger, tasks(2)[1]), failure(FailureClass.REFUSED), FAILED)
    assert Totals(2, spent_usd=0.05, useless_usd=0.05, refused=1) == await ledger.totals()


# Faults


async def test_a_lone_surrogate_harms_nobody(ledger: Ledger) -> None:
    """Text that is no Unicode, in a reason, an id or a link, is kept as its escape."""
    odd = replace(failure(FailureClass.INVALID, reason="no \ud800 way"), request_id="req-\udfff")
    await queue(ledger, tasks(2))
    first, second = [await send(ledger, one) for one in tasks(2)]
    await fail(ledger, first, odd, FAILED)
    await ledger.received(second.attempt_id, replace(LINK, url="https://x.example.com/\ud800"))
    views = [view async for page in ledger.attempts() for view in page]
    assert ("no \\ud800 way", "req-\\udfff") == (views[0].reason, views[0].request_id)
    assert {"t0--01": "failed", "t1--01": "received"} == await states(ledger)


async def test_runs_begin_and_end(ledger: Ledger) -> None:
    """A run is noted once; the same id again is refused, and leaves the ledger as it was."""
    run = RunRecord(RUN, "spring", "../spring.yaml", "cometapi", "api.cometapi.com", MOMENT)
    await ledger.begin_run(run)
    with pytest.raises(Exception, match="refused a change"):
        await ledger.begin_run(run)
    await ledger.end_run(RUN, LATER, "budget")
    assert Totals() == await ledger.totals()


async def test_a_ledger_without_runs_has_no_history(ledger: Ledger) -> None:
    """A report can be written of a job that never ran."""
    assert History() == await ledger.history(10)
