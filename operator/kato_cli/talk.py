"""`kato observe`, `learn`, `predict` and `stm`: an instance's API from the shell (spec: cli.md)."""

from __future__ import annotations

import math
from typing import Annotated, TypeVar

import typer
from rich.text import Text

from kato_cli.here import client
from kato_cli.options import Output, Reference, Session, pairs
from kato_cli.place import Cluster, on_either
from kato_cli.terminal import dump, err, grid, notice, say, show
from kato_client.answers import Prediction

Value = TypeVar("Value", str, float)


@on_either
def observe(
    instance: Reference,
    symbols: Annotated[
        list[str] | None, typer.Argument(metavar="SYMBOL", help="The symbols of one event.", show_default=False)
    ] = None,
    session: Session = None,
    each: Annotated[bool, typer.Option("--each", help="Every symbol is an event of its own, in this order.")] = False,
    vector: Annotated[
        list[str] | None, typer.Option(metavar="N,N,...", help="A vector, its numbers separated by commas.")
    ] = None,
    emotive: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="An emotive and its value, such as joy=0.5.")
    ] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Metadata, such as source=book.")
    ] = None,
    there: Cluster | None = None,
    output: Output = None,
) -> None:
    """Observe one event: it joins the short-term memory."""
    strings = symbols or []
    if each and not strings:
        raise typer.BadParameter("--each needs the symbols to observe, one event each")
    if each and (vector or emotive or metadata):
        raise typer.BadParameter("--each is for symbols alone: leave out --vector, --emotive and --metadata")
    vectors = [[_number("--vector", part) for part in one.split(",")] for one in vector or []]
    emotives = {key: _number("--emotive", value) for key, value in pairs("--emotive", emotive)}
    events = [[symbol] for symbol in strings] if each else [strings]
    instance_id, kato = client(instance, there)
    with kato:
        for event in events:
            answer = kato.observe(
                event,
                session_id=session,
                vectors=vectors,
                emotives=emotives,
                metadata=dict(pairs("--metadata", metadata)),
            )
    if output:
        dump(answer, output)
        return
    learned = answer.get("auto_learned_pattern")
    say(
        f"{instance_id}: {_events(answer['stm_length'])} in short-term memory"
        + (f", learned {learned}" if learned else "")
    )


@on_either
def learn(
    instance: Reference,
    session: Session = None,
    there: Cluster | None = None,
    output: Output = None,
) -> None:
    """Learn the short-term memory as a pattern.

    The pattern is durable when this returns.
    """
    _, kato = client(instance, there)
    with kato:
        answer = kato.learn(session)
    if output:
        dump(answer, output)
    elif answer["pattern_name"]:
        say(answer["pattern_name"])
    else:
        notice(f"nothing learned: {answer['message']}")
        raise typer.Exit(1)


@on_either
def stm(
    instance: Reference,
    session: Session = None,
    there: Cluster | None = None,
    output: Output = None,
) -> None:
    """Show the short-term memory, an event a line."""
    instance_id, kato = client(instance, there)
    with kato:
        answer = kato.stm(session)
    if output:
        dump(answer, output)
        return
    for event in answer["stm"]:
        say(" ".join(event))
    if not answer["stm"]:
        notice(f"{instance_id}: the short-term memory is empty")


@on_either
def predict(
    instance: Reference,
    symbols: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SYMBOL",
            help="Ask about these events, one symbol each, instead of the short-term memory; needs --session.",
            show_default=False,
        ),
    ] = None,
    session: Session = None,
    max_predictions: Annotated[int | None, typer.Option(min=1, help="Most predictions to show.")] = None,
    recall_threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="Least similarity, for this question.")
    ] = None,
    rank_sort_algo: Annotated[str | None, typer.Option(help="The metric to rank by, for this question.")] = None,
    there: Cluster | None = None,
    output: Output = None,
) -> None:
    """Show what is expected next, best first."""
    if symbols and session is None:
        raise typer.BadParameter("symbols are asked about in a session: add --session, or observe them first")
    instance_id, kato = client(instance, there)
    with kato, err().status("asking ..."):
        answer = kato.predictions(
            session,
            stm=[[symbol] for symbol in symbols] if symbols else None,
            max_predictions=max_predictions,
            recall_threshold=recall_threshold,
            rank_sort_algo=rank_sort_algo,
        )
    if output:
        dump(answer, output)
    elif not answer["predictions"]:
        notice(f"{instance_id} recalls nothing: observe something it has learned, or lower --recall-threshold")
    else:
        _table(answer["predictions"])


def text(events: list[list[str]]) -> str:
    """Write events as a person reads them: symbols by spaces, events of several symbols in brackets."""
    return " ".join(event[0] if len(event) == 1 else f"[{' '.join(event)}]" for event in events)


def _table(predictions: list[Prediction]) -> None:
    numbers = ("similarity", "confidence", "potential", "frequency")
    table = grid(["expected next", *numbers, "matched"], numbers)
    for one in predictions:
        measures = [
            f"{one['similarity']:.2f}",
            f"{one['confidence']:.2f}",
            f"{one['potential']:.2f}",
            str(one["frequency"]),
        ]
        table.add_row(Text(text(one["future"]) or "(nothing: it ends here)"), *measures, Text(" ".join(one["matches"])))
    show(table)


def _events(count: int) -> str:
    return "1 event" if count == 1 else f"{count} events"


def _number(flag: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError as error:
        raise typer.BadParameter(f"{flag}: {text!r} is not a number") from error
    if not math.isfinite(number):
        raise typer.BadParameter(f"{flag}: {text!r} is not a finite number")
    return number
