"""What a figure was measured on: processor, cores, memory, interpreter, and the load at that moment."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import psutil


def described() -> str:
    """Return one line that names the machine and its present load."""
    memory = psutil.virtual_memory().total / 2**30
    load = os.getloadavg()[0]
    return (
        f"{processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, load {load:.2f}"
    )


def processor() -> str:
    """Return the processor's model name where the system tells it, else its architecture."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()
