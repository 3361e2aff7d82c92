# Each target starts from a fresh clone: .venv is built once, when it is missing or outdated.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
SEED ?= 0
OUTPUT ?= runs/demo

.PHONY: demo world compare test nightly lint format clean

demo: $(INSTALLED)
	$(BIN)/neat demo --output $(OUTPUT) --seed $(SEED) --resume

world: $(INSTALLED)
	$(BIN)/neat demo --recipe world --output runs/world --seed $(SEED) --resume

compare: $(INSTALLED)
	$(BIN)/neat demo --recipe world --output runs/world --seed $(SEED) --resume --compare

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist loadgroup

nightly: $(INSTALLED)
	$(BIN)/pip install --quiet --constraint constraints-cpu.txt --editable '.[test,lint,nightly]'
	$(BIN)/python -m pytest -m nightly

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(INSTALLED): pyproject.toml constraints-cpu.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints-cpu.txt --editable '.[test,lint]'
	touch $@

clean:
	rm -rf $(VENV) runs
