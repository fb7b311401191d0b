"""Processes of this machine and of others: whether one is over."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_BOOT, _NAMESPACE = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
_OVER = frozenset("ZX")


@dataclass(frozen=True, slots=True)
class Process:
    """One by its number and the machine (or container) that counts it, "" where that cannot be told."""

    machine: str
    number: int

    @classmethod
    def own(cls) -> Self:
        """The one that asks."""
        return cls(_machine(), os.getpid())

    def is_over(self) -> bool:
        """Whether it has surely ended; of another machine's nobody here can tell."""
        if not self.machine or self.machine != _machine():
            return False
        try:
            stat = Path(f"/proc/{self.number}/stat").read_text(errors="replace")
        except OSError:
            return True
        return stat.rpartition(")")[2].split()[0] in _OVER

    def end(self) -> bool:
        """Kill one of this machine, and whether that could be done."""
        if not self.machine or self.machine != _machine():
            return False
        try:
            os.kill(self.number, signal.SIGKILL)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return True


def _machine() -> str:
    try:
        return f"{_BOOT.read_text().strip()} {_NAMESPACE.stat().st_ino}"
    except OSError:
        return ""
