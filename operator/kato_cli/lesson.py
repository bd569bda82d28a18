"""What the demo does with a processor: teach it sentences, then ask it how one goes on. Public API only.

Called by `demo`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from kato_cli.stream import Sentence
from kato_client import ApiError, KatoClient
from kato_client.answers import Prediction
from kato_service.engine.model import Events
from kato_service.engine.naming import pattern_name

HALVES = 3
# No docstring says this; every word of it is in many of them.
UNSEEN: Sentence = ("return", "the", "name", "of", "the", "file", "that", "was", "opened", "by", "the", "user")


@dataclass(frozen=True, slots=True)
class Pupil:
    """One processor: a client of it, a session to learn and ask in, and a session that a manifest declares, if any."""

    processor: str
    kato: KatoClient
    session: str
    user: str
    declared_name: str = ""
    declared_session: str = ""

    def known(self, sentences: Sequence[Sentence]) -> int:
        """Return how many of the sentences it learned before; they are always learned in order."""
        return bisect_left(sentences, True, key=lambda sentence: not self._knows(sentence))

    def learn(self, sentences: Sequence[Sentence], advance: Callable[[], None], stopped: Callable[[], bool]) -> None:
        """Learn the sentences in order, a word an event; each is durable when `advance` is called for it."""
        for sentence in sentences:
            if stopped():
                return
            self.kato.observe_sequence(events(sentence), session_id=self.session, learn_at_end=True)
            advance()

    def expects(self, words: Sentence, *, by_declared: bool) -> Prediction | None:
        """Return the best prediction that has a future, if any; the declared session keeps the words."""
        if by_declared:
            self.kato.clear_stm(self.declared_session)
            self.kato.observe_sequence(events(words), session_id=self.declared_session)
            answer = self.kato.predictions(self.declared_session)
        else:
            answer = self.kato.predictions(self.session, stm=events(words))
        return next((one for one in answer["predictions"] if one["future"]), None)

    def _knows(self, sentence: Sentence) -> bool:
        """Say whether it has a pattern of this sentence; its name follows from the words alone."""
        try:
            self.kato.pattern(pattern_name(events(sentence)), node_id=self.user)
        except ApiError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return False
        return True


@dataclass(frozen=True, slots=True)
class Question:
    """The words that are shown, and whether a learned sentence begins with them."""

    words: Sentence
    learned: bool


def questions(sentences: Sequence[Sentence]) -> Iterator[Question]:
    """Yield the first halves of some sentences, spread over the stream, and one sentence that is not in it."""
    for number in range(1, HALVES + 1):
        later = sentences[len(sentences) * number // (HALVES + 1) :]
        chosen = next((one for one in later if len(one) >= 8), later[0])
        yield Question(chosen[: len(chosen) // 2], learned=True)
    yield Question(UNSEEN, learned=UNSEEN in sentences)


def events(words: Sentence) -> Events:
    """Make each word an event of its own."""
    return tuple((word,) for word in words)
