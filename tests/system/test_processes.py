"""Whether a process has ended, told by its number and its machine."""

from __future__ import annotations

import subprocess
import sys

from batchgen.core.values import replace
from batchgen.system.processes import Process


def test_one_of_this_machine_is_known_to_be_over_and_can_be_ended() -> None:
    """Also while nobody has asked how it ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        one = replace(Process.own(), number=child.pid)
        assert not one.is_over()
        assert one.end()
        while not one.is_over():  # the kernel takes a moment
            assert child.returncode is None
        child.wait()
        assert one.is_over()


def test_of_another_machine_nothing_is_known() -> None:
    """Neither that it is over, nor can it be ended."""
    for machine in ("", "elsewhere"):
        other = Process(machine, Process.own().number)
        assert (False, False) == (other.is_over(), other.end())
