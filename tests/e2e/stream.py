"""Runs in the client pod: `python3 stream.py URL COUNT` learns sequences in one session while its processor is killed.

Each step is repeated under one Idempotency-Key until it is acknowledged, whatever becomes of the processor meanwhile.
Prints each learning as it is acknowledged, as JSON: the name that was told, and the events acknowledged before it. Ends
COUNT patterns after a step that had to be repeated: so the processor was away in the midst of the stream.
"""

import itertools
import json
import sys
import time
import uuid

import httpx

PAUSE = 0.05  # seconds
DEADLINE = 150.0  # seconds after which a stream that was never disturbed gives up


class Stream:
    """One session, and how often a step had to be repeated."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.repeated = 0
        self.session = self.acknowledged("/sessions", {"user_id": "stream"})["session_id"]

    def acknowledged(self, path: str, body: object) -> dict[str, str]:
        """POST until it is accepted; what is refused for good ends the stream."""
        key = str(uuid.uuid4())
        while True:
            try:
                answer = self.client.post(path, json=body, headers={"Idempotency-Key": key})
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    answer.raise_for_status()
                    accepted: dict[str, str] = answer.json()
                    return accepted
            except httpx.TransportError:
                pass  # as good as an answer that says "not now"
            self.repeated += 1
            time.sleep(PAUSE)

    def learn(self, number: int) -> None:
        """Learn one sequence of three symbols that no other has, and say so at once."""
        events = [[f"{place}{number}"] for place in "abc"]
        for event in events:
            self.acknowledged(f"/sessions/{self.session}/observe", {"strings": event})
        name = self.acknowledged(f"/sessions/{self.session}/learn", {})["pattern_name"]
        sys.stdout.write(json.dumps({"name": name, "events": events}) + "\n")
        sys.stdout.flush()


def main(url: str, count: int) -> None:
    """Learn until disturbed, and `count` sequences more."""
    numbers = itertools.count()
    end = time.monotonic() + DEADLINE
    with httpx.Client(base_url=url, timeout=5) as client:
        stream = Stream(client)
        while not stream.repeated:
            if time.monotonic() > end:
                raise SystemExit("nothing disturbed the stream")
            stream.learn(next(numbers))
            time.sleep(PAUSE)
        for number in itertools.islice(numbers, count):
            stream.learn(number)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
