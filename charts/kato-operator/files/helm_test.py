"""What `helm test` runs in a pod: a processor learns a sequence and predicts its end, over its Service.

KATO_URL names the Service. Ends with 0 and one line when it predicted, otherwise with the error.
"""

import os
import time

import httpx

DEADLINE_SECONDS = 180
SEQUENCE = ("hello", "kato", "world")


def wait_until_ready(client: httpx.Client) -> None:
    """Return when the processor answers; the pod's own end time bounds a processor that never does."""
    end = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            client.get("/readyz").raise_for_status()
        except httpx.HTTPError as error:
            if time.monotonic() > end:
                raise SystemExit(f"{client.base_url} is not ready: {error}") from error
            time.sleep(1)
        else:
            return


def post(client: httpx.Client, path: str, body: object = None) -> dict:
    """POST and return the answer; a refusal ends the test with what was said."""
    answer = client.post(path, json=body if body is not None else {})
    if answer.is_error:
        raise SystemExit(f"POST {path}: {answer.status_code} {answer.text}")
    return answer.json()


with httpx.Client(base_url=os.environ["KATO_URL"], timeout=10) as kato:
    wait_until_ready(kato)
    session = "/sessions/" + post(kato, "/sessions", {"user_id": "helm-test"})["session_id"]
    for symbol in SEQUENCE:
        post(kato, f"{session}/observe", {"strings": [symbol]})
    pattern = post(kato, f"{session}/learn")["pattern_name"]
    for symbol in SEQUENCE[:-1]:
        post(kato, f"{session}/observe", {"strings": [symbol]})
    predictions = post(kato, f"{session}/predictions")["predictions"]
    if not any(prediction["future"] == [[SEQUENCE[-1]]] for prediction in predictions):
        raise SystemExit(f"{pattern} was learned, but {SEQUENCE[-1]!r} is not predicted: {predictions}")
    print(f"observed {' '.join(SEQUENCE)}, learned {pattern}, predicted {SEQUENCE[-1]}")
