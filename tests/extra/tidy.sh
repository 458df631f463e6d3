#!/usr/bin/env bash
# clang-tidy finds nothing that .clang-tidy asks for. $1: a configured and built build folder. With `alone` as $2, every
# source of ours also compiles on its own.
#
# That file names whole groups of checks, and other versions have other checks in them. The tree follows version 14, of
# Debian 12. What 19, of Debian 13, asks for besides is partly what GCC forbids: no "= {}" behind a member.
#
# The checks walk through all that a source includes, which takes ten times as long as the source itself. So they see ten
# sources at a time, included into one. Alone, each is only compiled, without the precompiled headers and the batches
# that hide a missing #include, and asked for "using" that is not used, which is looked for in the main file only: a third
# of the time of all, so for --soak.
set -euo pipefail
command -v clang-tidy >/dev/null || { echo "SKIPPED: there is no clang-tidy"; exit 77; }
version=$(clang-tidy --version | sed -nE 's/.*version ([0-9]+)\..*/\1/p')
[ "$version" = 14 ] || { echo "SKIPPED: this is for clang-tidy 14, and here it is $version"; exit 77; }
command -v python3 >/dev/null || { echo "SKIPPED: there is no python3"; exit 77; }

# The commands for each source alone, with the messages that were generated already.
work=$PWD/build/tidy
cmake --preset dev -B "$work" -DAUTHURL_BUILD_TESTS=OFF -DCMAKE_CXX_COMPILER_LAUNCHER= >/dev/null
rm -rf "$work/alone" "$work/batches"
mkdir "$work/alone" "$work/batches"
python3 - "$work" "$1" <<'PYTHON'
import collections, json, os, re, sys

work, built = sys.argv[1], os.path.abspath(sys.argv[2])
alone, batches = [], []
rooms = collections.defaultdict(list)
for entry in json.load(open(f"{work}/compile_commands.json")):
    name = os.path.relpath(entry["file"])
    if not re.match(r"(core|storage|server|deploy)/.*\.cc$", name):
        continue
    # GCC's precompiled headers mean nothing to Clang.
    command = re.sub(r" -Winvalid-pch -include \S*/cmake_pch\.hxx", "", entry["command"])
    command = command.replace(" -Wno-maybe-uninitialized", "")  # As is this.
    entry["command"] = command.replace(f"{work}/proto", f"{built}/proto")
    alone.append(entry)
    # Programs have a main() each.
    rooms[name if name.endswith("main.cc") or name.startswith("deploy/") else name.split("/")[0]].append(entry)
for room, entries in rooms.items():
    for i in range(0, len(entries), 10):
        # With this name, the analyzer looks into what the file includes.
        source = f"{work}/batches/UnifiedSource{len(batches)}.cc"
        with open(source, "w") as out:
            out.writelines(f'#include "{each["file"]}"\n' for each in entries[i : i + 10])
        first = entries[i]
        batches.append({**first, "file": source, "command": first["command"].replace(first["file"], source)})
for name, entries in [("alone", alone), ("batches", batches)]:
    json.dump(entries, open(f"{work}/{name}/compile_commands.json", "w"))
    with open(f"{work}/{name}/sources", "w") as out:
        out.writelines(f'{entry["file"]}\n' for entry in entries)
PYTHON

# $1: folder of the commands; the rest: more options.
tidy() {
  local folder=$1
  shift
  xargs -a "$folder/sources" -n 1 -P "$(nproc)" clang-tidy -p "$folder" --quiet "$@"
}
code=0
if [ "${2:-}" = alone ]; then tidy "$work/alone" --checks='-*,misc-unused-using-decls' || code=1; fi
tidy "$work/batches" --checks='-bugprone-suspicious-include' \
  --header-filter='/(core|storage|server|deploy)/(([a-z_]+/)*[a-z_]+\.cc|[^/]*\.h)$' || code=1
exit "$code"
