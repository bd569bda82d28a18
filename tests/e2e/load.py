"""Runs in the client pod: `python3 load.py URL [USER]` keeps 8 clients busy until its input ends, retrying nothing.

Each client has a session and a connection of its own, observes, and learns now and then. Prints JSON: how many requests
were answered well, what went wrong with the others, and each learning that was acknowledged: the name that was told,
and the events that had been acknowledged since the one before it.
"""

import json
import sys
import threading
import time

import httpx

CLIENTS = 8
EVENTS = 4  # observed before each learning
PAUSE_SECONDS = 0.02  # before each request: the load is constant, and leaves the machine to what is under test


class Client(threading.Thread):
    """One client: what it got, and what went wrong."""

    def __init__(self, url: str, user: str, number: int, stop: threading.Event) -> None:
        super().__init__()
        self.url, self.user, self.number, self.stop = url, user, number, stop
        self.answered = 0
        self.failures: list[str] = []
        self.learned: list[dict[str, object]] = []

    def run(self) -> None:
        """Work until told to stop; a failure is noted, never repeated."""
        with httpx.Client(base_url=self.url, timeout=30) as client:
            session = self.post(client, "/sessions", {"user_id": self.user}).get("session_id")
            turn = 0
            while session and not self.stop.is_set():
                turn += 1
                events = [[f"{self.number}-{turn}-{place}"] for place in range(EVENTS)]
                told = [
                    event for event in events if self.post(client, f"/sessions/{session}/observe", {"strings": event})
                ]
                if name := self.post(client, f"/sessions/{session}/learn", {}).get("pattern_name"):
                    self.learned.append({"name": name, "events": told})

    def post(self, client: httpx.Client, path: str, body: object) -> dict[str, str]:
        """Send one request and return its answer, an empty one when it failed."""
        time.sleep(PAUSE_SECONDS)
        try:
            answer = client.post(path, json=body)
            answer.raise_for_status()
        except httpx.HTTPStatusError as error:
            self.failures.append(f"{path}: {error.response.status_code} {error.response.text}")
            return {}
        except httpx.HTTPError as error:
            self.failures.append(f"{path}: {type(error).__name__} {error}")
            return {}
        self.answered += 1
        found: dict[str, str] = answer.json()
        return found


def main(url: str, user: str = "load") -> None:
    """Run the clients until the input ends."""
    stop = threading.Event()
    clients = [Client(url, user, number, stop) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    sys.stdout.write("started\n")
    sys.stdout.flush()
    sys.stdin.read()
    stop.set()
    for client in clients:
        client.join()
    report = {
        "answered": sum(client.answered for client in clients),
        "failures": [failure for client in clients for failure in client.failures],
        "learned": [learning for client in clients for learning in client.learned],
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:3])
