"""What happens at the same time: ten starts, and a stop in the midst of learning."""

from __future__ import annotations

import re
import threading
from itertools import count

import httpx
import pytest

from kato_operator.local import processes
from kato_operator.local.processes import Identity
from tests.support.cli import Kato

STARTS = 10


def race(kato: Kato) -> None:
    """Start ten instances at once, half of them without any argument; check all that they got, and stop them."""
    named = [["--id", f"p{number}"] for number in range(STARTS // 2)]
    racing = [kato.begin("start", *words) for words in [*named, *([[]] * (STARTS - len(named)))]]
    ended = [(process.communicate(), process.returncode) for process in racing]
    assert [code for _, code in ended] == [0] * STARTS, ended
    listed = kato.json("list")["instances"]
    assert listed.keys() == kato.registry().keys()
    assert {entry["status"] for entry in listed.values()} == {"running"}
    assert (
        len({port for entry in listed.values() for port in (entry["api_port"], entry["internal_port"])}) == 2 * STARTS
    )
    assert sum(re.fullmatch(r"kato-\d+-\d+", key) is not None for key in listed) == STARTS - len(named)
    for instance_id, entry in listed.items():
        assert httpx.get(f"{entry['url']}/ping").json()["id"] == instance_id
    kato("stop", "--all")
    assert kato.registry() == {}
    assert list(processes.discover(kato.home)) == []


def test_ten_racing_starts_get_ten_ports(kato: Kato) -> None:
    race(kato)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_fifty_times_ten_racing_starts_get_ten_ports(kato: Kato) -> None:
    for _ in range(50):
        race(kato)


def test_a_stop_in_the_midst_of_learning_loses_nothing_acknowledged(kato: Kato) -> None:
    begun = kato.json("start", "--id", "a")
    acknowledged: list[str] = []
    enough = threading.Event()

    def learn() -> None:
        with httpx.Client(base_url=begun["url"], timeout=30) as client:
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
    with httpx.Client(base_url=url) as client:
        for name in acknowledged:
            assert client.get(f"/pattern/{name}").status_code == 200, name
