#!/usr/bin/env bash
# Builds the benchmarks, runs them all and prints the table of figures. Wants a machine with nothing else to do.
#
#   tests/bench/run.sh            three quarters of an hour, 8 GiB of disk; writes the table into tests/bench/README.md
#   tests/bench/run.sh --quick    some minutes: fewer rounds, 100,000 configurations in place of 10,000,000
#
# What the programs print is kept in build/bench. So is the large database, for the next time; AUTHURL_BENCH_FOLDER
# names another folder for it.
set -euo pipefail
cd "$(dirname "$0")/../.."

quick=
case "$*" in
  '') ;;
  --quick) quick=yes ;;
  *)
    echo "usage: tests/bench/run.sh [--quick]" >&2
    exit 2
    ;;
esac

deploy/install-packages.sh build tests bench
export no_proxy="127.0.0.1,localhost${no_proxy:+,$no_proxy}"
cmake --preset release -DAUTHURL_BUILD_TESTS=ON -DAUTHURL_BUILD_BENCH=ON
cmake --build --preset release --target authurl-server rpc_floor core_speed allocations storage_scale writes completions \
  access_tokens

bin=build/release/bin
out=build/bench
mkdir -p "$out"
cache_mib=256

# Prints the flag if the server knows it, so that older servers can be measured, too.
flag() {
  "$bin/authurl-server" --help=config 2>&1 | grep -q -- "--$1 (" && echo "--$1=$2"
}
cache=$(flag cache_mib "$cache_mib" || true)
metrics=$(flag metrics_listen 127.0.0.1:0 || true)

# run NAME COMMAND...: keeps what the program prints, and shows it.
run() {
  local name=$1
  shift
  printf '\n== %s\n\n' "$*"
  "$@" | tee "$out/$name.txt"
}
if [ -n "$quick" ]; then
  organizations=10000
  rounds=(--rounds=3 --duration=1s)
  scale_rounds=(--rounds=1 --duration=2s --fill=10s)
  repetitions=(--benchmark_repetitions=3 --benchmark_min_time=0.1)
else
  organizations=1000000
  rounds=(--rounds=9 --duration=2s)
  scale_rounds=(--rounds=3 --duration=5s --fill=60s)
  repetitions=(--benchmark_repetitions=9 --benchmark_min_time=0.3)
fi
folder=${AUTHURL_BENCH_FOLDER:-$out/of_$organizations}

run core "$bin/core_speed" "${repetitions[@]}"
run allocations "$bin/allocations"
run floor "$bin/rpc_floor" "${rounds[@]}"
run observation "$bin/rpc_floor" --servers="authurl --log_level=error,authurl $metrics" --latency=false "${rounds[@]}"
run writes "$bin/writes" "${rounds[@]}"
run completions "$bin/completions" "${rounds[@]}"
run tokens "$bin/access_tokens" "${rounds[@]}"
run scale "$bin/storage_scale" --folder="$folder" --organizations="$organizations" --cache_mib="$cache_mib" \
  --server_flags="$cache" "${scale_rounds[@]}"

# value PROGRAM FIGURE: from the program's last line.
value() {
  tail -n 1 "$out/$1.txt" | grep -oE "\"$2\": [^,}]*" | cut -d' ' -f2
}
# row NUMBER FIGURE REACH VALUE: REACH is "≥ 0.9", "≤ 1 ms".
row() {
  local bound=${3#* } met
  met=$(awk -v value="$4" -v bound="${bound%% *}" -v sense="${3%% *}" \
    'BEGIN { print (sense == "≥" ? value >= bound : value <= bound) ? "yes" : "no" }')
  printf '| %s | %s | %s | %s | %s |\n' "$1" "$2" "$3" "$(awk -v v="$4" 'BEGIN { printf "%.3g", v }')" "$met"
}
# The largest share of the processor time that other programs had meanwhile, in percent.
others() {
  local program
  for program in floor observation writes completions tokens scale; do value "$program" share_of_others; done | sort -g |
    tail -n 1 | awk '{ printf "%.0f", 100 * $1 }'
}
table() {
  echo "| # | figure | reach | measured | reached |"
  echo "|---|---|---|---|---|"
  row 1 "calls/s of GetAuthUrl ÷ those of a bare echo" "≥ 0.9" "$(value floor qps_ratio)"
  row 2 "server CPU per call ÷ the echo's" "≤ 1.15" "$(value floor cpu_ratio)"
  row 3 "p99 at half that load ÷ the echo's" "≤ 1.2" "$(value floor p99_ratio)"
  row 4 "core's share of a call, X, µs" "≤ 1.5" "$(value core core_us_x)"
  row 4 "core's share of a call, YouTube, µs" "≤ 1.5" "$(value core core_us_youtube)"
  row 5 "heap allocations per call in our code" "≤ 8" "$(value allocations allocations)"
  row 6 "calls/s with $((organizations * 10)) configurations, Zipf(1.0) ÷ with 1,000" "≥ 0.8" \
    "$(value scale zipf_qps_ratio)"
  row 6 "the same, each organisation with its own API key" "≥ 0.8" "$(value scale zipf_qps_ratio_own_keys)"
  row 6 "start to serving, ms" "≤ 300" "$(value scale start_ms)"
  row 6 "peak RSS besides the cache, MiB" "≤ 100" "$(value scale rss_mib_over_cache)"
  row 7 "p99 of a read that no cache of ours has, ms" "≤ 1" "$(value scale cold_read_p99_ms)"
  row 8 "acknowledged writes/s, 64 callers ÷ 1" "≥ 10" "$(value writes write_ratio)"
  row 9 "p99 beside 200 writes/s ÷ alone" "≤ 1.3" "$(value writes read_p99_ratio_beside_writes)"
  row "" "p99 during a write of 7 s ÷ before it" "≤ 1.2" "$(value writes read_p99_ratio_during_slow_write)"
  row 10 "flows/s completed ÷ those of bare libcurl" "≥ 0.7" "$(value completions completion_ratio)"
  row 10 "the same, of a network whose exchange takes 100 ms" "≥ 0.7" "$(value completions completion_ratio_far)"
  row 11 "p99 beside 500 completions that wait ÷ alone" "≤ 1.2" "$(value completions url_p99_ratio_beside_waiting)"
  row 12 "calls/s of GetAccessToken from memory ÷ those of GetAuthUrl" "≥ 0.9" "$(value tokens access_token_qps_ratio)"
  row "" "calls/s with metrics and access log ÷ without" "≥ 0.97" "$(value observation qps_ratio)"
  echo
  echo "$(date -u +%F), $(nproc) cores ($(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -n 1))," \
    "$(awk '/MemTotal/ { printf "%.0f GiB", $2 / 2 ^ 20 }' /proc/meminfo), client and server on the same cores." \
    "Other programs used up to $(others) % of the processor time that was used.${quick:+ Quick run: few rounds.}"
}
table >"$out/table.md"
printf '\n== %s\n\n' "$out/table.md"
cat "$out/table.md"

# Puts the table between the lines that mark its place.
[ -z "$quick" ] || exit 0
begin='<!-- figures: written by tests/bench/run.sh -->'
end='<!-- end of figures -->'
readme=tests/bench/README.md
awk -v begin="$begin" -v end="$end" -v table="$out/table.md" '
  $0 == end { inside = 0 }
  !inside
  $0 == begin { inside = 1; while ((getline line < table) > 0) print line }' "$readme" >"$out/readme.md"
cat "$out/readme.md" >"$readme"
