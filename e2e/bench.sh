#!/usr/bin/env bash
# Runs the benchmarks ($1 a pattern, $2 the time for each) and then prints the figures that the README promises: how many
# times cheaper a look is than the same facts through gopsutil (a benchmark says so in the unit times-cheaper), what
# allocates nothing, and what `run` costs on a machine with 200 and 2,000 processes (MINEHOUND_COST each).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export MINEHOUND_BENCH_PROCS=${MINEHOUND_BENCH_PROCS:-2000} MINEHOUND_COST=${MINEHOUND_COST:-10m}
out=$(mktemp)
trap 'rm -f "$out"' EXIT

go test -run '^$' -bench "${1:-.}" -benchtime "${2:-1s}" -benchmem ./agent/... ./cmd/... ./rules/... | tee "$out"

echo
echo "== figures"
awk '/^Benchmark/ {
	name = $1; sub(/-[0-9]+$/, "", name)
	for (i = 3; i < NF; i += 2) v[$(i + 1)] = $i
	if ("times-cheaper" in v)
		printf "%s: %s times cheaper than gopsutil v3 (%s ms against %s ms of CPU at %s processes, %s allocations)\n",
			name, v["times-cheaper"], v["cpu-ms/look"], v["gopsutil-cpu-ms/look"], v["processes"], v["allocs/op"]
	else
		printf "%s: %s ns, %s allocations\n", name, v["ns/op"], v["allocs/op"]
	delete v
}' "$out"

echo
echo "== what run costs, $MINEHOUND_COST each"
MINEHOUND_E2E=1 go test -count=1 -timeout 2h -run '^TestCostOfRun$' -v ./e2e | grep -E 'processes on the machine|^(ok|FAIL|---)'
