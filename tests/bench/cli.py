"""Suite `cli`: how soon a started instance answers, what an idle one holds, what a listing and the gateway cost.

Every figure stands beside what bounds it from below in the same run: a bare interpreter that imports the same, or the
same call without the gateway.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from time import perf_counter

import httpx
import psutil

from kato_operator.local.home import Home
from tests.bench.rows import Row, median_ms
from tests.support.cli import Kato

SUITE = "cli"
STARTS = 7
MANY = 50
CALLS = 400
CALLERS = 8
IMPORTS = {
    "bare python": "pass",
    "python that imports what `kato start` does": "import kato_cli.main, kato_operator.local.machine, httpx",
    "python that imports the service": "import kato_service.app",
}


def rows() -> Iterator[Row]:
    """Measure in a home of its own, which is removed."""
    with tempfile.TemporaryDirectory() as directory:
        kato = Kato(Home(Path(directory) / "home"), Path(directory))
        try:
            yield from start_rows(kato)
            yield from gateway_rows(kato)
            yield from list_rows(kato)
        finally:
            kato.clean()


def start_rows(kato: Kato) -> Iterator[Row]:
    """A start until `/ping` is answered, beside the imports that it waits for; and the memory of what then runs."""
    imports = {name: statistics.median(seconds(python(code)) for _ in range(STARTS)) for name, code in IMPORTS.items()}
    taken = []
    for number in range(STARTS):
        begun = perf_counter()
        url = kato.json("start", "--id", f"s{number}")["url"]
        httpx.get(f"{url}/ping").raise_for_status()
        taken.append(perf_counter() - begun)
        if number < STARTS - 1:
            kato("stop", f"s{number}")
    start = statistics.median(taken)
    yield Row(SUITE, "start to the first /ping, p50", start, "s", goal=1.0)
    for name, value in imports.items():
        yield Row(SUITE, f"start to the first /ping beside {name}, p50", start, "s", name, value)
    pid = kato.registry()[f"s{STARTS - 1}"]["pid"]
    memory = psutil.Process(pid).memory_full_info()
    yield Row(SUITE, "memory of an idle instance, RSS", memory.rss / 2**20, "MiB", goal=80)
    yield Row(SUITE, "memory of an idle instance, USS", memory.uss / 2**20, "MiB", goal=80)
    kato("stop", "--all")


def gateway_rows(kato: Kato) -> Iterator[Row]:
    """The same `/ping` by the gateway and without it: one caller after the other, then several at once."""
    url = kato.json("start", "--id", "g")["url"]
    with gateway(kato) as front:
        with httpx.Client(trust_env=False) as client:
            direct, by_gateway = (
                median_ms(pinging(client, address), times=CALLS) for address in (f"{url}/ping", f"{front}/g/ping")
            )
        yield Row(SUITE, "/ping by the gateway, p50", by_gateway, "ms", "direct", direct)
        yield Row(SUITE, "added by the gateway, p50", by_gateway - direct, "ms")
        rates = [rate(address) for address in (f"{front}/g/ping", f"{url}/ping")]
        yield Row(
            SUITE, f"/ping by the gateway, {CALLERS} callers", rates[0], "1/s", "direct", rates[1], better="higher"
        )
    kato("stop", "--all")


def list_rows(kato: Kato) -> Iterator[Row]:
    """A listing of many instances, beside an interpreter that only imports what it needs."""
    instances = "".join(f"- id: m{number}\n" for number in range(MANY))
    kato.write("many.yaml", f"instances:\n{instances}")
    kato("apply", "-f", "many.yaml")
    listing = statistics.median(seconds(lambda: kato("list")) for _ in range(STARTS))
    floor = statistics.median(seconds(python("import kato_cli.main")) for _ in range(STARTS))
    yield Row(SUITE, f"list of {MANY} instances, p50", listing, "s", goal=0.5)
    yield Row(SUITE, f"list of {MANY} instances beside its imports, p50", listing, "s", "import kato_cli.main", floor)
    kato("stop", "--all")


def seconds(call: Callable[[], object]) -> float:
    """Return how long one call takes."""
    begun = perf_counter()
    call()
    return perf_counter() - begun


def python(code: str) -> Callable[[], object]:
    """Return a call that runs `code` in an interpreter of its own."""
    return lambda: subprocess.run([sys.executable, "-c", code], check=True)


def pinging(client: httpx.Client, address: str) -> Callable[[], object]:
    """Return a call that gets `address`."""
    return lambda: client.get(address).raise_for_status()


def rate(address: str) -> float:
    """Return requests per second of several callers, each on a connection of its own in a process of its own."""
    code = (
        "import httpx, sys, time; c = httpx.Client(trust_env=False); c.get(sys.argv[1]); b = time.perf_counter()\n"
        f"for _ in range({CALLS}): c.get(sys.argv[1])\n"
        f"print({CALLS} / (time.perf_counter() - b))"
    )
    command = [sys.executable, "-c", code, address]
    with ThreadPoolExecutor(CALLERS) as pool:
        ran = pool.map(lambda words: subprocess.run(words, check=True, capture_output=True), repeat(command, CALLERS))
        return sum(float(one.stdout) for one in ran)


@contextmanager
def gateway(kato: Kato) -> Iterator[str]:
    """Run the gateway and give its address."""
    process = kato.begin("gateway", "--port", "0")
    try:
        assert process.stdout is not None
        yield process.stdout.readline().partition("/ID/")[0]
    finally:
        process.terminate()
        process.communicate()
