# `make` lists the targets. Everything also works with plain go commands.
.DEFAULT_GOAL := help
.PHONY: help run check test deps fmt vet staticcheck generated race fuzz

TOOL := go tool -modfile=tools/go.mod
FUZZTIME ?= 1000000x

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## serve on port 3001
	go run ./cmd/parley

test: deps check ## pass everything: installs what the tests need, then runs all of them
	go test -shuffle=on ./...

check: fmt vet staticcheck generated race ## the quick gate: format, vet, staticcheck, generated files, race, shuffle

fmt:
	@unformatted=$$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l); \
	if [ -n "$$unformatted" ]; then echo "run gofmt -w on:"; echo "$$unformatted"; exit 1; fi

vet:
	go vet ./...

staticcheck:
	$(TOOL) staticcheck ./...

generated: # the files that a test can write anew with -update must be as it would write them
	go test -run 'Generated|Golden|Vectors' ./...

race:
	go test -race -short -shuffle=on ./...

deps: # what the tests need besides Go, from Debian's packages
	@./scripts/test-deps.sh

fuzz: ## run every fuzz target FUZZTIME times (default 1000000x)
	@set -e; for pkg in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done
