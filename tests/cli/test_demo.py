"""`kato demo` end to end, on fewer sentences: the main job, and all that a second run finds."""

from __future__ import annotations

import re
import signal

from kato_operator.local import processes
from tests.support.cli import QUICKSTART, Kato
from tests.support.eventually import eventually

FILE = ["--file", str(QUICKSTART)]


def rows(out: str) -> list[str]:
    """Return the lines of the table that say which processor answered."""
    return [line for line in map(str.rstrip, out.splitlines()) if re.search(r" (broad|broad/reader|strict)$", line)]


def test_the_demo_twice_and_once_more_with_more_to_learn(kato: Kato) -> None:
    first = kato("demo", *FILE, "--sentences", "60")
    assert "broad: 60 sentences, none was known before, 60 learned now in" in first.out
    assert "strict: 60 sentences, none was known before, 60 learned now in" in first.out
    assert "60/60" in first.err
    table = rows(first.out)
    assert [line.split()[-1] for line in table] == ["broad/reader", "strict"] + ["broad", "strict"] * 3
    known, unseen = table[:6], table[6:]
    assert all(re.search(r" 0\.[67]\d +1\.00 +\S+$", line) for line in known), first.out
    assert "nothing similar enough" in unseen[1]
    pids = {key: entry["pid"] for key, entry in kato.registry().items()}

    second = kato("demo", *FILE, "--sentences", "60")
    assert second.out.count("60 sentences, 60 were learned before, nothing to learn") == 2
    assert second.out.count(" unchanged (") == 3
    assert rows(second.out) == table
    assert {key: entry["pid"] for key, entry in kato.registry().items()} == pids

    more = kato("demo", *FILE, "--sentences", "70")
    assert more.out.count("70 sentences, 60 were learned before, 10 learned now in") == 2
    listed = kato.json("list")["instances"]
    assert {key: entry["patterns"] for key, entry in listed.items()} == {"broad": 70, "strict": 70}
    assert {key: entry["sessions"] for key, entry in listed.items()} == {"broad": 1, "strict": 0}

    advice = re.search(r"kato (predict broad --session \S+)\n", more.out)
    assert advice
    assert "expected next" in kato(*advice[1].split()).out
    assert kato("stop", "--all").out.count("stopped") == 2


def test_a_demo_that_is_interrupted_goes_on_where_it_was(kato: Kato) -> None:
    kato("apply", "-f", str(QUICKSTART))
    running = kato.begin("demo", *FILE, "--sentences", "3000")
    eventually(lambda: (kato.json("list")["instances"]["strict"]["patterns"] or 0) > 5, timeout=120)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate()
    assert running.returncode in {130, -signal.SIGINT}, out + err
    assert "Traceback" not in err
    learned = {key: entry["patterns"] for key, entry in kato.json("list")["instances"].items()}
    assert all(0 < count < 3000 for count in learned.values())
    again = kato("demo", *FILE, "--sentences", str(max(learned.values())))
    for processor, count in learned.items():
        assert f"{processor}: {max(learned.values()):,} sentences, {count:,} were learned before" in again.out
    assert len(list(processes.discover(kato.home))) == 2
