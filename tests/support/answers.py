"""What a service owes its callers while a store cannot be reached: an answer soon, and the advice to come again.

Used by the tests of stores that are away and of databases that others hold.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import httpx

from tests.support.eventually import Deadline

ANSWER: Final = 2.0  # seconds in which an answer comes, as promised


def promptly(call: Callable[[], httpx.Response]) -> httpx.Response:
    """Return the answer, which comes as soon as is promised; how long the call hangs is for its client to say."""
    deadline = Deadline(ANSWER, ANSWER)
    answer = call()
    if deadline.over():
        raise deadline.failure(answer.status_code)
    return answer


def asked_to_come_again(answer: httpx.Response) -> None:
    """See that a store was away, and that the answer says when to ask again."""
    assert answer.status_code == 503, answer.text
    assert answer.json()["error"]["code"] == "STORE_UNAVAILABLE"
    assert int(answer.headers["retry-after"]) >= 1
