# The commands of this project. Each sets up what it needs; a fresh machine needs Python >= 3.11 and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
RUN := build/run
BENCH := build/bench-venv
BENCH_READY := $(BENCH)/ready
PEERS := tests/benchmarks/requirements.txt
FRAMEWORKS := build/frameworks-venv
FRAMEWORKS_READY := $(FRAMEWORKS)/ready
DOCS := build/docs-venv
DOCS_READY := $(DOCS)/ready
OPENCV5 := build/opencv5-venv
OPENCV5_READY := $(OPENCV5)/ready

.PHONY: help run report chromium test test-frameworks coverage opencv soak fix check lint types docs bench protos wheel clean
.DEFAULT_GOAL := help

help:  ## Show these commands.
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

$(READY): pyproject.toml .ci/constraints.txt protos/build_hook.py protos/caffe_filler/caffe/caffe.proto protos/caffe_filler/v1/filler.proto protos/caffe_filler/v1/rules.proto
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint .ci/constraints.txt --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint .ci/constraints.txt --editable '.[all]' --group dev
	@touch $@

run: $(READY)  ## Serve on a local socket and stream CaffeNet (61 M parameters) from there into a file.
	@mkdir -p $(RUN); set -eu; \
	$(BIN)/filler serve --listen unix:$(RUN)/filler.sock & server=$$!; \
	trap 'kill -TERM $$server 2>/dev/null; wait $$server' EXIT; \
	until $(BIN)/filler fillers --server unix:$(RUN)/filler.sock >$(RUN)/fillers.txt 2>&1; do kill -0 $$server; done; \
	$(BIN)/filler init tests/nets/caffenet.prototxt --input data=256,3,227,227 --seed 1701 \
		--server unix:$(RUN)/filler.sock -o $(RUN)/caffenet.safetensors

report: $(READY)  ## Build a page about CaffeNet and its weights into build/report.
	@mkdir -p build/report
	$(BIN)/filler report tests/nets/caffenet.prototxt --input data=256,3,227,227 --seed 1701 -o build/report/caffenet.html

# Workers and what they start are to find their modules compiled, whatever the environment says.
test test-frameworks coverage bench: export PYTHONDONTWRITEBYTECODE :=

chromium:  ## Install Debian's Chromium for the tests in a browser, where there is none and it can be done.
	@for browser in chromium chromium-browser google-chrome; do ! command -v $$browser >/dev/null || exit 0; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		{ apt-get -qq update && apt-get -qq install --yes --no-install-recommends chromium; } >/dev/null && exit 0; \
	fi; \
	echo 'No Chromium, and none could be installed (it takes root and apt-get): tests in a browser are skipped.' >&2

test: $(READY)  ## Run the tests, on all cores.
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 8 --dist worksteal

$(FRAMEWORKS_READY): pyproject.toml .ci/constraints.txt tests/frameworks.txt
	test -x $(FRAMEWORKS)/bin/python || $(PYTHON) -m venv $(FRAMEWORKS)
	$(FRAMEWORKS)/bin/python -m pip install --quiet --disable-pip-version-check --constraint .ci/constraints.txt --upgrade pip
	$(FRAMEWORKS)/bin/python -m pip install --quiet --constraint .ci/constraints.txt --editable '.[all]' --group test \
		--requirement tests/frameworks.txt
	@touch $@

test-frameworks: $(FRAMEWORKS_READY)  ## Run the tests that need PyTorch, JAX, Keras, ONNX or Ray, in an environment of their own.
	$(FRAMEWORKS)/bin/python -m pytest -m frameworks --numprocesses logical --maxprocesses 2 --dist worksteal

$(OPENCV5_READY): pyproject.toml .ci/constraints.txt tests/frameworks.txt tests/opencv5/requirements.txt
	test -x $(OPENCV5)/bin/python || $(PYTHON) -m venv $(OPENCV5)
	$(OPENCV5)/bin/python -m pip install --quiet --disable-pip-version-check --constraint .ci/constraints.txt --upgrade pip
	grep -h '^onnx' tests/frameworks.txt | xargs $(OPENCV5)/bin/python -m pip install --quiet \
		--constraint .ci/constraints.txt --editable .
	$(OPENCV5)/bin/python -m pip install --quiet --no-deps --requirement tests/opencv5/requirements.txt
	@touch $@

opencv: $(OPENCV5_READY)  ## Show which exported ONNX models OpenCV 5 reads and computes.
	$(OPENCV5)/bin/python -m tests.opencv5 2>/dev/null

soak: SECONDS ?= 300
soak: $(READY)  ## Serve mixed load under faults for 5 minutes (SECONDS=30: for less), and report.
	SOAK_SECONDS=$(SECONDS) $(BIN)/python -m pytest -s tests/service/faults/test_soak.py

fix: $(READY)  ## Format, and mend what the linter can mend.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

check:  ## Check all that must hold before a change lands, as CI does.
	.ci/run

lint: $(READY)  ## Check style and formatting.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

coverage: export COVERAGE_FILE := $(CURDIR)/build/coverage/data
coverage: $(READY)  ## Run the tests and show which lines none of them reaches; below the floor in pyproject.toml it fails.
	rm -rf build/coverage
	mkdir -p build/coverage
	$(BIN)/python -m coverage run -m pytest --numprocesses logical --maxprocesses 8 --dist worksteal
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report --skip-covered

types: $(READY)  ## Check types, strictly.
	$(BIN)/mypy

$(DOCS_READY): pyproject.toml .ci/constraints.txt client/docs/requirements.txt protos/caffe_filler/v1/filler.proto
	test -x $(DOCS)/bin/python || $(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet --disable-pip-version-check --constraint .ci/constraints.txt --upgrade pip
	$(DOCS)/bin/python -m pip install --quiet --constraint .ci/constraints.txt --editable . \
		--requirement client/docs/requirements.txt
	@touch $@

docs: $(DOCS_READY)  ## Build the documentation into build/docs.
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict --quiet --config-file client/docs/mkdocs.yml

$(BENCH_READY): pyproject.toml .ci/constraints.txt $(PEERS)
	test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --constraint .ci/constraints.txt --upgrade pip
	$(BENCH)/bin/python -m pip install --quiet --constraint .ci/constraints.txt --editable '.[all]'
	grep -v '^#' $(PEERS) | while read -r peer; do \
		$(BENCH)/bin/python -m pip install --quiet --constraint .ci/constraints.txt "$$peer" || echo "not available: $$peer"; \
	done
	@touch $@

bench: $(BENCH_READY)  ## Measure against peers: all, less (QUICK=1), or some (ONLY="generation nets").
	$(BENCH)/bin/python -m tests.benchmarks $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

protos: $(READY)  ## Generate the message classes anew.
	$(BIN)/python protos/build_hook.py

wheel: $(READY)  ## Build the wheel into dist/.
	$(BIN)/python -m build --wheel --outdir dist .

clean:  ## Remove what was built, the environment included.
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find protos -name '*_pb2*' -delete
