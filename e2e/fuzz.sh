#!/usr/bin/env bash
# Runs every Fuzz function of the module, each for the time given ($1, default 1m), and says which failed.
set -euo pipefail
time=${1:-1m}

mapfile -t targets < <(grep -rhoE --include='*_test.go' -H '^func Fuzz[A-Za-z0-9_]*' agent cmd rules e2e 2>/dev/null |
	sed -E 's|^(.*)/[^/]*:func (.*)$|./\1 \2|' | sort)
((${#targets[@]})) || { echo "no Fuzz function found" >&2; exit 1; }

printf '%d targets, %s each:\n' "${#targets[@]}" "$time"
printf '  %s\n' "${targets[@]}"
failed=()
for t in "${targets[@]}"; do
	read -r dir name <<<"$t"
	echo "== $t"
	go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" -fuzzminimizetime 10x "$dir" || failed+=("$t")
done
((${#failed[@]} == 0)) || printf 'FAILED %s\n' "${failed[@]}"
printf '%d passed, %d failed\n' $((${#targets[@]} - ${#failed[@]})) "${#failed[@]}"
((${#failed[@]} == 0))
