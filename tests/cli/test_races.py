"""What happens at the same time: ten starts, and a stop in the midst of learning."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from itertools import count

import httpx
import pytest

from kato_operator.local import processes
from kato_operator.local.processes import Identity
from tests.support import http
from tests.support.cli import Kato, Ran
from tests.support.starters import start_at_once

STARTS = 10
NAMED = [["--id", f"p{number}"] for number in range(STARTS // 2)]
RACING: list[list[str]] = [*NAMED, *([[]] * (STARTS - len(NAMED)))]  # the others without any argument


def check(kato: Kato, ended: Sequence[Ran]) -> None:
    """Check what the starts of `RACING` got, and stop them."""
    assert [(ran.code, ran.err) for ran in ended] == [(0, "")] * STARTS
    listed = kato.json("list")["instances"]
    assert listed.keys() == kato.registry().keys()
    assert {entry["status"] for entry in listed.values()} == {"running"}
    ports = [port for entry in listed.values() for port in (entry["api_port"], entry["internal_port"])]
    assert len({*ports}) == len(ports) == 2 * STARTS
    assert sum(re.fullmatch(r"kato-\d+-\d+", key) is not None for key in listed) == STARTS - len(NAMED)
    for instance_id, entry in listed.items():
        assert http.get(f"{entry['url']}/ping").json()["id"] == instance_id
    kato("stop", "--all")
    assert kato.registry() == {}
    assert list(processes.discover(kato.home)) == []


def test_ten_racing_starts_get_ten_ports(kato: Kato) -> None:
    racing = [kato.begin("start", *words) for words in RACING]
    check(kato, [Ran(0, *process.communicate()) for process in racing])
    assert {process.returncode for process in racing} == {0}


# Each a test of its own, so that two workers share them and a long run shows how far it is.
@pytest.mark.long
@pytest.mark.parametrize("_", range(50))
def test_fifty_times_ten_racing_starts_get_ten_ports(kato: Kato, _: int) -> None:
    check(kato, start_at_once(kato, RACING))


def test_a_stop_in_the_midst_of_learning_loses_nothing_acknowledged(kato: Kato) -> None:
    begun = kato.json("start", "--id", "a")
    acknowledged: list[str] = []
    enough = threading.Event()

    def learn() -> None:
        with http.Client(base_url=begun["url"], timeout=30) as client:
            for number in count():
                try:
                    for symbol in ("x", f"y{number}"):
                        client.post("/observe", json={"strings": [symbol]}).raise_for_status()
                    answer = client.post("/learn", json={}).raise_for_status().json()
                except httpx.HTTPError:
                    return
                acknowledged.append(answer["pattern_name"])
                if number == 20:
                    enough.set()

    learning = threading.Thread(target=learn)
    learning.start()
    assert enough.wait(60)
    kato("stop", "a")
    learning.join(60)
    assert not processes.alive(Identity(begun["pid"], begun["started"]))
    url = kato.json("start", "--id", "a")["url"]
    with http.Client(base_url=url) as client:
        for name in acknowledged:
            assert client.get(f"/pattern/{name}").status_code == 200, name
