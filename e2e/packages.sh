#!/usr/bin/env bash
# Installs the Debian packages that the tests need. Without root or apt it says loudly what is missing and goes on: the
# tests that need it then skip by name, except in CI.
set -euo pipefail

packages=(
	gcc libc6-dev         # the race detector
	shellcheck            # lint
	qemu-user-static      # the unit tests as linux/arm64
	wine wine64 binutils-mingw-w64-x86-64 # the Windows program
	iproute2 util-linux procps curl       # a network namespace for the miner, ss, nsenter
	monero                                # a real RandomX miner
	stress-ng openssl p7zip-full ffmpeg nodejs # honest heavy work
)

missing=()
for p in "${packages[@]}"; do
	[[ $(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null || true) == installed ]] || missing+=("$p")
done
((${#missing[@]})) || exit 0

if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
	echo "MISSING PACKAGES, tests that need them cannot run: ${missing[*]}" >&2
	[[ ${CI-} != true ]]
	exit
fi

export DEBIAN_FRONTEND=noninteractive
# A first install on a bare image can die half-way (it upgrades perl under itself); mending and asking again cures it.
for try in 1 2 3 4; do
	apt-get update -q || true # lists of yesterday may do; if not, the install fails
	if apt-get install -y -q --no-install-recommends "${missing[@]}"; then
		exit 0
	fi
	echo "apt-get failed (try $try), mending and trying again" >&2
	dpkg --configure -a || true
	apt-get install -y -q -f || true
	sleep $((try * 5))
done
echo "could not install: ${missing[*]}" >&2
exit 1
