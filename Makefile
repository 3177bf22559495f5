# `make` lists the targets. Everything but the tools for the widget also works
# with plain go commands.
.DEFAULT_GOAL := help
.PHONY: help run check test deps node fmt vet staticcheck generated race tsc size proof llm widget gallery fuzz bench

TOOL := go tool -modfile=tools/go.mod
NODE := tools/node/node_modules
FUZZTIME ?= 1000000x

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## serve on port 3001
	go run ./cmd/parley

test: deps node check tsc ## pass everything: installs what the tests need, then runs all of them
	PARLEY_TEST_FERRETDB=compile go test -shuffle=on ./...
	go test -race -run 'Shared|Archive' ./store/postgres ./store/redis
	go -C tools test ./bundle
	go -C proof test -p 1 ./crash ./powercut ./faults ./disk ./ledger ./llm
	go -C proof test -short ./providers ./nodes

check: fmt vet staticcheck generated race size ## the quick gate: format, vet, staticcheck, generated files, race, shuffle, size

fmt:
	@unformatted=$$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l); \
	if [ -n "$$unformatted" ]; then echo "run gofmt -w on:"; echo "$$unformatted"; exit 1; fi

vet:
	go vet ./...
	go -C proof vet ./...
	go -C tools/ferretdb vet ./...

staticcheck:
	$(TOOL) staticcheck ./...

generated: # the files that a test or a tool writes must be as it would write them
	go test -run 'Generated|Golden|Vectors|DistIsFresh' . ./cmd/... ./widget

race:
	go test -race -short -shuffle=on ./...

size: # what a visitor downloads
	@go test -count=1 -run Size -v ./widget | grep -E 'KB|bytes|FAIL' || true

tsc: node # the widget's types
	$(NODE)/.bin/tsc -p widget/src
	$(NODE)/.bin/tsc -p examples/react

deps: # what the tests need besides Go, from Debian's packages
	@./scripts/test-deps.sh

node: # what checks the widget and is written for Node
	@[ $(NODE)/.package-lock.json -nt tools/node/package-lock.json ] || npm ci --prefix tools/node --no-audit --no-fund --silent

proof: ## crashes, power cuts, full and failing disks, failing providers, with their figures
	go -C proof test -count=1 -v ./crash ./powercut ./faults
	go -C proof test -count=1 -v ./providers

llm: deps ## answers of a real model server, with their figures; builds it once, for minutes
	@./proof/llm/ollama.sh
	go -C proof test -count=1 -v ./llm

widget: ## build the widget's bundle from its sources
	go generate ./widget

gallery: ## write a picture of each state of the widget to dist/gallery
	mkdir -p dist/gallery
	go test -count=1 -timeout 15m -run EveryState ./widget -args -gallery=$(CURDIR)/dist/gallery

fuzz: ## run every fuzz target FUZZTIME times (default 1000000x)
	@set -e; for pkg in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

bench: ## what a turn costs, beside bare servers, and a streamed one beside a proxy
	go run ./bench
	go run ./bench -streams
