# Everything that a fresh clone needs. `make demo` to see it work, `make test` to know that it does.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Only wheels whose hashes are in the lock file; the package itself is built with the locked hatchling.
LOCKED := install --require-hashes --only-binary :all: -r

OTHER_PYTHONS := 3.12 3.13
# What stands at calls of libc, at a disk, in memory, in a browser or at another server is the same under every Python:
# once is enough.
ONCE      := torture faults/test_canary.py faults/test_clocks.py providers/test_fuzz.py providers/test_memory.py \
             reports/test_browser.py test_disks.py test_scale.py test_objects.py engines/test_ray.py contracts/test_engine.py
ELSEWHERE := $(ONCE:%=--ignore=tests/%)

.PHONY: demo install test torture test-all test-wheel test-pythons check bench format lock clean help

help:  ## show this
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/.runtime  ## install, then run jobs/welcome.yaml on the embedded sandbox
	$(BIN)/batchgen run jobs/welcome.yaml

install: $(VENV)/.runtime  ## install what running needs

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "batchgen needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) -V 2>&1); try make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: locks/runtime.lock pyproject.toml | $(BIN)/python
	$(PIP) $(LOCKED) locks/runtime.lock
	$(PIP) install --no-build-isolation --no-deps --editable .
	@# Where PYTHONDONTWRITEBYTECODE is set nobody else compiles the source, and every command would wait for that.
	$(BIN)/python -m compileall -q batchgen
	@touch $@

$(VENV)/.dev: locks/dev.lock $(VENV)/.runtime
	$(PIP) $(LOCKED) locks/dev.lock
	@touch $@

test: $(VENV)/.dev  ## run the tests
	$(BIN)/python -m pytest -n auto --dist loadfile $(TESTS)

torture: $(VENV)/.dev  ## kill and starve runs at every call they make (about 12 minutes)
	BATCHGEN_TORTURE=long $(BIN)/python -m pytest tests/torture

test-all: test-wheel test-pythons  ## what needs more: the wheel alone, other Pythons

test-wheel: $(VENV)/.dev  ## the wheel, alone in an empty environment, runs the demo
	rm -rf build/wheel && mkdir -p build/wheel
	$(PIP) wheel --no-build-isolation --no-deps --wheel-dir build/wheel .
	$(BIN)/python -m venv build/wheel/venv
	build/wheel/venv/bin/python -m pip --disable-pip-version-check --quiet $(LOCKED) locks/runtime.lock
	build/wheel/venv/bin/python -m pip --disable-pip-version-check --quiet install --no-deps build/wheel/*.whl
	cd build/wheel && venv/bin/batchgen run ../../jobs/welcome.yaml --output output
	test -s build/wheel/output/welcome/index.html

test-pythons:  ## the tests, but for those of ONCE, on the other supported Pythons that this machine has
	@for version in $(OTHER_PYTHONS); do \
	  python=; \
	  for found in python$$version $$HOME/.pyenv/versions/$$version.*/bin/python; do \
	    if $$found -c '' 2>/dev/null; then python=$$found; break; fi; \
	  done; \
	  if [ -z "$$python" ]; then echo "python$$version is not on this machine: not tested"; continue; fi; \
	  $(MAKE) --no-print-directory test PYTHON=$$python VENV=build/venv-$$version TESTS="$(ELSEWHERE)" || exit 1; \
	done

check: $(VENV)/.dev  ## formatting, lint, types, floors, the README's help text
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m pytest --quiet tests/test_readme.py

# Whom batchgen is compared with lives in an environment of its own: their requirements are not ours.
build/bench/.made: locks/bench.lock | $(BIN)/python
	$(BIN)/python -m venv build/bench
	build/bench/bin/python -m pip --disable-pip-version-check --quiet $(LOCKED) locks/bench.lock
	@touch $@

bench: $(VENV)/.dev build/bench/.made  ## every figure of docs/performance.md and docs/scaling.md but the report's (needs nginx)
	$(BIN)/python -m tests.bench.clients build/bench/bin/python
	$(BIN)/python -m tests.bench.durability
	$(BIN)/python -m tests.bench.startup
	$(BIN)/python -m tests.bench.scale
	$(BIN)/python -m tests.bench.pacing
	$(BIN)/python -m tests.bench.simulation

format: $(VENV)/.dev  ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock:  ## write the lock files again (needs uv)
	uv pip compile pyproject.toml --group build --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet -o locks/runtime.lock
	uv pip compile pyproject.toml --group build --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet -o locks/dev.lock
	uv pip compile --group bench --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --quiet -o locks/bench.lock

clean:  ## remove what can be made again; output/ is never touched
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
