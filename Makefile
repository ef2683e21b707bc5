# The commands of this repository; each makes the virtual environment it needs in .venv. Needs Python >= 3.11 and make.
#
#   make run               the demo on http://127.0.0.1:8080/ (PORT=... elsewhere), until Ctrl-C
#   make run CONF=FILE     Penstock with any nginx.conf, in the foreground
#   make test              unit and integration tests (ARGS="-k tunnel -x" goes to pytest)
#   make test-relay        those about tunnels once more, with the relay in Python where the compiled one is built
#   make test-busy        the tests ten times beside a running Penstock and four busy processes (hours; TIMES=1)
#   make lint              ruff and mypy --strict
#   make docs             write docs/directives.md anew
#   make site             the documents as pages with search, in build/site
#   make test-site         each page of that site in Chromium: contrast, width, headings, labels
#   make dist              dist/: sdist and wheel, tried in new environments of each Python found
#   make deb               dist/: a Debian package for /usr/bin/python3
#   make test-examples     every example of examples/ with its real application (downloads; minutes)
#   make test-packages     in copies of this root: the Debian package installed, upgraded and removed, the page about
#                          installing; from a wheel to a page over https://; Debian's certbot (needs root)
#   make bench             measurements beside nginx (ARGS=... goes to bench/run.py)
#   make profile           where the time goes in SCENARIO (tunnels-100 unless told; see bench/README.md)
#   make instructions      instructions, cache misses, system calls, memory blocks per message, handshake and request
#   make sanitize         the relay's compiled twin under gcc's sanitizers
#   make soak              a thousand reloads under tunnels, everything at once for ten minutes, a gigabyte beside tunnels, a storm,
#                          a gigabyte in a cache whose files and processes go (RELOADS=..., PENSTOCK_SOAK_SECONDS=... and
#                          PENSTOCK_SOAK_CACHE=... for other lengths)
#   make fuzz             random WebSocket streams, those through both relays, conversations of tests/transcripts, files of a cache and FastCGI records spoiled
#                          (ARGS="seconds seed")
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

.PHONY: run demo test test-general test-relay test-all test-busy test-packages test-examples test-site lint bench soak docs clean site dist deb sanitize profile \
	instructions fuzz

run: $(VENV)/.run
ifeq ($(CONF),)
	@$(BIN)/python demo/run.py $(if $(PORT),--port $(PORT))
else
	@$(BIN)/python demo/foreground.py $(CONF)
endif

demo: run

test: $(VENV)/.dev
	@$(BIN)/python tools/tests.py $(ARGS)

# Proxying, tunnels and logs without the straight way (server/straight).
test-general: $(VENV)/.dev
	PENSTOCK_STRAIGHT=off $(BIN)/python -m pytest -q tests/integration -k "proxy or tunnel or upgrade or log" $(ARGS)

test-relay: $(VENV)/.dev
	@$(BIN)/python tools/tests.py --part relay $(ARGS)

# What a change has to pass; .ci/run calls it. Up to ten tests of a part that failed have two more tries, and are named.
test-all: $(VENV)/.dev
	@$(BIN)/python tools/tests.py --part together --part alone --part relay --again 10 $(ARGS)

# Ten times everything beside a running Penstock and four busy processes: hours.
test-busy: $(VENV)/.dev
	@$(BIN)/python tools/busy.py $(BIN)/python tools/tests.py --times $(or $(TIMES),10) $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/mypy --strict
	MYPYPATH=src:tests $(BIN)/mypy --strict -p harness -p transcripts
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
	PENSTOCK_SOAK=$(RELOADS) $(BIN)/python -m pytest -s tests/soak tests/integration/http2/test_beside.py \
		tests/integration/test_nothing_stays*.py tests/integration/test_acme.py $(ARGS)
	PENSTOCK_STORM=5000 $(BIN)/python -m pytest -s tests/integration/test_websocket_admission.py -k storm

fuzz: $(VENV)/.dev
	$(BIN)/python tests/fuzz/frames.py $(ARGS)
	$(BIN)/python tests/fuzz/watched.py $(ARGS)
	$(BIN)/python tests/fuzz/transcripts.py $(ARGS)
	$(BIN)/python tests/fuzz/cache_files.py $(ARGS)
	$(BIN)/python tests/fuzz/fastcgi_records.py $(ARGS)

docs: $(VENV)/.run
	$(BIN)/python tools/directives.py

site: $(VENV)/.dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'mkdocs-material>=9.6'
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict
	@$(BIN)/python tools/site_links.py build/site
	@echo "build/site/index.html"

test-site: site
	@PENSTOCK_SITE=1 $(BIN)/python -m pytest -q -n 0 tests/site $(ARGS)

dist: $(VENV)/.dev
	@tools/dist.sh $(BIN)/python

deb: $(VENV)/.dev
	@$(BIN)/python tools/deb.py

test-examples: $(VENV)/.dev
	@PENSTOCK_EXAMPLES=1 $(BIN)/python -m pytest -n 0 -rs tests/examples $(ARGS)

test-packages: $(VENV)/.dev
	@PENSTOCK_PACKAGES=1 $(BIN)/python -m pytest -n 0 --timeout 900 tests/packages $(ARGS)

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -rf src/*.egg-info

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Penstock needs Python 3.11 or newer, and none was found on the PATH." >&2; \
		echo "Install one, or name it: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Penstock needs Python 3.11 or newer; $(PYTHON) is: $$("$(PYTHON)" --version 2>&1)" >&2; exit 1; }
	@echo "Making .venv with $(PYTHON), about a minute ..."
	@"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); \
		echo "The venv module of $(PYTHON) does not work (Debian, Ubuntu: apt-get install python3-venv)." >&2; exit 1; }

$(VENV)/.run: pyproject.toml setup.py src/penstock/net/relay/_twin.c | $(BIN)/python
	@echo "Installing penstock into .venv ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml setup.py src/penstock/net/relay/_twin.c | $(BIN)/python
	@echo "Installing penstock and its tools into .venv ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,demo]'
	@touch $@ $(VENV)/.run
