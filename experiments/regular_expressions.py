"""What a match costs with each engine, and what a pattern can be made to cost; see regular_expressions.md."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from penstock.config.regex.pcre import Regex, compile_pcre
from penstock.config.regex.pcre2 import VARIABLE, library
from penstock.config.regex.regex import MatchFailed, use_bound
from penstock.net.match_time import within

BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"
ORDINARY = [
    ("location", r"\.(?:jpe?g|png|css)$", "/static/app/main.css"),
    ("location, no match", r"\.(?:jpe?g|png|css)$", "/api/v1/users/12345/messages"),
    ("rewrite", r"^/api/v(\d+)/(.*)$", "/api/v1/users/12345/messages"),
    ("rewrite, a square", r"^/(.*)/(.*)$", "/api/v1/users/12345/messages"),
    ("map of agents", r"(android|bb\d+|meego).+mobile|avantgo|bada|blackberry", BROWSER),
    ("server_name", r"^(?<name>[a-z0-9-]+)\.example\.com$", "customer-17.example.com"),
]
HOSTILE = [
    (r"^/(.*)/(.*)/(.*)\.html$", "/" * 8000),
    (r"(a+)+$", "a" * 8000 + "!"),
    (r"^(.*)(.*)[^/]*x/", "a" * 8000),
    (r"a[^x]*a[^x]*[bc]", "a" * 8000),
    (r"^(.*)(.*)\1\2x", "a" * 8000),
]
ROUNDS = 20_000


def compiled(pattern: str, engine: str) -> Regex:
    os.environ[VARIABLE] = engine
    return compile_pcre(pattern)


def cost(match: Callable[[str], object], text: str) -> float:
    """Microseconds of a match: the best of five."""
    best = 1e9
    for _ in range(5):
        began = time.process_time()
        for _ in range(ROUNDS):
            match(text)
        best = min(best, (time.process_time() - began) / ROUNDS * 1e6)
    return best


def given_up(regex: Regex, text: str) -> float:
    """Milliseconds of the processor until it says anything."""
    began = time.process_time()
    try:
        regex.match(text)
    except MatchFailed:
        pass
    return (time.process_time() - began) * 1000


def main() -> None:
    use_bound(within)
    engines = ["", "python"] if library() is None else ["", "python", "pcre2"]
    print("us a match:", *(engine or "as it is" for engine in engines), "pcre2 with jit")
    for name, pattern, text in ORDINARY:
        figures = [cost(compiled(pattern, engine).match, text) for engine in engines]
        if "pcre2" in engines:
            machine = compiled(pattern, "pcre2")
            assert machine.further is not None
            machine.further()
            figures.append(cost(machine.match, text))
        print(f"{name:20}", *(f"{each:6.2f}" for each in figures))
    print("ms until it is given up:", *(engine or "as it is" for engine in engines))
    for pattern, text in HOSTILE:
        figures = [given_up(compiled(pattern, engine), text) for engine in engines]
        print(f"{pattern:30}", *(f"{each:7.1f}" for each in figures))


if __name__ == "__main__":
    main()
