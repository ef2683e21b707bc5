"""Play some conversations, or all: `python -m transcripts [NAME ...]`, from tests/; a NAME may have stars.

The first that does not come true is printed with a mark where it departed, and so are the next ones.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase

from transcripts.player import Departed, Player
from transcripts.script import Transcript, transcripts
from transcripts.site import Site


def main() -> int:
    wanted = sys.argv[1:] or ["*"]
    chosen = [each for each in transcripts() if any(fnmatchcase(each.name, f"*{name}*") for name in wanted)]
    failed = 0
    for transcript, site in _with_sites(chosen):
        try:
            Player(transcript, site, 5.0).play()
        except Departed as error:
            failed += 1
            print(f"\n{error}\n")
    print(f"{len(chosen) - failed} came true, {failed} departed")
    return 1 if failed or not chosen else 0


def _with_sites(chosen: list[Transcript]) -> Iterator[tuple[Transcript, Site]]:
    shared = [each for each in chosen if not each.alone]
    if shared:
        with Site(shared) as site:
            yield from ((each, site) for each in shared)
    for each in chosen:
        if each.alone:
            with Site([each]) as site:
                yield each, site


if __name__ == "__main__":
    sys.exit(main())
