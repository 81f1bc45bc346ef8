# What can be done here: `make help`. Needs make and a Python 3.11+; keeps all else in .venv.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh
PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
INPUTS := pyproject.toml tools/bootstrap.sh tools/python.sh

SEEDS ?= 500
HOURS ?= 1
MINUTES ?= 30
SEED ?=
FROM ?=
BENCH ?=
ARGS ?=
STORE ?=

# $(1): the stamp's name, $(2): the locks that it stands for, $(3): the stamps of what those contain
define environment
$(VENV)/.stamp-$(1): $(INPUTS) $(2)
	@python=$$$$(sh tools/python.sh $(PYTHON)) && sh tools/bootstrap.sh $(VENV) "$$$$python" $(2)
	@touch $$@ $(addprefix $(VENV)/.stamp-,$(3))
endef
RUN_LOCKS := requirements/build.txt requirements/run.txt
DEV_LOCKS := requirements/build.txt requirements/dev.txt
DOCS_LOCKS := requirements/build.txt requirements/dev.txt requirements/docs.txt
$(eval $(call environment,run,$(RUN_LOCKS),))
$(eval $(call environment,dev,$(DEV_LOCKS),run))
$(eval $(call environment,docs,$(DOCS_LOCKS),dev run))

# The other Pythons' environments, for tools/test.sh, which says which interpreter each is made with.
.venv-3.%/.stamp: $(INPUTS) $(DEV_LOCKS)
	@sh tools/bootstrap.sh $(@D) "$(OTHER)" $(DEV_LOCKS)
	@touch $@

FETCH_ETCD = $(if $(filter etcd,$(STORE)),sh tools/etcd.sh $(VENV)/etcd >/dev/null &&)

.PHONY: help
help: ## what can be made here
	@echo "Tenure: make TARGET"; echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 18

.PHONY: demo
demo: $(VENV)/.stamp-run ## three units, an election, a failover and a transfer, in half a minute (these three also with STORE=etcd)
	@$(FETCH_ETCD) $(BIN)/python examples/demo.py $(if $(STORE),--store $(STORE)) $(ARGS)

.PHONY: demo-settings
demo-settings: $(VENV)/.stamp-run ## a setting is rolled out while units die, join, come back and leave, in half a minute
	@$(FETCH_ETCD) $(BIN)/python examples/demo_settings.py $(if $(STORE),--store $(STORE)) $(ARGS)

.PHONY: demo-singleton
demo-singleton: $(VENV)/.stamp-run ## a counter that must never run twice: its agent is ended, killed and frozen, in half a minute
	@$(FETCH_ETCD) $(BIN)/python examples/demo_singleton.py $(if $(STORE),--store $(STORE)) $(ARGS)

.PHONY: test
test: $(VENV)/.stamp-dev ## every test: quick ones first, slow ones, then the quick ones on other Pythons
	@sh tools/test.sh $(VENV) $(ARGS)

.PHONY: quick
quick: $(VENV)/.stamp-dev ## the quick tests only, on one Python
	@$(BIN)/python -m pytest -q -n 2 -m "not slow" $(ARGS)

.PHONY: lint
lint: $(VENV)/.stamp-dev ## ruff, mypy, the floors' imports, the rules of the house
	@sh tools/lint.sh $(BIN)

.PHONY: fix
fix: $(VENV)/.stamp-dev ## format, and mend what ruff can mend
	@$(BIN)/ruff format . ; $(BIN)/ruff check --fix .

.PHONY: bench
bench: $(VENV)/.stamp-dev ## measure each figure that is promised, as a table
	@$(BIN)/python -m bench $(BENCH)

.PHONY: simulate
simulate: $(VENV)/.stamp-run ## the seeded simulation: SEEDS=500 HOURS=1 FROM=seed
	@$(BIN)/python -m tenure.simulation --seeds $(SEEDS) --hours $(HOURS) $(if $(FROM),--from $(FROM)) $(ARGS)

.PHONY: soak
soak: $(VENV)/.stamp-dev ## faults at random against three agents and three `tenure hold`, with a witness outside: MINUTES=30 SEED=1, STORE=etcd on three hosts
	@$(BIN)/python -m tests.soak$(if $(filter etcd,$(STORE)),.etcd) --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: etcd
etcd: ## fetch each etcd that Debian offers into .venv/etcd, for tests and the demo; installs nothing
	@sh tools/etcd.sh $(VENV)/etcd

.PHONY: docs
docs: $(VENV)/.stamp-docs ## the documentation, as web pages in docs/_build/html
	@$(BIN)/python tools/reference.py --check
	@$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

.PHONY: reference
reference: $(VENV)/.stamp-dev ## write docs/reference/ anew from the code
	@$(BIN)/python tools/reference.py

.PHONY: stubs
stubs: ## write the messages that etcd is spoken to with anew from their .proto
	@python=$$(sh tools/python.sh $(PYTHON)) && sh tools/stubs.sh "$$python"

.PHONY: lock
lock: ## resolve pyproject.toml's dependencies anew into requirements/ (UPGRADE=1 for newer releases)
	@python=$$(sh tools/python.sh $(PYTHON)) && sh tools/lock.sh "$$python" $(if $(UPGRADE),--upgrade)

.PHONY: venv
venv: $(VENV)/.stamp-dev ## the environment alone, with all that tests and lint need

.PHONY: clean
clean: ## remove environments, caches and built pages
	@rm -rf .venv .venv-3.* docs/_build build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
