"""What `kato demo` shows: the manifest applied, the stream learned, the answers in a table, what to type next."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from threading import Event

from rich.table import Table
from rich.text import Text

from kato_cli.here import client
from kato_cli.lesson import Pupil, Question, questions
from kato_cli.stream import Sentence, sentences
from kato_cli.talk import text
from kato_cli.terminal import err, grid, out, progress, say
from kato_cli.verdicts import apply
from kato_client.answers import Prediction
from kato_operator.local.reconcile import Outcome
from kato_spec.errors import Rejected

_NODE = "demo"
_TTL_SECONDS = 600
Answers = list[Prediction | None]


def show(file: Path, count: int) -> None:
    """Do the whole demo with the first `count` sentences of the stream."""
    outcome = apply([str(file)])
    with ExitStack() as stack:
        pupils = _pupils(outcome, stack)
        with err().status("reading the standard library's docstrings ..."):
            stream = sentences(count)
        _teach(pupils, stream)
        asked = list(questions(stream))
        with err().status("asking ..."), ThreadPoolExecutor(len(pupils)) as pool:
            answers = list(pool.map(lambda pupil: _answers(pupil, asked), pupils))
    out().print(_table(pupils, asked, answers))
    _next_steps(pupils)


def _pupils(outcome: Outcome, stack: ExitStack) -> list[Pupil]:
    """Return the processors of the manifest, each with a session to learn in that ends with `stack`.

    All learn as the user of the declared session, so that this session shares what they know.
    """
    declared = {one.instance: (name, one) for name, one in outcome.sessions.items() if one.phase == "Active"}
    user = next((one.user_id for _, one in declared.values()), _NODE)
    pupils = []
    for processor in outcome.processors:
        _, kato = client(processor)
        stack.enter_context(kato)
        session = kato.create_session(user, ttl_seconds=_TTL_SECONDS, config={"process_predictions": False})
        stack.callback(kato.delete_session, session["session_id"])
        name, bound = declared.get(processor, ("", None))
        pupils.append(Pupil(processor, kato, session["session_id"], user, name, (bound and bound.session_id) or ""))
    if not pupils:
        raise Rejected("--file", "a manifest without a processor that runs", "one with a KatoProcessor")
    return pupils


def _teach(pupils: Sequence[Pupil], stream: Sequence[Sentence]) -> None:
    """Let every processor learn what it does not know yet, side by side; Ctrl-C ends it between two sentences."""
    stop = Event()
    with ThreadPoolExecutor(len(pupils)) as pool:
        with err().status("looking for what was learned before ..."):
            known = list(pool.map(lambda pupil: pupil.known(stream), pupils))
        began = time.monotonic()
        with progress() as bar:
            work = []
            for pupil, count in zip(pupils, known, strict=True):
                if count == len(stream):
                    continue
                task = bar.add_task(f"{pupil.processor} learns", total=len(stream), completed=count)
                work.append(pool.submit(pupil.learn, stream[count:], partial(bar.advance, task), stop.is_set))
            try:
                for one in work:
                    one.result()
            finally:
                stop.set()
    seconds = time.monotonic() - began
    for pupil, count in zip(pupils, known, strict=True):
        before = f"{count:,} were learned before" if count else "none was known before"
        rate = (
            f", {len(stream) - count:,} learned now in {seconds:.0f} s" if count < len(stream) else ", nothing to learn"
        )
        say(f"{pupil.processor}: {len(stream):,} sentences, {before}{rate}")


def _answers(pupil: Pupil, asked: Sequence[Question]) -> Answers:
    """Ask one processor everything; the declared session gets the first question that was learned."""
    first = pupil.declared_session and asked[0]
    return [pupil.expects(question.words, by_declared=question is first) for question in asked]


def _table(pupils: Sequence[Pupil], asked: Sequence[Question], answers: Sequence[Answers]) -> Table:
    table = grid(
        ["what was seen", "expected next", "similarity", "confidence", "says"], ("similarity", "confidence", "says")
    )
    for number, question in enumerate(asked):
        seen = (
            Text(" ".join(question.words))
            if question.learned
            else Text.assemble(" ".join(question.words), (" (never learned)", "dim"))
        )
        for pupil, given in zip(pupils, answers, strict=True):
            best = given[number]
            by = f"{pupil.processor}/{pupil.declared_name}" if number == 0 and pupil.declared_name else pupil.processor
            if best is None:
                table.add_row(seen, Text("nothing similar enough", "dim"), "-", "-", by)
            else:
                table.add_row(
                    seen, Text(text(best["future"])), f"{best['similarity']:.2f}", f"{best['confidence']:.2f}", by
                )
            seen = Text()
        table.add_section()
    return table


def _next_steps(pupils: Sequence[Pupil]) -> None:
    say("They go on running. Next:")
    say("  kato list")
    for pupil in pupils:
        if pupil.declared_session:
            say(f"  kato predict {pupil.processor} --session {pupil.declared_session}")
    say("  kato stop --all        (keeps what they learned)")
