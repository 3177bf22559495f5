#!/usr/bin/env bash
# Builds the model server, Ollama, from its Go module, which takes six minutes of
# one core, and keeps it in the user's cache. Does nothing where it is there
# already. Two headers that the module leaves out come from Debian's packages, and
# a third one is in include.
set -euo pipefail
cd "$(dirname "$0")"

version=v0.17.4
dir=${XDG_CACHE_HOME:-$HOME/.cache}/parley # as in server.go
go version -m "$dir/ollama" 2>/dev/null | grep -q "ollama/ollama.$version" && exit 0

missing=()
[ -e /usr/include/nlohmann/json.hpp ] || missing+=(nlohmann-json3-dev)
[ -e /usr/include/stb/stb_image.h ] || missing+=(libstb-dev)
command -v g++ >/dev/null 2>&1 || missing+=(g++)
if [ ${#missing[@]} -gt 0 ]; then
	if ! command -v apt-get >/dev/null 2>&1; then
		echo "ollama.sh: please install: ${missing[*]}" >&2
		exit 1
	fi
	sudo=""
	[ "$(id -u)" -eq 0 ] || sudo=sudo
	echo "ollama.sh: installing ${missing[*]}"
	$sudo apt-get update -qq
	DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

echo "ollama.sh: building Ollama $version, once, for several minutes"
GOBIN=$dir CGO_ENABLED=1 CGO_CFLAGS=-O2 CGO_CXXFLAGS=-O2 CGO_CPPFLAGS="'-I$PWD/include' -I/usr/include" \
	nice -n 19 go install -trimpath -ldflags '-s -w' "github.com/ollama/ollama@$version"
