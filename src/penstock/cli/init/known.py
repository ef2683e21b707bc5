"""The frameworks that `penstock init` knows: what gives each away in a folder, and where each listens."""

from penstock.cli.init.framework import Framework
from penstock.cli.init.known_node import NODE
from penstock.cli.init.known_python import PYTHON

PHOENIX_DEFAULT = r"System\.get_env\([\"']PORT[\"']\)?\s*(?:\|\||,)\s*[\"'](\d+)"

OTHERS = (
    Framework(
        "phoenix",
        "Phoenix",
        4000,
        others=("phoenix",),
        commands=("phx.server",),
        settings=(("config/runtime.exs", PHOENIX_DEFAULT),),
        blocks=tuple((f"config/{name}.exs", "http") for name in ("runtime", "dev", "config", "prod")),
        notes=(
            "Phoenix: /live/websocket and /socket/websocket; check_origin compares Origin with the url: of the",
            "endpoint, which has to hold the name that people use.",
        ),
        start="mix phx.server",
    ),
    Framework(
        "rails",
        "Rails (Action Cable)",
        3000,
        others=("rails", "actioncable"),
        commands=("rails", "puma", "rackup", "thin", "falcon"),
        settings=(
            ("config/puma.rb", r"^\s*port[ (]+ENV\.fetch\([\"']PORT[\"']\s*[,)]\s*\{?\s*[\"']?(\d+)"),
            ("config/puma.rb", r"^\s*port[ (]+(\d+)"),
            ("config/puma.rb", r"^\s*bind[ (]+[\"']tcp://[^\"']*:(\d+)"),
        ),
        notes=(
            "Action Cable: /cable; config.action_cable.allowed_request_origins has to hold the name that people use,",
            "and config.hosts too.",
        ),
        start="rails server -p PORT",
    ),
)

FRAMEWORKS = (*PYTHON, *OTHERS, *NODE)
