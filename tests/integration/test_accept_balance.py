"""New connections go to all workers alike, also when one worker could do all the work."""

from collections import Counter

import pytest

from harness.proxy import in_http

pytestmark = pytest.mark.alone

CONFIGURATION = "worker_processes 2;\n" + in_http(
    """
    access_log off;
    server { listen 127.0.0.1:{port:front}; location / { return 200 $pid; } }
    """
)


def test_no_worker_gets_most_of_the_connections(proxy) -> None:
    front = proxy(CONFIGURATION)
    served = Counter(front.get("/").body for _ in range(200))
    assert len(served) == 2
    assert max(served.values()) <= 140, served
