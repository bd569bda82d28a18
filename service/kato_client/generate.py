"""`python -m kato_client.generate [--check]`: make the synchronous client from the asynchronous one.

Called by `make generate` and, with --check, by `make check`: two clients by hand would drift apart.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

SOURCE = Path(__file__).with_name("aio.py")
TARGET = Path(__file__).with_name("client.py")
HEAD = '''"""The synchronous client: one method per call of the service's API.

Used by the `kato` command line and by programs (spec: service.md, "Endpoints"). Generated from `aio` by
`make generate`; never edited.
"""
'''
WORDS = (
    ("import asyncio\nimport ssl\n", "import ssl\nimport time\n"),
    (
        "from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping, Sequence\n",
        "from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence\n",
    ),
    ("async def ", "def "),
    ("async with ", "with "),
    ("async for ", "for "),
    ("await ", ""),
    ("asyncio.sleep", "time.sleep"),
    ("Awaitable[None]", "None"),
    ("httpx.AsyncClient", "httpx.Client"),
    ("AsyncKatoClient", "KatoClient"),
    ("AsyncIterator", "Iterator"),
    ("AsyncIterable", "Iterable"),
    ("__aenter__", "__enter__"),
    ("__aexit__", "__exit__"),
    ("aclose()", "close()"),
    ("aread()", "read()"),
    ("aiter_bytes()", "iter_bytes()"),
)


def synchronous(source: str) -> str:
    """Return the synchronous client of the asynchronous one's source."""
    _, _, body = source.partition('"""\n\nfrom __future__')
    text = f"{HEAD}\nfrom __future__{body}"
    for asynchronous, plain in WORDS:
        text = text.replace(asynchronous, plain)
    return text


def main(arguments: Sequence[str]) -> int:
    """Run the program; return its exit code, 1 when --check finds the client outdated."""
    wanted = synchronous(SOURCE.read_text("utf-8"))
    if TARGET.is_file() and TARGET.read_text("utf-8") == wanted:
        return 0
    if "--check" in arguments:
        sys.stderr.write(f"{TARGET} is not what {SOURCE.name} makes it; run `make generate`\n")
        return 1
    TARGET.write_text(wanted, "utf-8")
    sys.stdout.write(f"{TARGET} written\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
