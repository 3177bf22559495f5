#!/usr/bin/env bash
# Installs what the whole test suite needs besides Go, from Debian's packages.
# Prints nothing where everything is there.
set -euo pipefail

missing=()
need() { command -v "$1" >/dev/null 2>&1 || missing+=("$2"); }
need chromium chromium # browser tests
need fusermount3 fuse3 # a disk that loses power, in proof/
need nginx nginx-light # in front of several nodes
need node nodejs # axe-core and TypeScript, for the widget; Express, for the relay
need npm npm
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || need initdb postgresql # Debian has it outside of the path
need redis-server redis-server
needpy() { /usr/bin/python3 -c "import $1" 2>/dev/null || missing+=("python3-$1"); }
needpy flask # backends behind the relay
needpy fastapi
needpy uvicorn

[ ${#missing[@]} -eq 0 ] && exit 0
if ! command -v apt-get >/dev/null 2>&1; then
	echo "test-deps: please install: ${missing[*]}" >&2
	echo "test-deps: without them 'go test ./...' skips the tests that need them, and says so" >&2
	[ "${CI:-}" = true ] && exit 1
	exit 0
fi
sudo=""
[ "$(id -u)" -eq 0 ] || sudo=sudo
echo "test-deps: installing ${missing[*]}"
$sudo apt-get update -qq
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" fonts-dejavu-core >/dev/null
