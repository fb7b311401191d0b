"""The command's own words for people: lines on stderr, or log records where `--log json` asks for them."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import click

from batchgen.core.events import Event, Notice
from batchgen.core.plain import safe_text
from batchgen.job import Options
from batchgen.providers.endpoint import Secret
from batchgen.providers.masking import Mask
from batchgen.reports.logs import TREE, json_handler, json_to

_COMMAND = logging.getLogger(f"{TREE}.command")


def put(text: str, *, err: bool = True) -> None:
    """Write a line of a run. Never raises: a closed pipe or a full disk behind it must not end what spends money.

    A stream that breaks is no longer written to.
    """
    try:
        click.echo(text, err=err)
    except (OSError, ValueError) as error:
        if not err:
            put(f"standard output takes nothing more ({error})")
        with suppress(OSError, ValueError):  # what it still holds would fail once more when the process ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), (sys.stderr if err else sys.stdout).fileno())


def say(text: str, level: int = logging.ERROR) -> None:
    """Tell people something, on whatever they read."""
    if json_handler() is None:
        put(text)
    else:
        _COMMAND.log(level, "%s", text)


def note(text: str) -> None:
    """Tell people something that fails nothing."""
    say(text if json_handler() is not None else f"note: {text}", logging.WARNING)


def tell_notice(event: Event) -> None:
    """An observer for who is only told what fails nothing."""
    if isinstance(event, Notice):
        note(safe_text(event.message))


def hide_of(options: Options) -> Callable[[str], str]:
    """Takes the keys that these options may use out of a text."""
    names = {name for settings in options.config.providers.values() for name in settings.key_env}
    masks = [Mask(Secret(options.environ.get(name, ""))) for name in sorted(names)]

    def hide(text: str) -> str:
        for mask in masks:
            text = mask.text(text)
        return text

    return hide


def begin_log(context: click.Context, _: click.Parameter, kind: str | None) -> str | None:
    """Begin with JSON lines as soon as `--log json` is read, so that a broken configuration is told in one too."""
    if kind == "json" and json_handler() is None:
        handler = json_to(sys.stderr, logging.INFO)
        handler.hides(Mask(Secret("")).text)
        context.find_root().call_on_close(lambda: logging.getLogger().removeHandler(handler))
    return kind


def begin(options: Options, values: dict[str, Any]) -> None:
    """Settle how much is logged: `--quiet` leaves warnings, `--verbose` adds every request. Keys never are."""
    handler = json_handler()
    if handler is not None:
        level = logging.WARNING if values["quiet"] else logging.DEBUG if values["verbose"] else logging.INFO
        logging.getLogger(TREE).setLevel(level)
        handler.hides(hide_of(options))
