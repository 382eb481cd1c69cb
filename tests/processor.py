"""What a process has had of the processor, and what others took of this machine's."""

from __future__ import annotations

import os
from pathlib import Path


def cpu_s(pid: int) -> float:
    """Seconds of processor a process has had, all its threads, those of its kernel included."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Stolen:
    """How much of the processors' time the machine below gave to others since this was made."""

    def __init__(self) -> None:
        self._since = _ticks()

    def share(self) -> float:
        """Of the time that something here wanted a processor, the share it had to wait for one that was not ours."""
        busy, stolen = (now - then for now, then in zip(_ticks(), self._since, strict=True))
        return stolen / max(1, busy + stolen)


def _ticks() -> tuple[int, int]:
    """Ticks something ran, and ticks stolen, of all processors (proc(5), /proc/stat)."""
    # user nice system idle iowait irq softirq steal
    fields = [int(n) for n in Path("/proc/stat").read_text("ascii").splitlines()[0].split()[1:9]]
    return fields[0] + fields[1] + fields[2] + fields[5] + fields[6], fields[7]
