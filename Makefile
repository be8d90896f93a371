# Overread's tasks. Each sets up what it needs: a fresh checkout needs Python 3.11 or newer and nothing else by hand.
#
#   make demo        start the hub, send synthetic exams, see the results (ONCE=1 ends after the summary;
#                    STUDY=name of another study, or all)
#   make test        every check and every test
#   make test-fast   rules, contracts, and the tests of parts that need no browser, no container engine and no patience
#   make help        the rest

PYTHON ?= $(firstword $(foreach candidate,python3 python3.14 python3.13 python3.12 python3.11,$(shell \
	$(candidate) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(candidate))))

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
NPM := $(BIN)/python -m overread.hub.node --prefix xnat-plugins/core/web
WEB := xnat-plugins/core/web
PYTEST_ARGS ?=
STUDY ?= brain-tumor
WORKERS ?= 2
# what is tested with the hub's other database, too
POSTGRES_TESTS := $(addprefix tests/contract/test_,data_items.py data_files.py commands.py events.py)
# for the images' tests what pyproject.toml says for those in tests/: no rule there can name them
TEST_TYPES := --allow-untyped-defs --allow-untyped-calls --allow-incomplete-defs --check-untyped-defs --no-warn-unused-ignores

# Every step of the set-up leaves a stamp once it is whole, so a second run does nothing and an interrupted one goes on.
# Stamps lie in what they vouch for, so whoever deletes a folder deletes its stamp; dist goes whole into the plugin's jar
# and holds none.
VENV_STAMP := .venv/.stamp-created
PYTHON_STAMP := .venv/.stamp-installed
NODE_STAMP := $(WEB)/node_modules/.stamp-installed
WEB_STAMP := $(WEB)/node_modules/.stamp-built
OHIF_STAMP := build/ohif/prepared.json
PLUGINS_STAMP := build/plugins/.stamp-built

WEB_SOURCES := $(shell find $(WEB) -type f -not -path '*/node_modules/*' -not -path '*/dist/*' 2>/dev/null)
PLUGIN_SOURCES := $(shell find schemas forms xnat-plugins pytools/overread/plugins -type f \
	-not -path '*/node_modules/*' -not -path '*/dist/*' -not -name '*.pyc' 2>/dev/null)

# Nothing of an activated environment or of a user's own packages gets in.
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV
export PYTHONNOUSERSITE := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help setup demo bench images test test-fast test-xnat checks lint types contracts web-test format upgrade clean force

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 14

setup: $(PYTHON_STAMP) $(WEB_STAMP) $(PLUGINS_STAMP) $(OHIF_STAMP)  ## install and build everything below this folder

demo: setup  ## the whole line on synthetic exams; STUDY=name or all; ONCE=1 ends after the summary
	$(BIN)/overread demo --study "$(STUDY)"

test: setup checks web-test  ## every check and every test
	$(BIN)/python -m pytest -n $(WORKERS) $(PYTEST_ARGS)
	$(BIN)/python -m pytest --postgres $(POSTGRES_TESTS)

test-fast: setup lint contracts  ## rules and contracts, and the tests of parts that take seconds, on two cores
	$(BIN)/python -m pytest --fast -n 2 tests/unit containers $(PYTEST_ARGS)

test-xnat: $(PYTHON_STAMP)  ## the contract on another server: XNAT_URL=..., XNAT_USER, XNAT_PASSWORD (administrator)
	@test -n "$(XNAT_URL)" || { echo "Say which server: make test-xnat XNAT_URL=https://xnat.example.org" >&2; exit 1; }
	@XNAT_PASSWORD="$(XNAT_PASSWORD)" $(BIN)/python -m pytest tests/contract --xnat-url "$(XNAT_URL)" \
		--xnat-user "$(or $(XNAT_USER),admin)" $(PYTEST_ARGS)

checks: lint contracts types

lint: $(PYTHON_STAMP)  ## ruff: rules and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(PYTHON_STAMP)  ## mypy; each image by itself, since each has a main.py
	$(BIN)/mypy conftest.py pytools tests
	for main in containers/*/main.py; do \
		image=$$(dirname "$$main"); \
		$(BIN)/mypy --exclude /tests/ "$$image" && $(BIN)/mypy $(TEST_TYPES) "$$image/tests" || exit 1; \
	done

contracts: $(PYTHON_STAMP)  ## who may import whom
	$(BIN)/lint-imports

web-test: $(NODE_STAMP)  ## the review app's types and tests
	$(NPM) run check
	$(NPM) test

format: $(PYTHON_STAMP)  ## mend what ruff can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: setup  ## measure speed beside peers
	$(BIN)/python -m pytest tests/bench $(PYTEST_ARGS)

images: $(PYTHON_STAMP)  ## build the images with Docker: their base, then all of containers/; FIND_LINKS= for wheels
	docker build --build-arg PIP_FIND_LINKS="$(FIND_LINKS)" -f containers/base/Dockerfile -t overread/base:1.0.0 .
	for command in containers/*/command.json; do \
		name=$$($(BIN)/python -c 'import json, sys; print(json.load(open(sys.argv[1]))["image"])' "$$command"); \
		docker build --build-arg PIP_FIND_LINKS="$(FIND_LINKS)" -f "$$(dirname "$$command")/Dockerfile" -t "$$name" . || exit 1; \
	done

upgrade:  ## write the newest versions that fit together to constraints.txt
	sh .ci/upgrade-constraints "$(PYTHON)"

clean:  ## remove all that these tasks made, .venv too
	rm -rf .venv build dist demo $(WEB)/node_modules $(WEB)/dist
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find pytools tests containers -type d -name __pycache__ -prune -exec rm -rf {} +

$(VENV_STAMP):
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer found: install one, or name it by 'make PYTHON=/path/to/python3'." >&2; exit 1; }
	@$(PIP) --version >/dev/null 2>&1 || { rm -rf .venv; "$(PYTHON)" -m venv .venv; }
	@touch $@

# nilearn is wanted for the brain template in its wheel, not for its code: so without what it depends on.
$(PYTHON_STAMP): $(VENV_STAMP) constraints.txt pyproject.toml
	PIP_CONSTRAINT=constraints.txt $(PIP) install --quiet --editable '.[all,tensorflow,dev]'
	PIP_CONSTRAINT=constraints.txt $(PIP) install --quiet --no-deps nilearn
	@touch $@

$(NODE_STAMP): $(WEB)/package-lock.json $(WEB)/package.json | $(PYTHON_STAMP)
	$(NPM) ci
	@touch $@

$(WEB_STAMP): $(NODE_STAMP) $(WEB_SOURCES) $(if $(wildcard $(WEB)/dist/review/index.html),,force)
	$(NPM) run build
	@touch $@

$(PLUGINS_STAMP): $(WEB_STAMP) $(PLUGIN_SOURCES) | $(PYTHON_STAMP)
	$(BIN)/overread plugin build --all --output build/plugins
	@touch $@

$(OHIF_STAMP): pytools/overread/hub/viewer.py | $(PYTHON_STAMP)
	$(BIN)/python -m overread.hub.viewer prepare --out build/ohif
	@touch $@
