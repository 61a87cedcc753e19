# The short door; CMakePresets.json holds the truth.
LLAMA = $$(scripts/fetch_llama)
GRAMMARS = $$(scripts/fetch_grammars)

.PHONY: run web models build test setup-test kill9 fuzz bench asan tsan format lint setup clean
HOME_FOLDER ?= $(HOME)/.tenfold/shop
LISTEN ?= 127.0.0.1:8080

# From a clone to the sample shop in the browser.
run: build web models
	@exec bin/tenfold up --home $(HOME_FOLDER) --listen $(LISTEN) --example shop

models: build
	@bin/tenfold models pull all-minilm-l6-v2 >/dev/null
	@bin/tenfold models pull qwen2.5-coder-0.5b-instruct >/dev/null

# Rebuilt when a source is newer than what was built of it.
web: web/dist/index.html
web/dist/index.html: $(shell find web/src web/public -type f) web/index.html web/package-lock.json web/vite.config.ts
	@PATH="$$(scripts/fetch_node):$$PATH"; cd web && npm ci --silent --no-audit --no-fund && npm run build --silent -- --logLevel warn && touch dist/index.html

build: setup
	@cmake --preset release -DTENFOLD_LLAMA="$(LLAMA)" -DTENFOLD_GRAMMARS="$(GRAMMARS)" >build-configure.log 2>&1 || { tail -30 build-configure.log; exit 1; }
	@cmake --build --preset release

# Models are fetched for the tests that need them; where that cannot be, those tests say that they were left out.
test: setup-test build web
	-@bin/tenfold models pull all-minilm-l6-v2 >/dev/null && bin/tenfold models pull smollm2-135m-instruct >/dev/null && bin/tenfold models pull qwen2.5-coder-0.5b-instruct >/dev/null
	@ctest --preset release

# Without llama.cpp, whose models would take minutes under a sanitizer; the scenario that needs it is left out.
asan tsan:
	@scripts/setup build run sanitize
	@cmake --preset $@ -DTENFOLD_GRAMMARS="$(GRAMMARS)" >build-configure.log 2>&1 || { tail -30 build-configure.log; exit 1; }
	@cmake --build --preset $@
	@ctest --preset $@ -E shop

bench: setup
	@cmake --preset bench -DTENFOLD_LLAMA="$(LLAMA)" -DTENFOLD_GRAMMARS="$(GRAMMARS)" >build-configure.log 2>&1 || { tail -30 build-configure.log; exit 1; }
	@cmake --build --preset bench
	@for b in $(filter-out %/search_bench,$(wildcard build/bench/bin/*_bench)); do echo "== $$b"; $$b; done
	@for b in search_100k whole_path http_vs_nginx; do echo "== bench/$$b"; bench/$$b; done

setup:
	@scripts/setup build run
setup-test:
	@scripts/setup build run test
	-@scripts/fetch_servers >/dev/null

# Each parser of outside bytes for SECONDS_EACH seconds, starting from tests/corpus.
SECONDS_EACH ?= 30
fuzz:
	@scripts/setup build run sanitize
	@cmake --preset fuzz -DTENFOLD_GRAMMARS="$(GRAMMARS)" >build-configure.log 2>&1 || { tail -30 build-configure.log; exit 1; }
	@cmake --build --preset fuzz
	@for f in build/fuzz/bin/*_fuzzer; do name=$$(basename $$f _fuzzer); mkdir -p build/fuzz/corpus/$$name tests/corpus/$$name; echo "== $$name"; \
	  $$f -max_total_time=$(SECONDS_EACH) -max_len=65536 -timeout=10 -rss_limit_mb=4096 -verbosity=0 -print_final_stats=0 build/fuzz/corpus/$$name tests/corpus/$$name || exit 1; done

# The full proof: 500 kills under load, about 12 minutes.
kill9: build
	@python3 tests/fault/kill9.py bin/tenfold 500

format:
	@git ls-files '*.h' '*.cc' | xargs clang-format-19 -i
lint:
	@git ls-files '*.cc' | xargs clang-tidy-19 -p build/release --quiet
clean:
	@rm -rf build bin
