# `make demo` and `make test` need a Rust toolchain, make and a C compiler; what else they need they install by name.
CARGO ?= cargo
BENCH_CALLS ?= 100
BENCH_SECONDS ?= 20
BENCH_STEPS ?= 10,100,1000
BENCH_CHURN_SECONDS ?= 20

.PHONY: demo test lint bench sound fmt build-deps test-deps

demo: build-deps
	$(CARGO) run --release --bin trunkline -- demo

test: build-deps test-deps
	$(CARGO) build --bin trunkline --bin trunkline-loadtest
	$(CARGO) nextest run --workspace --no-fail-fast
	$(CARGO) test --workspace --doc

lint: build-deps
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items
	.ci/deny

bench: build-deps
	$(CARGO) build --release --bin trunkline --bin trunkline-loadtest
	target/release/trunkline-loadtest bench --calls $(BENCH_CALLS) --seconds $(BENCH_SECONDS) --gateway target/release/trunkline
	target/release/trunkline-loadtest bench --steps $(BENCH_STEPS) --churn-seconds $(BENCH_CHURN_SECONDS) --gateway target/release/trunkline

sound: build-deps
	@.ci/install sound
	$(CARGO) build --release --bin trunkline-loadtest
	target/release/trunkline-loadtest sound

build-deps:
	@.ci/install build

test-deps:
	@.ci/install test
