"""A terminal for tests: a real pty for a command, and what a person would see of what it wrote."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from unicodedata import combining, east_asian_width

from tests.support.cli import BATCHGEN, WAIT_S, Desk

_TAKE_TERMINAL = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGINT, signal.SIG_DFL)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Ctrl-C reaches whoever has the terminal, also where the tests run in the background of a script, which ignores it."""

_FRAME = re.compile(r"((?:[^\x1b\r\n]*\x1b\[K\r\n)+[^\x1b\r\n]*)\x1b\[K\x1b\[J")
_LOOK = re.compile(r"\x1b\[[0-9;]*[mA]")
_PIECE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|(\r)|(\n)|([^\x1b\r\n])", re.DOTALL)


@dataclass
class Screen:
    """Rows as a terminal of so many columns shows them, scrolled ones included. Knows what batchgen may send.

    Anything else fails. `cursor` is where the next character goes; `visible` whether it is shown.
    """

    columns: int
    rows: list[list[str]] = field(default_factory=lambda: [[]])
    row: int = 0
    column: int = 0
    visible: bool = True
    colours: bool = False
    wrapped: int = 0

    def feed(self, text: str) -> None:
        """Take in what was written."""
        end = 0
        for found in _PIECE.finditer(text):
            assert end == found.start(), f"not known: {text[end : found.start()]!r}"
            end = found.end()
            arguments, command, back, down, character = found.groups()
            if command:
                self._obey(arguments, command)
            elif back:
                self.column = 0
            elif down:
                self._down()
            else:
                self._put(character)
        assert end == len(text), f"not known: {text[end:]!r}"

    def _obey(self, arguments: str, command: str) -> None:
        match command:
            case "A":
                assert int(arguments or 1) <= self.row, "above the first row"
                self.row -= int(arguments or 1)
            case "K" if not arguments:
                del self.rows[self.row][self.column :]
            case "J" if not arguments:
                del self.rows[self.row][self.column :], self.rows[self.row + 1 :]
            case "m":
                self.colours = True
            case "h" | "l" if arguments == "?25":
                self.visible = command == "h"
            case _:
                raise AssertionError(f"not known: {arguments}{command}")

    def _down(self) -> None:
        self.row += 1
        if self.row == len(self.rows):
            self.rows.append([])

    def _put(self, character: str) -> None:
        width = 0 if combining(character) else 2 if east_asian_width(character) in "WF" else 1
        if self.column + width > self.columns:
            self.wrapped += 1
            self._down()
            self.column = 0
        line = self.rows[self.row]
        line.extend(" " * (self.column - len(line)))
        if width:
            line[self.column : self.column + width] = [character, *[""] * (width - 1)]
        self.column += width

    @property
    def lines(self) -> list[str]:
        """The rows as text, without empty ones at the end."""
        shown = ["".join(row).rstrip() for row in self.rows]
        while shown and not shown[-1]:
            shown.pop()
        return shown


@dataclass
class Terminal:
    """A command on a pty of its own; `written` is all that it wrote, a piece for each time it was read."""

    process: subprocess.Popen[bytes]
    control: int
    columns: int
    written: list[str] = field(default_factory=list)

    def screen(self) -> Screen:
        """What is seen now."""
        screen = Screen(self.columns)
        screen.feed("".join(self.written).replace("\r\n", "\n\r"))
        return screen

    def until(self, words: str) -> Screen:
        """Wait until some words are on the screen."""
        ends = time.monotonic() + WAIT_S
        while True:
            screen = self.screen()
            if any(words in line for line in screen.lines):
                return screen
            assert time.monotonic() < ends, f"never seen: {words!r} in {screen.lines}"
            assert self.process.poll() is None, screen.lines
            time.sleep(0.005)

    def frames(self) -> list[list[str]]:
        """The lines of each frame of a live part, without colours."""
        whole = _LOOK.sub("", "".join(self.written))
        return [found.split("\x1b[K\r\n") for found in _FRAME.findall(whole)]

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.control, text.encode())

    def resize(self, columns: int, rows: int = 24) -> None:
        """Change the window's size."""
        self.columns = columns
        fcntl.ioctl(self.control, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def done(self) -> tuple[int, Screen]:
        """Wait for the end; its exit code and the last screen."""
        return self.process.wait(timeout=WAIT_S), self.screen()


def _read(terminal: Terminal) -> None:
    pending = b""
    while True:
        try:
            data = os.read(terminal.control, 65536)
        except OSError as error:
            if error.errno in {errno.EIO, errno.EBADF}:  # the other end is closed
                return
            raise
        if not data:
            return
        pending += data
        try:
            terminal.written.append(pending.decode())
            pending = b""
        except UnicodeDecodeError:
            pass  # the rest of the character is still to come


@contextmanager
def on_terminal(
    desk: Desk, *words: str, columns: int = 80, rows: int = 24, environ: Mapping[str, str] | None = None
) -> Iterator[Terminal]:
    """`batchgen` with some words on a terminal of its own, gone afterwards."""
    control, end = pty.openpty()
    process = None
    try:
        fcntl.ioctl(control, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        process = subprocess.Popen(
            [sys.executable, "-ISc", _TAKE_TERMINAL, *BATCHGEN, *words],
            cwd=desk.folder,
            env=desk.environ | {"TERM": "xterm-256color"} | dict(environ or {}),
            stdin=end,
            stdout=end,
            stderr=end,
            start_new_session=True,
        )
        os.close(end)
        terminal = Terminal(process, control, columns)
        reader = threading.Thread(target=_read, args=(terminal,), daemon=True)
        reader.start()
        terminal.done = _after(reader, terminal.done)  # type: ignore[method-assign]  # the rest of its output is read as well
        yield terminal
    finally:
        if process is not None:
            process.kill()
            process.wait()
        os.close(control)


def _after(
    reader: threading.Thread, done: Callable[[], tuple[int, Screen]]
) -> Callable[[], tuple[int, Screen]]:
    def whole() -> tuple[int, Screen]:
        done()
        reader.join(timeout=WAIT_S)
        return done()

    return whole
