# Two commands of a fresh machine with Python 3.11: `make run` and `make test`. Both make .venv from requirements.lock.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
FILE ?= prompts/demo.yaml
UV_PIN := uv==0.13.8
BIN := .venv/bin
# A folder of wheels that pip is told of (PIP_FIND_LINKS) holds for uv as well.
UV := UV_FIND_LINKS="$${UV_FIND_LINKS:-$${PIP_FIND_LINKS:-}}" UV_HTTP_TIMEOUT=300 $(BIN)/uv

.PHONY: run test lint format types bench lock env clean

run: .venv/ready
	@$(BIN)/dreamsweep run $(FILE)

# In as many processes as there are cores, up to four. A file's tests stay together; those of containers, the slowest, come first.
test: .venv/ready
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --no-loadscope-reorder $(ARGS)

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: .venv/ready
	$(BIN)/mypy

bench: .venv/ready
	@for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

env: .venv/ready

# The environment: made anew only when the lock or the pins of this file change.
.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "dreamsweep needs Python 3.11; this is " + sys.version.split()[0] + ". Name another: make PYTHON=/path/to/python3.11")'
	@echo "Making .venv from requirements.lock (about 2 GB with PyTorch; once)…"
	@test -x $(BIN)/uv || { $(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet --disable-pip-version-check $(UV_PIN); }
	@$(UV) pip install --quiet --python $(BIN)/python --compile-bytecode -r requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

# Newest versions that pyproject.toml allows, for Linux and macOS. torch keeps its own pin here; its CUDA packages are left out,
# for it pins them itself and a CPU build does without.
TORCH := torch==2.13.0
lock: .venv/ready
	echo "$(TORCH)" > .venv/constraints
	$(UV) pip compile --quiet --upgrade --universal --python-version 3.11 --no-header --no-annotate --group dev \
	    -c .venv/constraints pyproject.toml -o .venv/compiled
	{ echo "# Exact versions of everything (make lock). Also good as constraints: pip install -c requirements.lock ."; \
	  sed -E "s/\\+cpu//; s/^(torch==[^ ]*) ;.*/\\1/; /^(nvidia-|cuda-|triton)/d; /python_full_version >= '3.1[2-9]'/d; s/ ; python_full_version < '3.1[2-9]'\$$//" \
	    .venv/compiled | sort -u; } > requirements.lock

clean:
	rm -rf .venv
