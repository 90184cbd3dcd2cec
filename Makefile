# make run    the whole product on this machine, at http://127.0.0.1:8000 (PORT=... for another port)
# make test   all tests but those marked long, against a real PostgreSQL and a real Valkey; about 10 minutes
# make test-long  the tests marked long (browser, SDKs of other products, several processes, faults), then the tests with
#                 random input with five times as many examples; SHORT=1, as in CI, leaves these out
# make shuffle  500 random histories, each in three orders of arrival; SHUFFLES=... for more
# make faults faults of every kind under load, and a check that nothing was lost; about 15 minutes
# make lint   ruff, format check, mypy, migrations check
# make bench  one JSON line per figure
# make bench-pages  response times of the integration page with a million attempts, one JSON line each
# make bench-admin  response times of the lists of the admin site with a million rows, one JSON line each
# make bench-api  response times of the lists of the management API with a million rows, one JSON line each
# make screenshots  every page, light and dark, into .state/screenshots; README=1 for the four of docs/images
# make demo   the demo game and its logins, as one JSON object
# make admin  the first administrator of an installation without the demo
# make lock   regenerate requirements*.lock from pyproject.toml; UPGRADE=1 for newer versions
# make clean  remove .venv and caches; the data in .state stays
# make forget delete the database of make run

# The first Python of version 3.11 or newer; PYTHON=/path/to/python overrides.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	command -v $$p >/dev/null 2>&1 \
	&& $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
PYTEST_ARGS ?= -n 3 --dist loadfile --no-loadscope-reorder

.PHONY: run test test-long shuffle faults lint lock bench bench-pages bench-admin bench-api demo admin clean forget screenshots
.DELETE_ON_ERROR:
.DEFAULT_GOAL := run

run: $(VENV)/.installed
	@$(BIN)/python manage.py up

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest $(PYTEST_ARGS) -m "not long"

test-long: $(VENV)/.installed-dev
	$(BIN)/python -m pytest $(PYTEST_ARGS) -m long
ifndef SHORT
	EXAMPLES_IN_FULL=1 SHUFFLES=$${SHUFFLES:-100} $(BIN)/python -m pytest $(PYTEST_ARGS) \
		$$(grep -lrE "^(from|import) (hypothesis|tests.effort)" tests --include=test_*.py)
endif

shuffle: export SHUFFLES ?= 500
shuffle: $(VENV)/.installed-dev
	$(BIN)/python -m pytest $(PYTEST_ARGS) tests/postbacks/test_shuffling.py

faults: $(VENV)/.installed-dev
	@$(BIN)/python -m tests.faults

# The type checker imports the settings; no server is contacted (port 1 refuses connections).
lint: export DATABASE_URL = postgres://nobody@127.0.0.1:1/nothing
lint: export REDIS_URL = redis://127.0.0.1:1/0
lint: export SECRET_KEY = lint-only-lint-only-lint-only-lint-only-lint-only-lint-only
lint: export CREDENTIAL_KEYS = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
lint: $(VENV)/.installed-dev
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/python -W "ignore:Got an error checking:RuntimeWarning" manage.py makemigrations --check --dry-run

# uv runs in a temporary environment. Locked versions are kept unless UPGRADE is set. The hashes of every file of a
# release are listed, so that one lock is valid for all Pythons and machines. No index is named: a mirror works too.
lock: LOCK = uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-header --no-annotate --quiet $(if $(UPGRADE),--upgrade)
lock:
	@set -e; tools=$$(mktemp -d); trap 'rm -rf "$$tools"' EXIT; $(PYTHON) -m venv "$$tools"; \
	"$$tools/bin/python" -m pip --disable-pip-version-check --quiet install uv==0.13.9; PATH="$$tools/bin:$$PATH"; \
	write() { { sed -n '/^#/p' "$$2"; sed '/^#/d' "$$1"; } > "$$1.new"; mv "$$1.new" "$$2"; }; \
	cp requirements.lock "$$tools/run"; $(LOCK) --extra quickstart -o "$$tools/run"; write "$$tools/run" requirements.lock; \
	sed '/^#/d' requirements.lock requirements-dev.lock > "$$tools/dev"; \
	$(LOCK) --extra quickstart --extra dev -c requirements.lock -o "$$tools/dev" \
		$$(sed -n 's/^\([A-Za-z0-9_.-]*\)==.*/--no-emit-package \1/p' requirements.lock); \
	write "$$tools/dev" requirements-dev.lock

bench: $(VENV)/.installed-dev
	@$(BIN)/python -m tests.benchmarks

screenshots: export README ?=
screenshots: export SCREENSHOTS ?= $(abspath $(or $(STATE_DIR),.state)/screenshots)
screenshots: $(VENV)/.installed-dev
	@$(BIN)/python -m pytest -q -n 0 tests/browser/screenshots.py

bench-pages: $(VENV)/.installed-dev
	@$(BIN)/python -m tests.benchmarks.pages

bench-admin: $(VENV)/.installed-dev
	@$(BIN)/python -m tests.benchmarks.admin_lists

bench-api: $(VENV)/.installed-dev
	@$(BIN)/python -m tests.benchmarks.api_lists

demo: $(VENV)/.installed
	@$(BIN)/python manage.py demo --json

admin: $(VENV)/.installed
	@$(BIN)/python manage.py createsuperuser

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

forget: $(VENV)/.installed
	@$(BIN)/python manage.py forget

$(VENV)/bin/python:
	@if [ -z "$(PYTHON)" ]; then echo "Afterclick needs Python 3.11 or newer: install it, or name it with PYTHON=/path/to/python." >&2; exit 1; fi
	@echo "Making $(VENV) with $$($(PYTHON) --version) ..."
	@$(PYTHON) -m venv $(VENV) || { echo "Python's venv module is incomplete: install it (Debian: apt-get install python3-venv)." >&2; rm -rf $(VENV); exit 1; }

$(VENV)/.installed: $(VENV)/bin/python requirements.lock
	@echo "Installing the dependencies, about a minute the first time ..."
	@$(PIP) install --require-hashes -r requirements.lock
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	@echo "Installing the test and lint tools ..."
	@$(PIP) install --require-hashes -r requirements.lock -r requirements-dev.lock
	@touch $@
