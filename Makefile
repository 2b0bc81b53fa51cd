# Two commands from a bare clone: `make demo` and `make test`. Both make .venv first; pip takes its versions from constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint bench docs docs-run docs-linkcheck wheel-check clean

NATIVE := $(wildcard cuda_ops/CMakeLists.txt cuda_ops/*.h cuda_ops/include/*.h cuda_ops/*/*_cpu.cpp)

$(VENV)/installed: pyproject.toml constraints.txt $(NATIVE)
	$(PYTHON) -c "import sys; assert sys.version_info >= (3, 11), 'shapekit needs Python 3.11 or newer; set PYTHON=python3.11'"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=24"
	PIP_CONSTRAINT=$(CURDIR)/constraints.txt $(BIN)/python -m pip install --quiet -e ".[dev]"
	touch $@

demo: $(VENV)/installed
	$(BIN)/shapekit demo -o out/demo

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# A file of tests at a time to as many processes as there are cores, each with one thread; tests of threads set their own.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile

bench: $(VENV)/installed
	mkdir -p out/benchmarks
	$(BIN)/pytest benchmarks --benchmark-only --benchmark-columns=median,iqr,rounds --benchmark-json=out/benchmarks/suite.json

# The guide, to out/docs/index.html. Every warning is an error, links and references inside among them; docs-run also runs the gallery, docs-linkcheck
# asks the pages' outside links, which needs a network.
docs: $(VENV)/installed
	rm -rf docs/api docs/auto_gallery out/docs
	$(BIN)/sphinx-build -q -W --keep-going -n -b html docs out/docs

docs-run: export SHAPEKIT_DOCS_RUN = 1
docs-run: docs

docs-linkcheck: $(VENV)/installed
	$(BIN)/sphinx-build -q -b linkcheck docs out/linkcheck

clean:
	rm -rf $(VENV) build dist out docs/api docs/auto_gallery

# The wheel without extras, away from the sources: first made without a compiler, then with one. Both score, and score the same.
wheel-check: $(VENV)/installed
	rm -rf out/wheel && mkdir -p out/wheel
	CC=/bin/false CXX=/bin/false PIP_CONSTRAINT=$(CURDIR)/constraints.txt $(BIN)/python -m pip wheel --quiet --no-deps -w out/wheel/plain .
	PIP_CONSTRAINT=$(CURDIR)/constraints.txt $(BIN)/python -m pip wheel --quiet --no-deps -w out/wheel/native .
	$(PYTHON) -m venv out/wheel/venv
	PIP_CONSTRAINT=$(CURDIR)/constraints.txt out/wheel/venv/bin/python -m pip install --quiet out/wheel/plain/*.whl
	cd out/wheel && venv/bin/shapekit doctor | tee doctor-plain.txt && grep -q "operators on cpu: torch and SciPy references" doctor-plain.txt
	cd out/wheel && venv/bin/shapekit demo -q -o plain && venv/bin/shapekit score $(CURDIR)/data/demo/demo_spine.nii.gz -o again && cmp plain/demo_spine/scores.csv again/demo_spine/scores.csv
	out/wheel/venv/bin/python -m pip install --quiet --no-deps --force-reinstall out/wheel/native/*.whl
	cd out/wheel && venv/bin/shapekit doctor | tee doctor-native.txt && grep -q "operators on cpu: C++" doctor-native.txt
	cd out/wheel && venv/bin/shapekit demo -q -o native && venv/bin/python -c "import pandas as pd; \
	  one, other = (pd.read_csv(f'{name}/demo_spine/scores.csv')['score'] for name in ('plain', 'native')); \
	  apart = (one - other).abs().max(); print(f'scores with and without the library: at most {apart:.1e} apart'); assert apart <= 1e-3"
