# `make search` runs a real search on embedded data; `make test` runs the tests. Both make the virtual environment.
PYTHON ?= python3
VENV ?= .venv
NAS = $(VENV)/bin/nas
# Half of their time tests wait for processes of Ray, so one more than there are CPUs; at most four, for memory.
TEST_PROCESSES ?= $(shell cpus=$$(env -u OMP_NUM_THREADS nproc); echo $$(( cpus < 4 ? cpus + 1 : 4 )))

.PHONY: search test check docs bench compiled clean

search: $(VENV)/.compiled
	$(NAS) search experiments/configs/digits.yaml --out runs/digits
	$(NAS) scale runs/digits --to m,l

test: $(VENV)/.compiled
	$(VENV)/bin/python -m pytest --numprocesses $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

check: $(VENV)/.installed
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

# The site, into docs/_build/html; a warning is an error, and nothing is fetched.
docs: $(VENV)/.installed
	$(VENV)/bin/python -m sphinx -W --keep-going -b html docs docs/_build/html

bench: $(VENV)/.installed
	$(VENV)/bin/python experiments/benchmarks/cost.py
	$(VENV)/bin/python -m experiments.benchmarks.step_time --device cpu
	$(VENV)/bin/python experiments/benchmarks/training.py --device cpu
	$(VENV)/bin/python -m experiments.benchmarks.network --device cpu

# torch first: constraints.txt pins a version of which a CPU build may be at hand, and nothing after it replaces it.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --no-compile --constraint constraints.txt torch
	$(VENV)/bin/python -m pip install --quiet --no-compile --constraint constraints.txt --editable ".[dev]"
	touch $@

# What pip would compile, beside the checks, which leave a core idle. Packages hold files that are no Python of today.
compiled: $(VENV)/.compiled
$(VENV)/.compiled: $(VENV)/.installed
	$(VENV)/bin/python -W ignore -m compileall -q $(VENV)/lib > /dev/null || true
	touch $@

clean:
	rm -rf $(VENV) build docs/_build docs/_generated *.egg-info
