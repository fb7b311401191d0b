"""What is large is held by one task at a time, until the outermost block that kept the turn is over."""

from __future__ import annotations

import anyio
import pytest

from batchgen.system.turns import Turn, forget_frames, turns_kept

pytestmark = pytest.mark.anyio


async def test_turns_are_had_in_order_and_until_the_outer_block_ends() -> None:
    """The inner block of who receives does not end what the outer block of who stores still needs."""
    turn, heard = Turn(), []

    async def one(name: str) -> None:
        with turns_kept():
            with turns_kept():
                await turn.take()
                await turn.take()
            assert turn.had
            heard.append(f"{name} begins")
            await anyio.lowlevel.checkpoint()
            heard.append(f"{name} ends")
        assert not turn.had

    async with anyio.create_task_group() as group:
        for name in "abc":
            group.start_soon(one, name)

    assert [f"{name} {what}" for name in "abc" for what in ("begins", "ends")] == heard
    assert not turn.wanted


async def test_a_turn_survives_who_is_cancelled_and_who_fails() -> None:
    """Cancelled while it waits, or failed while it is had: the next one gets it."""
    turn = Turn()
    with pytest.raises(ValueError, match="mine"), turns_kept():
        await turn.take()
        async with anyio.create_task_group() as group:
            group.start_soon(_wait_for, turn)
            await anyio.wait_all_tasks_blocked()
            assert turn.wanted
            group.cancel_scope.cancel()
        raise ValueError("mine")

    with anyio.fail_after(5), turns_kept():
        await turn.take()


async def _wait_for(turn: Turn) -> None:
    with turns_kept():
        await turn.take()


async def test_a_turn_can_be_given_back_early() -> None:
    """Who is done with it before the block ends lets the next one in, and giving it back twice is harmless."""
    turn = Turn()
    with turns_kept():
        await turn.take()
        turn.give_back()
        turn.give_back()
        assert not turn.had
        async with anyio.create_task_group() as group:
            group.start_soon(_wait_for, turn)


def test_an_error_lets_go_of_what_it_passed_through() -> None:
    """Causes are kept with their words, without the frames that hold megabytes."""
    with pytest.raises(ValueError, match="outer") as caught:
        _fail()
    error = caught.value

    forget_frames(error)

    assert error.__traceback__ is None
    assert isinstance(error.__cause__, ValueError)
    assert error.__cause__.__traceback__ is None


def _fail() -> None:
    try:
        int("inner")
    except ValueError as error:
        raise ValueError("outer") from error
