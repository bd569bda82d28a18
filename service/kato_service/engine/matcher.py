"""The matcher that serves: the fast one where it was built, the plain one elsewhere.

Called by the composition root for each KB. Both give the same bytes (matcher.md, "Shape"), so nothing else has to know
which one it got; `/status` shows its `kind`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from kato_service.engine.model import Matcher
from kato_service.engine.oracle import OracleMatcher

_makers: list[Callable[[], Matcher]] = [OracleMatcher]
with suppress(ModuleNotFoundError):  # installed without cargo: the extension is optional
    from kato_service.engine.rust import RustMatcher

    _makers.append(RustMatcher)


def new_matcher() -> Matcher:
    """Return an empty KB: `kind` is "rust" where the extension is installed and "oracle" where it is not."""
    return _makers[-1]()
