"""Types of the fixtures that start real programs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

Spawn = Callable[..., subprocess.Popen[bytes]]
