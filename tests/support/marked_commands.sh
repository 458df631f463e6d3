#!/usr/bin/env bash
# Prints the commands of README.md, or of another page, that a test runs: the ```sh blocks that follow a line
# "<!-- run by TEST -->".
#
#   tests/support/marked_commands.sh tests/extra/TEST.sh PROGRAM [PAGE]
#
# Fails when there is none in which PROGRAM is called.
set -euo pipefail
[ $# -eq 2 ] || [ $# -eq 3 ] || { echo "usage: marked_commands.sh TEST PROGRAM [PAGE]" >&2; exit 2; }
page=${3:-README.md}
commands=$(awk -v mark="<!-- run by $1 -->" '$0 == mark { marked = 1; next }
                                            /^```/ { running = marked && $0 == "```sh"; marked = 0; next }
                                            running' "$page")
[[ $commands == *"$2"* ]] || { echo "FAILED: $page has no block marked for $1 with $2 in it" >&2; exit 1; }
echo "$commands"
