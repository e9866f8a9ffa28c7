"""A notice before a spot instance of AWS is taken away: the server stops gracefully in the two minutes that are left.

    hypercorn --preemption-hook examples.preemption:spot_notice --graceful-timeout 90s examples.hello:app

The hook returns once the instance metadata names an action. Other clouds have such a place too: Google
`http://metadata.google.internal/computeMetadata/v1/instance/preempted`, Azure its scheduled events. In Kubernetes a
node termination handler evicts the pods, which sends the server a SIGTERM: no hook is needed there.
"""

from __future__ import annotations

import json
import os
import time
from datetime import datetime, timezone
from urllib.error import HTTPError
from urllib.request import Request, urlopen

METADATA = os.environ.get("METADATA", "http://169.254.169.254")  # of the instance; tests have their own
POLL_SECONDS = float(os.environ.get("POLL_SECONDS", "5"))  # as AWS recommends


def ask(path: str, method: str = "GET", **fields: str) -> str:
    """A value of the instance metadata. Raises OSError."""
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    with urlopen(Request(METADATA + path, method=method, headers=headers), timeout=5) as response:
        text: str = response.read().decode()
        return text


def spot_notice() -> float:
    """Returns the seconds that are left, once there is a notice. What it raises is logged, and it is called again."""
    while True:
        token = ask("/latest/api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="60")
        try:
            found = json.loads(ask("/latest/meta-data/spot/instance-action", X_aws_ec2_metadata_token=token))
        except HTTPError as error:
            if error.code != 404:  # which says that there is no notice
                raise
            time.sleep(POLL_SECONDS)
            continue
        end = datetime.strptime(found["time"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
        return max(0.0, (end - datetime.now(timezone.utc)).total_seconds())
