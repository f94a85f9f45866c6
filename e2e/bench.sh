#!/usr/bin/env bash
# Runs the benchmarks ($1 a pattern, $2 the time for each) and then prints how many times cheaper each one is than its
# yardstick: where benchmarks differ only in their last part, `…/gopsutil` is what the others of the same name are held
# against, and `…/ours` is what is held.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=$(mktemp)
trap 'rm -f "$out"' EXIT

go test -run '^$' -bench "${1:-.}" -benchtime "${2:-1s}" -benchmem ./agent/... ./cmd/... ./rules/... | tee "$out"

awk '
	/^Benchmark/ {
		name = $1; sub(/-[0-9]+$/, "", name)
		n = split(name, part, "/"); last = part[n]
		if (n < 2) next
		base = substr(name, 1, length(name) - length(last) - 1)
		for (i = 3; i < NF; i += 2) value[base, last, $(i + 1)] = $i
		if (!(base in seen)) { seen[base] = 1; order[++count] = base }
	}
	END {
		split("cpu-ns/op ns/op B/op allocs/op", units, " ")
		for (i = 1; i <= count; i++) for (u = 1; u <= 4; u++) {
			ours = value[order[i], "ours", units[u]]; theirs = value[order[i], "gopsutil", units[u]]
			if (ours == "" || theirs == "") continue
			if (ours + 0 == 0) printf "RATIO %s %s: %s against %s\n", order[i], units[u], ours, theirs
			else printf "RATIO %s %s: %.1f times cheaper (%s against %s)\n", order[i], units[u], theirs / ours, ours, theirs
		}
	}' "$out"

echo
echo "What run costs (MINEHOUND_COST=${MINEHOUND_COST:=10m} each):"
export MINEHOUND_COST
MINEHOUND_E2E=1 go test -count=1 -timeout 2h -run '^TestCostOfRun$' -v ./e2e | grep -E 'processes on the machine|^(ok|FAIL|---)'
