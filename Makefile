# Everything that a developer or an operator of a demo does begins here. `make` alone lists it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
WEB_INSTALLED := web/node_modules/.installed
WEB_BUILT := web/node_modules/.built
INTEROP := tests/interop/js
INTEROP_INSTALLED := $(INTEROP)/node_modules/.installed

# Files of tests that run at the same time. Most tests wait for processes that they started.
JOBS ?= 3

# What the tests and benches drive eft with: real clients, and servers to compare with. nginx-light has the `dav` PUT.
TEST_PACKAGES := 7zip ca-certificates chromium curl faketime haproxy filezilla lftp nginx-light openssh-client openssh-server openssh-sftp-server \
                 postgresql procps putty-tools rclone sshfs strace unzip xdotool xvfb

.PHONY: help
help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(STAMP) web ## Install eft and its tools, as locked, into .venv, and build the Transfer Files page

$(STAMP): locks/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "eft needs Python 3.11 or later; say which with PYTHON=…" >&2; exit 1; }
	@test -x $(BIN)/python && $(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# The page works without its script, by a plain form: a machine without npm still gets a gateway, though not in CI.
.PHONY: web
web: ## Build the Transfer Files page from web/ (needs Node.js with npm)
	@if command -v npm >/dev/null && $(MAKE) --silent --no-print-directory $(WEB_BUILT); then exit 0; fi; \
	printf '%s\n' "" "  THE TRANSFER FILES PAGE IS NOT BUILT: npm is missing, or failed as said above. Until it is built, the page has" \
	    "  a plain upload form alone, which cannot resume. Install Node.js 20.19 or later with npm; then: make web" "" >&2; \
	test -z "$${CI:-}"

$(WEB_INSTALLED): web/package-lock.json web/package.json web/.npmrc
	cd web && npm ci --loglevel=error
	@touch $@

$(WEB_BUILT): $(WEB_INSTALLED) $(wildcard web/*.ts web/tsconfig.json web/src/*)
	cd web && npm run --silent build -- --logLevel warn
	@touch $@

.PHONY: test-deps
test-deps: ## Install the programs that tests and benches need (Debian, as root)
	@if dpkg --status $(TEST_PACKAGES) >/dev/null 2>&1; then echo "All programs that the tests need are installed."; \
	else apt-get update --quiet=2 && DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends $(TEST_PACKAGES) </dev/null; fi
	@mountpoint --quiet /sys/fs/fuse/connections || mount -t fusectl fusectl /sys/fs/fuse/connections || true

# Clients in JavaScript that the tests drive eft with. Without npm their tests are skipped, though not in CI.
$(INTEROP_INSTALLED): $(INTEROP)/package-lock.json $(INTEROP)/package.json $(INTEROP)/.npmrc
	@if command -v npm >/dev/null; then cd $(INTEROP) && npm ci --loglevel=error && touch node_modules/.installed; \
	else echo "NOT INSTALLED for want of npm: $(INTEROP)" >&2; test -z "$${CI:-}"; fi

.PHONY: lint
lint: setup ## Check format, rules, types and the direction of imports
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy --strict eft
	$(BIN)/lint-imports --no-cache
	@if test -e $(WEB_INSTALLED); then cd web && npm run --silent lint; fi

.PHONY: test
test: setup lint $(INTEROP_INSTALLED) ## Lint and run the tests (choose some with ARGS="-k name")
	@if test -e $(WEB_INSTALLED); then cd web && npm run --silent test; else echo "NOT TESTED for want of npm: web/" >&2; fi
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

.PHONY: soak
soak: setup ## Run the tests that take hours (ARGS as for test)
	$(BIN)/python -m pytest -m soak --timeout=0 $(ARGS)

# docs/performance.md says what each of these measures, and how long it takes.
.PHONY: bench
bench: setup ## Compare eft with other servers, into loadtests/results/ (QUICK=1, PARTS=https, WORKLOADS=…, ROUNDS=n, FILES=n)
	$(BIN)/python -m loadtests.bench $(if $(QUICK),--quick) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(PARTS),--parts $(PARTS)) \
	    $(if $(WORKLOADS),--workloads $(WORKLOADS)) $(if $(FILES),--files $(FILES)) $(ARGS)

.PHONY: bench-peers
bench-peers: setup ## Build the servers that benches compare with, into var/peers/ (needs Go, npm and cargo; minutes)
	$(BIN)/python -m loadtests.build_peers $(ARGS)

.PHONY: load
load: setup ## Put users on a fresh gateway, and say how it went (USERS=50 MINUTES=2)
	$(BIN)/python -m loadtests.load $(if $(USERS),--users $(USERS)) $(if $(MINUTES),--minutes $(MINUTES)) $(ARGS)

.PHONY: memory
memory: setup ## Measure what large files and many connections cost in memory (PARTS="upload busy")
	$(BIN)/python -m loadtests.memory $(PARTS) $(ARGS)

.PHONY: soak-hour
soak-hour: setup ## An hour of load in seven slices of nine minutes, and whether memory stays flat (SLICE=1 to SLICE=7)
	$(BIN)/python -m loadtests.soak $(if $(SLICE),--slice $(SLICE)) $(ARGS)

.PHONY: demo
demo: setup ## Run three gateways on this machine, data under var/ (ARGS=--detach returns when they are ready)
	@$(BIN)/python -m demo $(ARGS)

.PHONY: pictures
pictures: setup ## Take the README's pictures anew, into docs/pictures/ (needs chromium and faketime)
	$(BIN)/python -m tests.browser.make_pictures

.PHONY: stop
stop: setup ## Stop the demo; its data stays
	@$(BIN)/python -m demo --stop

.PHONY: lock
lock: ## Renew the locks from pyproject.toml (needs uv)
	uv pip compile -q --generate-hashes --no-emit-index-url --universal --python-version 3.11 --no-header --extra server -o locks/runtime.txt pyproject.toml
	uv pip compile -q --generate-hashes --no-emit-index-url --universal --python-version 3.11 --no-header --extra server -o locks/dev.txt \
	    -c locks/runtime.txt --group dev pyproject.toml
