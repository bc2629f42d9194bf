# The targets a person needs: make, make test, make test-homeserver, make test-packaging, make reproduce, make demo, make pictures, make attack, make arch, make size, make fuzz, make mutants, make model, make bench, make bench-go, make docs, make clean. They need Go, Node, and Debian's packages.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

# The same sources give the same bytes on every machine; stripping also hides local paths. wasm-opt is left out: it saves nothing after
# brotli. "web/packaging/size.mjs" has the budget.
GOBUILD := go build -trimpath -buildvcs=false -ldflags="-s -w -buildid="
# Packages that no hot call spends its time in are compiled without inlining: 68 kilobytes less after brotli, and no call measurably slower. Never
# put one here that a loop over bytes runs through (keys, megolm, signedjson, jsontext, crypto, the runtime).
# "web/packaging/overlay.mjs" says what of the libraries is left out.
COLD    := fmt time log encoding internal/synctest go.mau.fi/... knownsender/core/olm io bufio context errors path io/fs internal/oserror \
           internal/syscall/execenv internal/testlog internal/filepathlite math/rand math/rand/v2 sort math/big crypto/rand net/http reflect os \
           syscall unicode internal/fmtsort internal/poll internal/bisect internal/godebug internal/reflectlite net/url net/netip unique \
           github.com/vmihailenco/... github.com/hack-pad/... github.com/syumai/... knownsender/wasm knownsender/idbstore knownsender/jsbridge/... \
           knownsender/core knownsender/core/keyfile knownsender/core/policy knownsender/core/store knownsender/core/trust maunium.net/... \
           knownsender/core/record knownsender/core/lane knownsender/core/store/sealed knownsender/core/sharing knownsender/core/crosssigning \
           knownsender/core/redact knownsender/core/ids knownsender/core/sender strconv strings
WASM    := GOOS=js GOARCH=wasm $(GOBUILD) -modfile=web/build/wasm.mod -overlay web/build/overlay.json $(foreach package,$(COLD),-gcflags=$(package)=-l)
TSC     := node_modules/.bin/tsc

.PHONY: build test test-homeserver test-packaging reproduce demo pictures arch size fuzz mutants model bench bench-go clean wasm typescript test-build debian attack docs

build: wasm typescript web/dist/wasm_exec.js web/dist/THIRD_PARTY_NOTICES.txt

wasm:
	@mkdir -p web/dist
	@node web/packaging/overlay.mjs web/build/overlay.json
	$(WASM) -o web/dist/knownsender.wasm ./wasm
	$(WASM) -tags olm -o web/dist/knownsender-olm.wasm ./wasm

typescript: node_modules/.package-lock.json
	$(TSC) -p web
	@node web/packaging/javascript.mjs
	@cp web/src/wasm_exec.d.ts web/dist/

web/dist/wasm_exec.js: web/packaging/wasm-exec.mjs go.mod
	node web/packaging/wasm-exec.mjs $@

web/dist/THIRD_PARTY_NOTICES.txt: web/packaging/notices.mjs go.mod go.sum
	node web/packaging/notices.mjs $@

node_modules/.package-lock.json: package.json package-lock.json
	npm ci --no-audit --no-fund

# Everything: formatting, vet, staticcheck, types, native tests with the race detector, tests in headless Chrome, walls, size. It runs to
# the end even when something fails, and closes with how many passed and failed.
test: debian build test-build
	node web/test/run.mjs

# Rooms whose Go tests also run in Chrome.
IN_CHROME := idbstore

# What the tests in Chrome run besides the package: their own code, matrix-js-sdk without its own crypto, and a program that misuses the door.
test-build: node_modules/.package-lock.json web/dist/wasm_exec.js
	$(TSC) -p web/test
	@cp web/dist/wasm_exec.js web/build/src/
	node_modules/.bin/esbuild web/build/test/sdkpage.js --bundle --splitting --format=esm --target=es2022 --define:global=globalThis --outdir=web/build/sdk --log-level=warning --external:@matrix-org/matrix-sdk-crypto-wasm
	GOOS=js GOARCH=wasm go build -trimpath -tags doorkit -o web/build/doorkit.wasm ./web/test/doorkit
	@mkdir -p web/build/gotests
	for room in $(IN_CHROME); do GOOS=js GOARCH=wasm go test -c -o web/build/gotests/$${room//\//_}.wasm ./$$room; done

# The package beside a real homeserver and a real matrix-js-sdk, in headless Chrome: a line for every story. dendrite is built the first time,
# which takes some minutes. ACT=words plays the acts whose titles hold the words; BOB=matrix-js-sdk, BOB=fetch or BOB=libolm, with one kind of Bob.
test-homeserver: debian build test-build web/build/homeserver/dendrite
	$(TSC) -p web/test/endtoend
	node web/build/test/endtoend/run.js

# The package as it is published, in blank projects: plain pages, Node, esbuild, webpack, Vite, Next. A line for each; ONLY=vite,node runs some.
test-packaging: debian build test-build
	node web/test/packaging/run.mjs

# Builds and packs the package in two places, with nothing remembered of either, and compares every byte. Some minutes.
reproduce: node_modules/.package-lock.json
	node web/packaging/reproduce.mjs

# With C, for its SQLite: the one in pure Go wedges when a client hangs up in the middle of a request.
DENDRITE := github.com/element-hq/dendrite/cmd
web/build/homeserver/dendrite: web/test/homeserver/go.mod web/test/homeserver/go.sum | debian
	@mkdir -p web/build/homeserver
	cd web/test/homeserver && CGO_ENABLED=1 go build -trimpath -buildvcs=false -o ../../build/homeserver/ $(DENDRITE)/dendrite $(DENDRITE)/generate-keys
	@touch $@

# Every threat and every fault in web/test/attack/rows.json, met by the tests named there, natively and in headless Chrome: prints two tables, row, attack,
# outcome. Some minutes; make test runs the same tests, with samples of long lists.
attack: debian build test-build
	node web/test/attack/run.mjs

# Chromium for the tests, a C compiler for the race detector; only what is absent is installed.
debian:
	@bash web/packaging/debian.sh

# The recorded traffic, played through the module in headless Chrome: prints the table, then serves the page on 127.0.0.1 until interrupted.
# SERVE=0 ends after the table; PORT and CHROME are heeded.
SERVE ?= 1
demo: debian build
	$(TSC) -p web/demo
	SERVE=$(SERVE) node web/demo/run.mjs

# What some of its scenes come to, drawn in headless Chrome, light and dark, into web/demo/pictures: the README's pictures.
pictures: debian build
	$(TSC) -p web/demo
	node web/demo/pictures.mjs

arch: wasm
	node web/packaging/arch.mjs

size: build
	node web/packaging/size.mjs

# FUZZTIME a target; found inputs land in the room's testdata/fuzz and are replayed by make test from then on.
FUZZTIME ?= 1m
fuzz:
	node web/packaging/fuzz.mjs $(FUZZTIME)

# Mutation testing of what decides, none of make test: mistakes made on purpose in core/policy, core/sender, core/trust and core/megolm, or in ROOMS, which
# the room's own tests must notice. core/testdata/mutants.json lists those that nothing can notice, and why. Two at a time, at the lowest priority: an hour
# or more.
mutants:
	node web/packaging/mutants.mjs $(ROOMS)

# Ahead of the peer, @matrix-org/matrix-sdk-crypto-wasm, or not: both in one page of headless Chrome. ONLY=decryption,sync runs some groups of scenarios,
# ROUNDS=3 fewer rounds.
bench: debian build test-build
	node web/bench/bench.mjs

# What the synchronous calls cost natively and, as JavaScript calls them, in headless Chrome.
BENCH := FastLane|EncryptionInfo
bench-go: debian build test-build
	go test -run '^$$' -bench '$(BENCH)' ./core
	@mkdir -p web/build/bench
	GOOS=js GOARCH=wasm go test -c -o web/build/bench/wasm.wasm ./wasm
	node web/bench/gobench.mjs '$(BENCH)'

# The small worlds of core/modeltest to their end, every interleaving of two tabs with a death at every commit, and the seeded faults. Some
# minutes; make test walks a part of it.
model:
	MODEL=full go test ./core/modeltest -count=1 -timeout 30m -v

# The reference of the API, from the sources' own comments, in web/build/reference. It fails when something exported is not documented, or a link leads nowhere.
docs:
	@mkdir -p web/build/typedoc
	@cp web/packaging/reference/package.json web/packaging/reference/package-lock.json web/build/typedoc/
	@cd web/build/typedoc && npm ci --no-audit --no-fund --loglevel=error
	web/build/typedoc/node_modules/.bin/typedoc --options web/packaging/reference/typedoc.json

clean:
	rm -rf web/dist web/build
