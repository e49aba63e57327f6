# Two commands of a fresh machine with Python 3.11 to 3.14: `make run` and `make test`. Both make .venv from requirements.lock.
SHELL := /bin/bash
NAMES := python3.14 python3.13 python3.12 python3.11 python3
# A Python that is new enough and can make an environment with pip (Debian keeps ensurepip in a package of its own).
USABLE := import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
PYTHON ?= $(shell for name in $(NAMES); do $$name -c '$(USABLE)' 2>/dev/null && { command -v $$name; break; }; done)
FILE ?= prompts/demo.yaml
UV_PIN := uv==0.13.8
ENV ?= .venv
BIN := $(ENV)/bin
# A folder of wheels that pip is told of (PIP_FIND_LINKS) holds for uv as well.
UV := UV_FIND_LINKS="$${UV_FIND_LINKS:-$${PIP_FIND_LINKS:-}}" UV_HTTP_TIMEOUT=300 $(BIN)/uv

# Commands that the tests start, and the tests' own rewritten modules, are compiled once, not in every process.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test test-core test-published lint format types studies sbom bench lock hashes env clean

run: $(ENV)/ready
	@$(BIN)/dreamsweep run $(FILE)

# In as many processes as there are cores, up to four; a file's tests stay together. With ALL=yes, as in `.ci/run all`, a network is compiled
# as well, and a Docker engine of our own is started for the containers, which takes root and a quarter of an hour.
test: $(ENV)/ready
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --no-loadscope-reorder --max-worker-restart 0 \
	    $(or $(ARGS),$(if $(ALL),-o faulthandler_timeout=3600,-m "not docker and not compiler and not chaos"))

# The core alone, which needs neither Prefect's server nor a browser, on another Python: make test-core PYTHON=python3.13. Each version
# has an environment of its own (.venv-3.13), of about 6 GB where PyTorch comes with CUDA. NUMERICS, which an interpreter does not change,
# are tested in .venv alone; every engine still draws its golden picture here, and every loss and judge that sweeps use. Property tests
# try a tenth of their examples.
NUMERICS := compute engines guidance judges models training weights/vectors
CORE := tests/dreamsweep tests/test_layering.py tests/test_package.py tests/test_prompts.py -m "not slow" --hypothesis-profile=few \
    $(addprefix --ignore=tests/dreamsweep/,$(NUMERICS))
# With BRIEFLY=yes, for a Python between two that have the whole core: specs, readers of files, stores, tables and whole shards.
BETWEEN := $(addprefix tests/dreamsweep/,generation planning spec store tables test_environment.py test_errors.py) tests/test_layering.py \
    tests/test_package.py tests/test_prompts.py -m "not slow" --hypothesis-profile=few
VERSION = $(shell "$(PYTHON)" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
test-core:
	@$(MAKE) --no-print-directory test ENV=.venv-$(VERSION) PYTHON="$(PYTHON)" ARGS='$(if $(BRIEFLY),$(BETWEEN),$(CORE)) $(ARGS)'

# Every published model at its real size, with random values: by hand, as it takes up to 16 GiB of memory and 14 GB of disk.
test-published: $(ENV)/ready
	nice $(BIN)/python -m pytest -m published -o faulthandler_timeout=0 --durations=0 $(ARGS) tests/dreamsweep/weights/vectors

lint: $(ENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(ENV)/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(ENV)/ready
	$(BIN)/mypy

# The studies with starter weights, each with its report (docs/studies.md). What is there already is kept.
STUDIES := optimizers phrasings strokes between unclip variations
studies: $(ENV)/ready
	@for study in $(STUDIES); do \
	    $(BIN)/dreamsweep run prompts/studies/$$study.yaml && $(BIN)/dreamsweep report study-$$study || exit 1; done

# What is installed, as CycloneDX: dreamsweep.cdx.json (docs/reliability.md says how to audit it).
SBOM_PIN := cyclonedx-bom==7.5.0
sbom: $(ENV)/ready
	$(UV) tool run --quiet --from $(SBOM_PIN) cyclonedx-py environment --output-reproducible --pyproject pyproject.toml --of JSON \
	    -o dreamsweep.cdx.json $(BIN)/python

# All but the soak, which takes over half an hour and a PostgreSQL.
bench: $(ENV)/ready
	@for file in $(filter-out benchmarks/soak.py,$(wildcard benchmarks/*.py)); do echo "== $$file"; $(BIN)/python $$file || exit 1; done

env: $(ENV)/ready

# The environment: made anew only when the lock or the pins of this file change. COMPILE= leaves bytecode to the first import.
COMPILE := --compile-bytecode
INSTALL_UV = test -x $(BIN)/uv || { "$(PYTHON)" -m venv $(ENV) && $(BIN)/python -m pip install --quiet --disable-pip-version-check $(UV_PIN); }
$(ENV)/ready: requirements.lock requirements.hashes pyproject.toml
	@"$(or $(PYTHON),false)" -c '$(USABLE)' 2>/dev/null || { echo 'dreamsweep needs Python 3.11 to 3.14 with venv and pip, and' \
	    '$(if $(PYTHON),$(PYTHON) is no such Python,found none (looked for $(NAMES)))': 'install one' \
	    '(on Debian and Ubuntu: apt install python3-venv), or name one: make PYTHON=/path/to/python3.13' >&2; exit 2; }
	@echo "Making $(ENV) from requirements.lock with $$("$(PYTHON)" --version) (2 GB, or 6 GB where PyTorch comes with CUDA; once)…"
	@$(INSTALL_UV)
	@$(UV) pip install --quiet --python $(BIN)/python $(COMPILE) -r requirements.lock -c requirements.hashes
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

# Newest versions that pyproject.toml allows, for Linux and macOS and every Python from 3.11 to 3.14. torch keeps its own pin here;
# its CUDA packages are left out, for it pins them itself and a CPU build does without.
TORCH := torch==2.13.0
lock: $(ENV)/ready
	echo "$(TORCH)" > $(ENV)/constraints
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --no-header --no-annotate --group dev \
	    -c $(ENV)/constraints pyproject.toml -o $(ENV)/compiled
	{ echo "# Exact versions of everything (make lock). Also good as constraints: pip install -c requirements.lock ."; \
	  sed -E "s/\\+cpu//; s/^(torch==[^ ]*) ;.*/\\1/; /^(nvidia-|cuda-|triton)/d; s/ ; python_full_version < '3.15'\$$//" \
	    $(ENV)/compiled | sort -u; } > requirements.lock
	$(MAKE) --no-print-directory hashes

# SHA-256 of every file that the index has of the locked versions: after a change of requirements.lock by hand. torch has none here, for a
# folder of wheels may hold another build of the same version.
hashes:
	@$(INSTALL_UV)
	$(UV) pip compile --quiet --universal --python-version 3.11 --no-deps --no-header --no-annotate --generate-hashes \
	    --no-emit-package torch requirements.lock -o $(ENV)/hashed
	{ echo "# SHA-256 of what requirements.lock names, but for torch (make hashes). make env checks them."; cat $(ENV)/hashed; } \
	    > requirements.hashes

clean:
	rm -rf .venv .venv-3.*
