"""What can go wrong between a client and the service: one tree, three leaves.

Raised by the clients alone; callers catch `KatoClientError`, or one of its kinds.
"""

from __future__ import annotations

from typing import Any


class KatoClientError(Exception):
    """Base of every error of this client."""


class Unreachable(KatoClientError):
    """No answer came: nobody listens there, or the answer took too long."""


class DamagedExport(KatoClientError):
    """An exported memory was cut off or changed on its way."""


class ApiError(KatoClientError):
    """The service refused. `status` is HTTP's, `code` the service's word for it (service.md, "Errors").

    `detail` is a text, or the object that the service explains itself with.
    """

    def __init__(self, status: int, code: str, message: str, detail: Any) -> None:  # noqa: ANN401 - any JSON value
        super().__init__(f"{message} (HTTP {status}, {code})")
        self.status = status
        self.code = code
        self.message = message
        self.detail = detail
