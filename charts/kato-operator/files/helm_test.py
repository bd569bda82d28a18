"""What `helm test` runs in a pod: a processor learns a sequence and predicts its end, over its Service.

KATO_URL names the Service. Ends with 0 and one line when it predicted, otherwise with the error.
"""

import os
import time

from kato_client import KatoClient, KatoClientError

DEADLINE_SECONDS = 180
SEQUENCE = [["hello"], ["kato"], ["world"]]


def wait_until_ready(kato: KatoClient) -> None:
    """Return when the processor answers; end the test when it does not in time."""
    end = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            kato.ping()
        except KatoClientError as error:
            if time.monotonic() > end:
                raise SystemExit(f"the processor is not ready: {error}") from error
            time.sleep(1)
        else:
            return


with KatoClient(os.environ["KATO_URL"], timeout=10) as client:
    wait_until_ready(client)
    session = client.create_session("helm-test")["session_id"]
    learned = client.observe_sequence(SEQUENCE, session_id=session, learn_at_end=True)
    expected = client.predictions(session, stm=SEQUENCE[:-1])["predictions"]
    if not any(prediction["future"] == SEQUENCE[-1:] for prediction in expected):
        raise SystemExit(f"{SEQUENCE[-1]} is not predicted: {expected}")
    print(f"observed hello kato world, learned {learned['final_learned_pattern']}, predicted world")
