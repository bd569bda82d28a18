"""`kato export` and `kato import`: a whole memory as one portable file of JSON Lines (spec: cli.md, service.md)."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from kato_cli.here import client
from kato_cli.options import Output, Reference
from kato_cli.place import Cluster, on_either
from kato_cli.terminal import dump, notice, progress
from kato_client import ApiError

_CHUNK = 256 * 1024
_IMPORT_SECONDS = 3600.0  # it answers when all is durable, which takes as long as the memory is large
File = Annotated[str, typer.Argument(metavar="FILE", help="The file, or - for the standard stream.")]


@on_either
def export(
    instance: Reference,
    file: File,
    user: Annotated[str | None, typer.Option("--user", "-u", help="Only this user's memory.")] = None,
    there: Cluster | None = None,
) -> None:
    """Write an instance's whole memory into one file.

    JSON Lines, the last of which has the digest of all before; the same memory gives the same bytes. The file appears
    when it is whole. The instance goes on serving, and what it learns meanwhile is not in the file.
    """
    instance_id, kato = client(instance, there)
    with kato, progress() as bar, _written_whole(file) as out:
        task = bar.add_task(f"exporting {instance_id}", total=None)
        head, lines = b"", 0
        for chunk in kato.export(user):
            out.write(chunk)
            head = head if lines else head + chunk
            lines += chunk.count(b"\n")
            if lines:
                patterns = int(json.loads(head.partition(b"\n")[0])["patterns"])
                bar.update(task, total=patterns, completed=min(lines, patterns))
        bar.update(task, completed=patterns)
    notice(f"{patterns:,} patterns of {instance_id} written to {'standard output' if file == '-' else file}")


@on_either
def import_memory(
    instance: Reference,
    file: File,
    merge: Annotated[
        bool, typer.Option("--merge", help="Add to a memory that holds something already: frequencies add up.")
    ] = False,
    user: Annotated[str | None, typer.Option("--user", "-u", help="Whose it becomes; left out: whose it was.")] = None,
    there: Cluster | None = None,
    output: Output = None,
) -> None:
    """Take a file of `kato export` into an instance.

    All of it is checked first: a damaged file is refused with the line, and changes nothing. What was taken in is
    durable when this returns.
    """
    with _opened(file) as (source, size):
        instance_id, kato = client(instance, there, timeout=_IMPORT_SECONDS)
        with kato, progress() as bar:
            task = bar.add_task(f"sending to {instance_id}", total=size)

            def lines() -> Iterable[bytes]:
                if source.seekable():
                    source.seek(0)
                bar.update(task, completed=0)
                return _counted(source, lambda count: bar.update(task, advance=count))

            try:
                answer = kato.import_memory(lines, node_id=user, merge=merge)
            except ApiError as error:
                if error.code == "MEMORY_NOT_EMPTY":
                    raise ApiError(error.status, error.code, f"{error.message}: add --merge", error.detail) from error
                raise
    if output:
        dump(answer, output)
    else:
        notice(f"{answer['patterns']:,} patterns taken into {instance_id}")


@contextmanager
def _written_whole(file: str) -> Iterator[BinaryIO]:
    """Give what to write into; the file stands in its place only when the block ends without an error."""
    if file == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    draft = Path(f"{file}.{os.getpid()}.part")
    try:
        with draft.open("xb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _opened(file: str) -> Iterator[tuple[BinaryIO, int | None]]:
    """Give what to read from, and its size where that is known."""
    if file == "-":
        yield sys.stdin.buffer, None
        return
    with Path(file).open("rb") as source:
        yield source, os.fstat(source.fileno()).st_size


def _counted(source: BinaryIO, advance: Callable[[int], object]) -> Iterable[bytes]:
    while chunk := source.read(_CHUNK):
        yield chunk
        advance(len(chunk))
