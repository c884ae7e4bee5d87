# Makefile -- what developers type; setup.py does the building
#
#   make            build in place
#   make check      format, types, layers, tests
#   make check SAN=1   the same under address and undefined-behaviour sanitizers
#   make bench      benchmarks, against what peers are installed
#   make wheel      a wheel in dist/, and its size
#
# PYTHON chooses the interpreter; it needs the extra [dev] of pyproject.toml.

PYTHON ?= python
TESTS ?= tests
CC ?= cc

san_folder = build/san-package
san_runtime = $(foreach lib,libasan.so libubsan.so libstdc++.so,$(shell $(CC) -print-file-name=$(lib)))

.PHONY: all check format types layers tests tests-san bench wheel clean

all:
	$(PYTHON) setup.py -q build_ext --inplace

ifeq ($(SAN),1)
check: format types layers tests-san
else
check: format types layers tests
endif

format:
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .

types:
	$(PYTHON) -m mypy pyarr

layers:
	$(PYTHON) -m pytest -q tests/test_layers.py

tests: all
	$(PYTHON) -m pytest -q $(TESTS)

# Leaks are counted by the allocator's own report: the interpreter's would drown ours.
# Reports are written past sys.stderr: pytest must not capture them.
tests-san:
	PYARR_SAN=1 $(PYTHON) setup.py -q build --build-lib $(san_folder)
	LD_PRELOAD="$(san_runtime)" PYTHONMALLOC=malloc \
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
	HYPOTHESIS_PROFILE=few PYTHONPATH=$(san_folder) \
	$(PYTHON) -P -m pytest -q --capture=sys -m "not slow" $(TESTS)

bench: all
	$(PYTHON) -m benchmarks
	for file in kernels overhead; do PYTHONPATH=. $(PYTHON) benchmarks/$$file.py || exit 1; done

wheel:
	$(PYTHON) -m pip wheel --no-deps -w dist .
	ls -l dist

clean:
	rm -rf build dist *.egg-info pyarr/_openblas pyarr/*.so
