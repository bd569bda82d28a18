"""httpx for the plain HTTP that tests speak: for TLS a client reads the machine's certificates, 60 ms of CPU each."""

from __future__ import annotations

from functools import partial
from typing import Final

import httpx

get: Final = partial(httpx.get, verify=False)
post: Final = partial(httpx.post, verify=False)
put: Final = partial(httpx.put, verify=False)
Client: Final = partial(httpx.Client, verify=False)
AsyncClient: Final = partial(httpx.AsyncClient, verify=False)
