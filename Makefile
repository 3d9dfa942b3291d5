# Every task of this repository. `make` alone lists them.

PYTHON := $(shell for name in python3.13 python3.12 python3.11 python3; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
SUITE := .venv/bin/python -m suite

.DEFAULT_GOAL := help
.PHONY: help install up down status logs restart test faults check fmt hops bench render service topology retention sdk openapi migration lock check-lock clean check-deploy test-deploy test-bare secrets

help:
	@awk 'BEGIN {FS = ":.*## "} \
		/^## / {printf "\n%s\n", substr($$0, 4)} \
		/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install:
	@$(if $(PYTHON),,echo "Python 3.11 or newer is needed, as python3.13, python3.12, python3.11 or python3 on the PATH." >&2; exit 1)
	@$(PYTHON) tools/suite/bootstrap.py

## Run

up: install ## install what is needed, start everything, seed the shop, place a first order (RUN=native|compose, LAYOUT=packed)
	@$(SUITE) up

down: install ## stop everything; the data stays
	@$(SUITE) down

status: install ## list processes with their age and memory
	@$(SUITE) status

logs: install ## follow one service (S=orders) or all
	@$(SUITE) logs $(S)

restart: install ## restart one service (S=orders) with the code as it is now
	@$(SUITE) restart $(S)

secrets: install ## print the Secrets of the Kubernetes dev overlay, for `kubectl apply -f -`
	@.venv/bin/python -m suite.kubernetes

clean: ## stop everything and remove its data, logs and secrets
	@if [ -x .venv/bin/python ]; then $(SUITE) clean; fi
	@rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

## Check

# The roots of tests/mypy.ini; what is in quotes is checked together.
TYPED_TESTS = "conftest.py tests/conftest.py tests/integration tests/gateway tests/sdk \
	$(filter-out services/orders/tests,$(wildcard services/*/tests)) $(wildcard tools/*/tests)" \
	tests/architecture services/orders/tests tests/faults tests/deploy deploy/tests $(wildcard libs/*/tests) examples

test: install ## run every test, on its own servers (A="-k checkout -x" goes to pytest)
	@$(SUITE) test -- $(A)

faults: install ## run the fault-injection tests, half an hour (A="--seed 7 --part 1/4 --only crash")
	@$(SUITE) faults $(A)

check: install ## run ruff, mypy, import contracts; compare what is rendered, the broker topology, the retention and the index of the API
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@for root in $(TYPED_TESTS); do .venv/bin/mypy --no-error-summary --config-file tests/mypy.ini $$root || exit 1; done
	@.venv/bin/lint-imports
	@$(SUITE) render --check
	@$(SUITE) topology --check
	@$(SUITE) retention --check
	@$(SUITE) openapi --check

check-deploy: install .run/check-deploy/ready ## check Dockerfiles, compose file and Kubernetes manifests without running them
	@.run/check-deploy/bin/python deploy/check.py --out .run/rendered
	@.run/check-deploy/bin/python deploy/observability/check.py --out .run/observability
	@.venv/bin/python -m pytest tests/deploy -q

.run/check-deploy/ready: requirements/deploy.lock
	@echo "· installing the deployment checks (a minute)"
	@$(PYTHON) -m venv --clear .run/check-deploy
	@.run/check-deploy/bin/pip install -q --disable-pip-version-check --require-hashes -r $<
	@touch $@

test-deploy: install ## build the images, order from compose and the Kubernetes manifests, kill parts; as root, 4 minutes (A=--all: with the observability stack and each command of docs/operations, 18)
	@.venv/bin/python -m engine test -- $(A)

test-bare: install ## follow the README on bare Debian 12 and 13, as root and as a user, and run every test on 13; as root, an hour (A="--release 13 --only up")
	@.venv/bin/python -m engine bare $(A)

hops: install ## count the files behind each of six features
	@.venv/bin/python tests/architecture/hops.py

bench: install ## measure orders per second through the gateway, and their cost
	@.venv/bin/python -m bench $(A)

## Change

fmt: install ## format the code
	@.venv/bin/ruff check --fix-only --exit-zero .
	@.venv/bin/ruff format .

service: install ## write a new service (S=loyalty): one table, one route, one event, their tests
	@$(SUITE) service "$(S)"
	@$(MAKE) --no-print-directory install

render: install ## write what is derived from services.toml: compose file, manifests, gateway, import contracts
	@$(SUITE) render

topology: install ## write the broker's definitions from the services' handlers
	@$(SUITE) topology

retention: install ## write the table of docs/operations/retention.md from the services' tables
	@$(SUITE) retention

openapi: install ## write the OpenAPI document to .run/openapi.json, and sdk/operations.txt
	@$(SUITE) openapi

sdk: install ## generate and build the client libraries of sdk/ (Python, TypeScript) into sdk/dist
	@$(SUITE) sdk

migration: install ## write a new migration (S=orders M="add lines")
	@$(SUITE) migration $(S) "$(M)"

lock: ## pin requirements/all.in again; needs `uv` on the PATH
	@uv pip compile requirements/all.in --universal --generate-hashes --python-version 3.11 \
		--no-annotate --no-header --no-emit-index-url --quiet -o requirements/all.lock
	@for image in services gateway; do \
		uv pip compile requirements/$$image.in -c requirements/all.lock --universal --generate-hashes \
			--python-version 3.11 --no-annotate --no-header --no-emit-index-url --quiet \
			-o requirements/$$image.lock; done
	@uv pip compile requirements/deploy.in --universal --generate-hashes --python-version 3.11 \
		--no-annotate --no-header --no-emit-index-url --quiet -o requirements/deploy.lock
	@uv pip compile requirements/postgres.in --universal --generate-hashes --python-version 3.11 \
		--no-annotate --no-header --no-emit-index-url --no-deps --quiet -o requirements/postgres.lock
	@uv pip compile requirements/node.in --universal --generate-hashes --python-version 3.11 \
		--no-annotate --no-header --no-emit-index-url --no-deps --quiet -o requirements/node.lock

check-lock: ## check that the lock installs on each installed Python from 3.11 to 3.13
	@for python in python3.11 python3.12 python3.13; do \
		if $$python -c '' 2>/dev/null; then echo "· $$python" && \
		$$python -m pip install -qq --dry-run --ignore-installed --require-hashes -r requirements/all.lock || exit 1; fi; done
