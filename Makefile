# "make demo" and "make test" install what they need into .venv. They need only python3 and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
export PATH := $(abspath $(BIN)):$(PATH)

# Two hours of 5-minute candidates. The simulator's clock moves one step with each snapshot served.
SIMULATE := scrapy simulate --clock 2025-12-05T12:00Z --advance 5 --
COLLECT := $(SIMULATE) scrapy crawl miso_rtload -a start=2025-12-05T12:00Z -a end=2025-12-05T13:55Z \
	-s MISO_MIN_INTERVAL=0 -s MISO_DATA_DIR=demo -s ENVIRONMENT=dev
REPORT := scrapy report -o demo/report.html --start 2025-12-05 --end 2025-12-06 -s MISO_DATA_DIR=demo -s S3_BUCKET=
LOG := demo/demo.log
FILES := find demo/sourcing -name 'realtime_total_load_20251205_1[23]*.json.gz'
define SHOW
import gzip, json, sys
document = json.load(gzip.open(sys.argv[1]))
data, metadata = document["data"], document["collection_metadata"]
print("   RefId:", data["RefId"])
for name in ("ClearedMW", "MediumTermLoadForecast", "FiveMinTotalLoad"):
    print(f"   {name}: {len(data[name])} rows, the last", data[name][-1])
print("   collected at", metadata["collected_at"], "from", metadata["source_url"])
endef
export SHOW

.PHONY: help demo test bench lint docs lock screenshot

help:
	@echo "make demo   collect two hours from a simulated feed into ./demo"
	@echo "make test   run every test"
	@echo "make lint   check format, style and types"
	@echo "make docs   build the documentation into docs/_build"
	@echo "make bench  measure the project's cost, in twenty minutes, and write the documentation's table"
	@echo "make screenshot   take the screenshot of the report; needs Debian's chromium"
	@echo "make lock   compile requirements*.txt from the dependencies in pyproject.toml"

$(VENV)/installed: requirements-dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

demo: $(VENV)/installed
	@mkdir -p demo && rm -f $(LOG)
	@echo "1. Two hours of 5-minute snapshots, from the simulator into ./demo:"
	@$(COLLECT) --logfile=$(LOG) || { cat $(LOG); exit 1; }
	@grep -o '[0-9]* candidates: .*' $(LOG) | sed 's/^/   /'
	@echo "2. The same range again; nothing is filed twice:"
	@$(COLLECT) --logfile=$(LOG) || { cat $(LOG); exit 1; }
	@grep -o '[0-9]* candidates: .*' $(LOG) | tail -n 1 | sed 's/^/   /'
	@echo "3. The files: $$($(FILES) | wc -l | tr -d ' ') of them, such as"
	@$(FILES) | sort | head -n 2 | sed 's/^/   /'
	@echo "   The content of the first one:"
	@python -c "$$SHOW" "$$($(FILES) | sort | head -n 1)"
	@echo "4. The same data as a report; open this page in a browser:"
	@reported=$$($(REPORT)) && echo "   $$reported"

test: $(VENV)/installed
	pytest --numprocesses auto --dist worksteal

bench: $(VENV)/installed
	python -m benchmarks

lint: $(VENV)/installed
	ruff format --check .
	ruff check .
	mypy

docs: $(VENV)/installed
	python -m sphinx --fail-on-warning --keep-going --nitpicky --quiet docs docs/_build
	@echo "Built: docs/_build/index.html"

lock: $(VENV)/installed
	uv pip compile --quiet --universal --python-version 3.11 pyproject.toml -o requirements.txt
	uv pip compile --quiet --universal --python-version 3.11 --extra dataset pyproject.toml -o requirements-dataset.txt
	uv pip compile --quiet --universal --python-version 3.11 --extra dev pyproject.toml -o requirements-dev.txt

screenshot: $(VENV)/installed
	python docs/screenshot.py docs/report.png
