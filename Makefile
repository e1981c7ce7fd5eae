# The only entry point: everything that CI runs is a target here, and `make test` is all of it.

PYTHON ?= python3
GUEST := wasi-streams
COMPOSE := wasi-streams-compose
HOST := wasi-streams-host
# A program that embeds the host, built as the host is.
EMBED := wasi-streams-embed
# The examples have TLS and the fixtures have not, one apart: built by one cargo command, all would have it.
EXAMPLES := wasi-streams-examples
FIXTURES := wasi-streams-fixtures
# What exports the library to other languages and accepts for them, and who imports it.
EXPORT := wasi-streams-component
DRIVER := wasi-streams-driver
CONSUMERS := wasi-streams-compose-rust wasi-streams-compose-rust-push
BENCH := wasi-streams-bench
GUESTS := wasi-streams-bench-guests
WASM := --target wasm32-wasip2
COMPONENT := $(WASM) --profile component

# The places below target/ are promises (README, tests, tools), whatever the environment says.
export CARGO_TARGET_DIR := $(CURDIR)/target
# The Python here leaves nothing behind in the source tree.
export PYTHONDONTWRITEBYTECODE := 1

# The library with everything that it can have.
ALL_FEATURES := $(GUEST)/tls-ring,$(GUEST)/component,$(GUEST)/unix,$(GUEST)/micro

say = @printf '==> %s\n'

.DEFAULT_GOAL := help
# Cargo is parallel by itself, and its output is readable only one at a time.
.NOTPARALLEL:
.PHONY: help setup compose-setup programs components composed demo compose readme test plain bench bench-tls bench-micro test-native test-wasm conformance conformance-write lint doc fuzz fuzz-merge

help: ## print this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/make \1 # \2/p' $(MAKEFILE_LIST) | awk -F' # ' '{ printf "%-24s %s\n", $$1, $$2 }'

setup: ## check the tools, install the compile target and what else is missing
	@PYTHON=$(PYTHON) tools/setup.sh

compose-setup: setup ## install the compilers of other languages to components, below target/tools
	@PYTHON=$(PYTHON) tools/compose-setup.sh

programs: ## build the examples to target/components/NAME.wasm, and target/release/wasi-streams-run and embed
	$(say) 'programs: the examples for wasm32-wasip2'
	cargo build --locked -p $(EXAMPLES) $(COMPONENT)
	cargo build --locked -p $(EXAMPLES) --features unix --bin unix-echo $(COMPONENT)
	@tools/collect-components.sh $(EXAMPLES)
	$(say) 'programs: the runner, and the example of an embedder'
	cargo build --locked --release -p $(HOST) -p $(EMBED) --bin wasi-streams-run --bin embed

components: programs composed ## build everything that becomes a component, to target/components
	$(say) 'components: fixtures for wasm32-wasip2'
	cargo build --locked -p $(FIXTURES) $(COMPONENT)
	cargo build --locked -p $(FIXTURES) --features tls --bin tls --bin tls-cost $(COMPONENT)
	cargo build --locked -p $(FIXTURES) --features unix --bin unix --bin unix-raw $(COMPONENT)
	@tools/collect-components.sh --all $(EXAMPLES) $(FIXTURES)

composed: ## build the library as a component, and the programs in Rust that use it by composition
	@tools/export.sh $(EXPORTS)
	$(say) 'composed: programs in Rust that use the library by composition'
	cargo build --locked -p $(COMPOSE)
	cargo build --locked $(CONSUMERS:%=-p %) $(COMPONENT)
	@tools/collect-composed.sh

compose: compose-setup components ## run the programs that use the library by composition, against real peers
	$(say) 'compose'
	@$(PYTHON) tools/compose.py $(ONLY)

readme: components ## run the commands of README.md
	$(say) 'readme'
	@$(PYTHON) tools/readme.py

demo: setup programs ## run the examples against each other and against a real HTTP server, in the clear and over TLS
	$(say) 'demo'
	@$(PYTHON) tools/demo.py

test: compose-setup lint plain test-native test-wasm conformance doc demo compose readme ## everything CI runs
	$(say) 'test: all passed'

plain: ## prove that a program without TLS builds without a C compiler
	$(say) 'plain'
	@tools/plain.sh

test-native: ## tests that need no WebAssembly: the library on its simulated network, its examples, the tools
	$(say) 'test-native: the library and the examples, with TLS and what its component stands on'
	cargo test --locked -p $(GUEST) -p $(EXAMPLES) --features $(ALL_FEATURES),$(EXAMPLES)/unix
	$(say) 'test-native: the library without TLS'
	cargo test --locked -p $(GUEST) --lib --tests
	$(say) 'test-native: the tools'
	$(PYTHON) -m unittest discover -s tools
	cargo test --locked -p $(COMPOSE)
	cargo test --locked --release -p $(BENCH)

test-wasm: components ## tests of the components under wasmtime
	$(say) 'test-wasm'
	cargo test --locked --release -p $(HOST)

bench-tls: components ## measure what TLS costs in a guest, against the same program natively
	$(say) 'bench-tls'
	cargo build --locked --release -p $(FIXTURES) --features tls --bin tls-cost
	@$(PYTHON) tools/tls_cost.py

# All that its composed programs consist of.
bench: EXPORTS := wasi-streams wasi-streams-driver
bench: setup composed ## measure the library beside its peers; QUICK=1 for less, ONLY='ping 1' for one test (or ONLY=ping), DOCS=1 to write docs/benchmarks.md
	$(say) 'bench: the servers'
	cargo build --locked -p $(GUESTS) $(COMPONENT)
	cargo build --locked -p $(GUESTS) --features tls --bin bench-ours-tls $(COMPONENT)
	cargo build --locked --release -p $(HOST) -p $(BENCH) --bins
	$(say) 'bench'
	@PYTHON=$(PYTHON) target/release/$(BENCH) $(if $(QUICK),--quick) $(if $(ONLY),--only '$(ONLY)') $(if $(DOCS),--docs)

bench-micro: ## measure the parts that do no I/O, natively
	$(say) 'bench-micro'
	cargo bench --locked -p $(GUEST) --features $(GUEST)/micro,$(GUEST)/tls-ring --bench pure

conformance: ## list every row of CONFORMANCE.md with the tests that prove it; fail on a gap or a stale status
	$(say) 'conformance'
	@$(PYTHON) tools/conformance.py

conformance-write: ## write the status column of CONFORMANCE.md
	$(say) 'conformance: writing the status column'
	@$(PYTHON) tools/conformance.py --write --quiet

lint: ## format, clippy, layers, dependency policy; warnings are errors
	$(say) 'lint: format'
	cargo fmt --all --check
	$(say) 'lint: rules of the code'
	@$(PYTHON) tools/layers.py
	$(say) 'lint: clippy, library and examples natively'
	cargo clippy --locked -p $(GUEST) --all-targets -- -D warnings
	cargo clippy --locked -p $(GUEST) -p $(EXAMPLES) --features $(ALL_FEATURES),$(EXAMPLES)/unix --all-targets -- -D warnings
	$(say) 'lint: clippy, library and programs for wasm32-wasip2'
	cargo clippy --locked -p $(GUEST) -p $(FIXTURES) $(COMPONENT) -- -D warnings
	cargo clippy --locked -p $(GUEST) -p $(EXAMPLES) -p $(FIXTURES) --features $(FIXTURES)/tls $(COMPONENT) -- -D warnings
	cargo clippy --locked -p $(GUEST) -p $(EXAMPLES) -p $(FIXTURES) --features $(FIXTURES)/unix,$(EXAMPLES)/unix $(COMPONENT) -- -D warnings
	cargo clippy --locked -p $(EXPORT) -p $(DRIVER) $(CONSUMERS:%=-p %) $(COMPONENT) -- -D warnings
	$(say) 'lint: clippy, host'
	cargo clippy --locked --release -p $(HOST) -p $(EMBED) --all-targets -- -D warnings
	$(say) 'lint: clippy, benchmarks'
	cargo clippy --locked --release -p $(BENCH) --all-targets -- -D warnings
	cargo clippy --locked -p $(GUESTS) --features $(GUESTS)/tls $(COMPONENT) -- -D warnings
	$(say) 'lint: clippy, tools'
	cargo clippy --locked -p $(COMPOSE) --all-targets -- -D warnings
	$(say) 'lint: WIT'
	@$(PYTHON) tools/wit_deps.py --check
	cargo run --quiet --locked -p $(COMPOSE) -- wit-check wit --released wit/released --ours provider
	cargo run --quiet --locked -p $(COMPOSE) -- wit-check wit/unix --released wit/unix/released
	$(say) 'lint: dependencies'
	@tools/deny.sh

doc: ## build the documentation of the library for both targets, and of the host library; warnings are errors
	$(say) 'doc: natively'
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps -p $(GUEST) --features tls-ring,unix
	$(say) 'doc: for wasm32-wasip2'
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps -p $(GUEST) $(WASM)
	$(say) 'doc: of the host library'
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --release --no-deps -p $(HOST) --lib

# Not part of `test`, nor is a check that fuzz/ compiles, which would build libFuzzer and everything below the library once more: fuzz/
# is one call for each target, and what it calls is compiled, linted and run over the corpora by `lint` and `test-native`.
fuzz: ## fuzz the reader and TLS for FUZZ_SECONDS each (60 unless set); `test-native` replays fuzz/corpus
	@tools/fuzz.sh

fuzz-merge: ## keep in fuzz/corpus what `make fuzz` has found, as few inputs as reach the same
	@tools/fuzz.sh merge
