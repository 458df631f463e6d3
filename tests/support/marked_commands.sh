#!/usr/bin/env bash
# Prints the commands of README.md that a test runs: the ```sh blocks that follow a line "<!-- run by TEST -->".
#
#   tests/support/marked_commands.sh tests/extra/TEST.sh PROGRAM
#
# Fails when there is none in which PROGRAM is called.
set -euo pipefail
[ $# -eq 2 ] || { echo "usage: marked_commands.sh TEST PROGRAM" >&2; exit 2; }
commands=$(awk -v mark="<!-- run by $1 -->" '$0 == mark { marked = 1; next }
                                            /^```/ { running = marked && $0 == "```sh"; marked = 0; next }
                                            running' README.md)
[[ $commands == *"$2"* ]] || { echo "FAILED: README.md has no block marked for $1 with $2 in it" >&2; exit 1; }
echo "$commands"
