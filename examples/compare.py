"""Two instances on one stream: teach both the same lines, ask both how each line goes on, print the answers beside.

python examples/compare.py URL_A URL_B < stream.txt
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from kato_client import KatoClient


def teach(kato: KatoClient, lines: Sequence[Sequence[str]]) -> str:
    """Learn every line, a word an event; return the session that did."""
    session = kato.create_session("compare")["session_id"]
    for words in lines:
        kato.observe_sequence([[word] for word in words], session_id=session, learn_at_end=True)
    return session


def ask(kato: KatoClient, session: str, words: Sequence[str]) -> str:
    """Return the best answer to how these words go on, and how many there were."""
    found = kato.predictions(session, stm=[[word] for word in words])["predictions"]
    futures = [" ".join(event[0] for event in one["future"]) for one in found if one["future"]]
    return f"{futures[0]} (of {len(futures)})" if futures else "nothing"


def main() -> None:
    """Compare the instances at the two addresses that the command line names."""
    lines = [line.split() for line in sys.stdin if len(line.split()) > 1]
    with KatoClient(sys.argv[1]) as first, KatoClient(sys.argv[2]) as second:
        pair = [(kato, teach(kato, lines)) for kato in (first, second)]
        names = [f"{kato.ping()['id']} expects" for kato, _ in pair]
        print(f"{'seen':<12} {names[0]:<24} {names[1]}")
        same = 0
        beginnings = sorted({tuple(words[: len(words) // 2]) for words in lines})
        for words in beginnings:
            answers = [ask(kato, session, words) for kato, session in pair]
            same += answers[0] == answers[1]
            print(f"{' '.join(words):<12} {answers[0]:<24} {answers[1]}")
        print(f"{same} of {len(beginnings)} answers are the same")


if __name__ == "__main__":
    main()
