"""What a report says of the run before, from a real ledger: what is new, replaced, made at last and broken since."""

from __future__ import annotations

from tests.reports.test_gallery import Page
from tests.support.cli import Desk
from tests.support.paid import Till, refuse

pytest_plugins = ("tests.support.fixtures",)


def test_what_changed_since_the_run_before(desk: Desk, till: Till) -> None:
    """Each task of the second run says what it brought; the replaced image stands beside the new one."""
    boat, mug = {"id": "boat", "prompt": "A boat."}, {"id": "mug", "prompt": "A mug."}
    tree, cat = {"id": "tree", "prompt": "A tree."}, {"id": "cat", "prompt": "A cat."}
    desk.manifest([boat, mug, tree, cat])
    till.script(refuse("mug"), refuse("cat"))
    desk.run(expect=1)
    first = Page(desk.job / "index.html")
    assert ["new", "newly failed", "new", "newly failed"] == [task["change"] for task in first.tasks]
    assert "This was the first run: everything is new." in first.text

    till.script(refuse("cat"), refuse("dog"))
    desk.manifest([{**boat, "prompt": "A red boat."}, mug, tree, cat, {"id": "dog", "prompt": "A dog."}, {"id": "sun", "prompt": "A sun."}])  # fmt: skip
    desk.json("retry", "job.yaml", "--class", "refused", expect=1)
    page = Page(desk.job / "index.html")

    assert {
        "boat--01": "replaced",
        "mug--01": "made after trouble",
        "tree--01": "",
        "cat--01": "failed again",
        "dog--01": "newly failed",
        "sun--01": "new",
    } == {task["id"]: task["change"] for task in page.tasks}
    (old,) = (desk.job / "superseded").glob("boat--01.*.png")
    assert f"superseded/{old.name}" in str(page.data)
    assert {"1 new", "1 replaced", "1 made after trouble", "1 failed again", "1 newly failed"} <= set(
        page.texts
    )
