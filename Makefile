# The commands of this repository; each makes the virtual environment it needs in .venv. Needs Python >= 3.11 and make.
#
#   make run               the demo on http://127.0.0.1:8080/ (PORT=... elsewhere), until Ctrl-C
#   make run CONF=FILE     Penstock with any nginx.conf, in the foreground
#   make test              unit and integration tests (ARGS="-k tunnel -x" goes to pytest)
#   make test-relay        those about tunnels once more, with the relay in Python where the compiled one is built
#   make lint              ruff and mypy --strict
#   make docs             write docs/directives.md anew
#   make bench             measurements beside nginx (ARGS=... goes to bench/run.py)
#   make profile           where the time goes in SCENARIO (tunnels-100 unless told; see bench/README.md)
#   make instructions      instructions per message, handshake and request, counted by valgrind
#   make sanitize         the relay's compiled twin under gcc's sanitizers
#   make soak              a thousand reloads under tunnels, and a gigabyte beside them (minutes; RELOADS=... for others)
#   make fuzz             random WebSocket streams against other implementations (ARGS="seconds seed")
#   make clean             remove what the others made
#
# PYTHON=/path/to/python chooses the interpreter of a new .venv.

VENV := .venv
BIN := $(VENV)/bin

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $$python && break; done)

ARGS ?=
CONF ?=
PORT ?=
RELOADS ?= 1000

.PHONY: run demo test test-relay lint bench soak docs clean sanitize profile instructions fuzz

run: $(VENV)/.run
ifeq ($(CONF),)
	@$(BIN)/python demo/run.py $(if $(PORT),--port $(PORT))
else
	@$(BIN)/python demo/foreground.py $(CONF)
endif

demo: run

test: $(VENV)/.dev
	tools/test.sh $(BIN)/python $(ARGS)

test-relay: $(VENV)/.dev
	PENSTOCK_RELAY=python tools/test.sh $(BIN)/python $(ARGS) tests/unit/net $(wildcard tests/integration/test_*tunnel*.py \
		tests/integration/test_proxy_upgrade.py tests/integration/test_applications.py tests/integration/test_tls.py)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/mypy --strict
	MYPYPATH=src:tests $(BIN)/mypy --strict -p harness
	$(BIN)/mypy --strict demo

bench: $(VENV)/.dev
	$(BIN)/python bench/run.py $(ARGS)

profile: $(VENV)/.dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check py-spy || true
	$(BIN)/python bench/profile.py $(or $(SCENARIO),tunnels-100) $(ARGS)

instructions: $(VENV)/.dev
	$(BIN)/python bench/instructions.py $(ARGS)

sanitize: $(VENV)/.dev
	tools/sanitize.sh $(BIN)/python

soak: $(VENV)/.dev
	PENSTOCK_SOAK=$(RELOADS) $(BIN)/python -m pytest -s tests/soak tests/integration/http2/test_beside.py $(ARGS)

fuzz: $(VENV)/.dev
	$(BIN)/python tests/fuzz/frames.py $(ARGS)

docs: $(VENV)/.run
	$(BIN)/python tools/directives.py

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -rf src/*.egg-info

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Penstock needs Python 3.11 or newer, and none was found on the PATH." >&2; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Penstock needs Python 3.11 or newer; $(PYTHON) is: $$("$(PYTHON)" --version 2>&1)" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); \
		echo "The venv module of $(PYTHON) does not work (Debian, Ubuntu: apt-get install python3-venv)." >&2; exit 1; }

$(VENV)/.run: pyproject.toml setup.py src/penstock/net/_twin.c | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml setup.py src/penstock/net/_twin.c | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,demo]'
	@touch $@ $(VENV)/.run
