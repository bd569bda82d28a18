"""Runs in the client pod: `python3 stream.py URL COUNT` learns COUNT sequences in one session.

Each step is repeated under one Idempotency-Key until it is acknowledged, whatever becomes of the processor meanwhile.
Prints the session, then the name of each pattern as its learning is acknowledged.
"""

import sys
import time
import uuid

import httpx

PAUSE = 0.1


def acknowledged(client: httpx.Client, path: str, body: object) -> dict[str, str]:
    """POST until it is accepted; what is refused for good ends the stream."""
    key = str(uuid.uuid4())
    while True:
        try:
            answer = client.post(path, json=body, headers={"Idempotency-Key": key})
        except httpx.TransportError:
            time.sleep(PAUSE)
            continue
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            time.sleep(PAUSE)
            continue
        answer.raise_for_status()
        accepted: dict[str, str] = answer.json()
        return accepted


def say(word: str) -> None:
    """Print a line at once: the test reads them while the stream goes on."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main(url: str, count: int) -> None:
    """Learn `count` sequences of three symbols that no other has."""
    with httpx.Client(base_url=url, timeout=5) as client:
        session = acknowledged(client, "/sessions", {"user_id": "stream"})["session_id"]
        say(session)
        for number in range(count):
            for place in "abc":
                acknowledged(client, f"/sessions/{session}/observe", {"strings": [f"{place}{number}"]})
            sys.stdout.write(f"{acknowledged(client, f'/sessions/{session}/learn', {})['pattern_name']}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
