# The short door; CMakePresets.json holds the truth.
LLAMA = $$(scripts/fetch_llama)

.PHONY: build test bench asan tsan format lint setup clean
build: setup
	@cmake --preset release -DTENFOLD_LLAMA="$(LLAMA)" >build-configure.log 2>&1 || { tail -30 build-configure.log; exit 1; }
	@cmake --build --preset release

test: build
	@ctest --preset release

asan tsan: setup
	@cmake --preset $@ >build-configure.log 2>&1 || { tail -30 build-configure.log; exit 1; }
	@cmake --build --preset $@
	@ctest --preset $@

bench: setup
	@cmake --preset bench -DTENFOLD_LLAMA="$(LLAMA)" >build-configure.log 2>&1 || { tail -30 build-configure.log; exit 1; }
	@cmake --build --preset bench
	@for b in build/bench/bin/*_bench; do echo "== $$b"; $$b; done

setup:
	@scripts/setup build run

format:
	@git ls-files '*.h' '*.cc' | xargs clang-format-19 -i
lint:
	@git ls-files '*.cc' | xargs clang-tidy-19 -p build/release --quiet
clean:
	@rm -rf build bin
