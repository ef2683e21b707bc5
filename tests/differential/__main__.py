"""Show what nginx and Penstock did: `python -m differential [-v] [AREA[/CASE] ...]` (from tests/).

Without -v only what differs and stands in no row of known.toml; with it every answer.
"""

import sys

from differential.cases import areas, load
from differential.known import judge, table
from differential.observe import Message, Observation
from differential.run import Surprising, reference_version, run
from differential.spelling import spelled


def main(arguments: list[str]) -> int:
    """Run what was asked for; 1 when something differs that is not in the table."""
    at_hand = reference_version()
    if at_hand is None:
        print("no nginx to compare with (set NGINX_BINARY)", file=sys.stderr)
        return 2
    wordy = "-v" in arguments
    wanted = [argument for argument in arguments if argument != "-v"] or areas()
    rows = [row for row in table() if row.applies_to(at_hand)]
    surprises = 0
    for name in dict.fromkeys(one.partition("/")[0] for one in wanted):
        only = [one.partition("/")[2] for one in wanted if one.startswith(f"{name}/")]
        outcome = run(load(name), Surprising(), only)
        for alarm in outcome.alarms:
            print(f"\n{name}: {alarm}")
        surprises += len(outcome.alarms)
        for both in outcome.cases.values():
            verdict = judge(both.case.id, both.nginx.answers, both.differences, rows)
            surprises += bool(verdict.unlisted or verdict.gone)
            if wordy:
                print(f"\n== {both.case.id}: {both.case.about}\n   {spelled(both.case.sent, 300)}")
                if both.differences:
                    print("nginx:")
                    _show(both.nginx)
                    print("penstock:")
                _show(both.penstock)
            elif verdict.unlisted or verdict.gone:
                print(f"\n== {both.case.id}: {both.case.about}\n   {spelled(both.case.sent, 300)}")
            for one in verdict.unlisted:
                print(f"  {one}")
            for gone in verdict.gone:
                print(f"  not seen any more: {gone}")
    print(f"\n{surprises} surprises" if surprises else "\nnothing that is not in the table")
    return 1 if surprises else 0


def _show(seen: Observation) -> None:
    print(f"    [{seen.answers}]")
    for message in seen.responses:
        _show_message(message, "    ")
    if seen.rest:
        print(f"    and {spelled(seen.rest, 300)}")
    for message in seen.passed:
        _show_message(message, "    -> ")
    for line in seen.log:
        print(f"    log {line}")


def _show_message(message: Message, indent: str) -> None:
    print(f"{indent}{message.line}")
    for name, value in message.headers:
        print(f"{indent}  {name}:{value}")
    if message.body:
        print(f"{indent}  {message.framing}: {spelled(message.body, 300)}")


sys.exit(main(sys.argv[1:]))
