#!/usr/bin/env bash
# Runs the unit tests as a linux/arm64 program under qemu-user. Arguments go to go test.
#
# qemu-user translates one process; the kernel and /proc stay this machine's. What it cannot do is skipped by name:
skip=(
	# These start the test program as a second process, which the kernel here cannot run.
	TestBusyProcess TestKill TestReadersAgree
	# These need the process connector, whose socket qemu-user does not know.
	TestConnectorReadsAProgramThatIsGoneAtTheLook TestRunningProcessesAreEventsBesideTheConnectorToo
	TestConnectorAndTableAgree TestConnectorInAStormStaysWithinItsBudgetAndSaysSo
	# These need openat2, which qemu-user does not know.
	TestLiveBelowFindsWhatIsKnownOnly TestDeletedExecutable
)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

qemu=$(command -v qemu-aarch64-static) || { echo "needs qemu-aarch64-static: make packages" >&2; exit 1; }
args=()
((${#skip[@]})) && args=(-skip "^($(IFS='|'; echo "${skip[*]}"))\$")

# Vetting for arm64 is part of the cross-builds. The code under translation is about 10 times slower, so properties are
# tried on a fifth of the examples (-short): they are here for another processor's arithmetic and memory, not for the search.
GOARCH=arm64 CGO_ENABLED=0 exec go test -vet=off -short -timeout 40m -exec "$qemu" "${args[@]}" "$@" ./agent/... ./rules/...
