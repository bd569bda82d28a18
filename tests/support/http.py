"""httpx for the plain HTTP that tests speak: for TLS a client reads the machine's certificates, 60 ms of CPU each."""

from __future__ import annotations

from functools import partial
from typing import Final

import httpx

TIMEOUT: Final = 60.0  # seconds: httpx's own 5 are short on a busy machine
get: Final = partial(httpx.get, verify=False, timeout=TIMEOUT)
post: Final = partial(httpx.post, verify=False, timeout=TIMEOUT)
put: Final = partial(httpx.put, verify=False, timeout=TIMEOUT)
Client: Final = partial(httpx.Client, verify=False, timeout=TIMEOUT)
AsyncClient: Final = partial(httpx.AsyncClient, verify=False, timeout=TIMEOUT)
