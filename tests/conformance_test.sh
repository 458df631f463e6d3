#!/usr/bin/env bash
# Fails when a row of core/CONFORMANCE.md names no test or no file, or when the page names a test or a file that there is
# not. It first breaks a copy of the page in every such way and expects to find each break.
set -euo pipefail
cd "$(dirname "$0")/.."
page=core/CONFORMANCE.md

# Prints the names of all tests: gtest's as Suite.Test, ctest's, and those of the gateway in Go.
all_tests() {
  grep -rhoE --include='*_test.cc' '^TEST(_F|_P)?\([A-Za-z0-9]+, [A-Za-z0-9]+\)' tests |
    sed -E 's/^[^(]*\(//; s/, /./; s/\)$//'
  grep -rhoE --include=CMakeLists.txt '^ *add_test\(NAME [a-z0-9_.]+ ' tests | awk '{ print $2 }'
  sed -nE 's/^ *authurl_extra_test\(([a-z0-9_]+).*/extra.\1/p' tests/extra/CMakeLists.txt
  sed -nE 's/^foreach\(name (.*)\)$/\1/p' tests/fuzz/CMakeLists.txt | tr ' ' '\n' | sed 's/^/fuzz_corpus./'
  sed -nE 's/^func (Test[A-Za-z0-9]+)\(.*/\1/p' deploy/gateway/*_test.go deploy/gateway/console/*_test.go
}

# Prints what is wrong with the page $2, as "line: text"; $1 is a file with the names of all tests.
breaks() {
  awk -F'|' '
    NR == FNR { known[$0]; next }
    # Beyond the tables, too, what looks like the name of a test is one.
    !/^\|/ {
      head = 2
      size = split($0, words, "`")
      for (i = 2; i <= size; i += 2) {
        if (words[i] ~ /^([A-Z][A-Za-z0-9]*Test\.|extra\.|fuzz_corpus\.|Test[A-Z])[A-Za-z0-9_]+$/) test(words[i])
      }
      next
    }
    head == 2 { width = NF }
    head > 0 { --head; next }
    NF != width { print FNR ": the row has " NF - 2 " cells and its table " width - 2; next }
    {
      size = split($(NF - 1), words, "`")
      if (size < 3) print FNR ": the row names no test"
      for (i = 2; i <= size; i += 2) test(words[i])
      size = split($(NF - 2), words, "`")
      if (size < 3) print FNR ": the row names no file"
      for (i = 2; i <= size; i += 2) file(words[i])
    }
    function test(name) {
      if (!(name in known)) print FNR ": there is no test " name
    }
    function file(name,   text) {
      if ((getline text < name) < 0) print FNR ": there is no file " name
      close(name)
    }' "$1" "$2"
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
all_tests >"$scratch/tests"
cp "$page" "$scratch/page.md"
# plant LINE TEXT: a line at the end of the copy, of which that text must be told.
expected=()
plant() {
  echo "$1" >>"$scratch/page.md"
  expected+=("$(wc -l <"$scratch/page.md"): $2")
}
printf '\n| section | asks | where | tests |\n|---|---|---|---|\n' >>"$scratch/page.md"
# shellcheck disable=SC2016  # The backticks are the page's.
{
  file='`core/flow/auth_url.cc`'
  test='`PkceTest.MakesThePublishedChallenge`'
  plant "| 1 | a | $file | |" 'the row names no test'
  plant "| 1 | a | $file | PkceTest.MakesThePublishedChallenge |" 'the row names no test'
  plant "| 1 | a | $file | $test, \`PkceTest.IsNotThere\` |" 'there is no test PkceTest.IsNotThere'
  plant "| 1 | a | $file | \`MakesThePublishedChallenge\` |" 'there is no test MakesThePublishedChallenge'
  plant "| 1 | a | $file | \`extra.nothing\` |" 'there is no test extra.nothing'
  plant "| 1 | a | $file | \`fuzz_corpus.nothing\` |" 'there is no test fuzz_corpus.nothing'
  plant "| 1 | a | $file | \`TestNothing\` |" 'there is no test TestNothing'
  plant "| 1 | a | | $test |" 'the row names no file'
  plant "| 1 | a | $file, \`core/flow/nothing.cc\` | $test |" 'there is no file core/flow/nothing.cc'
  plant "| 1 | $file | $test |" 'the row has 3 cells and its table 4'
  plant "| 1 | a | $file | $test | b |" 'the row has 5 cells and its table 4'
  plant '- A risk: `PkceTest.IsNotThere`.' 'there is no test PkceTest.IsNotThere'
}
told=$(breaks "$scratch/tests" "$scratch/page.md")
# And each test that the page names, once it is gone.
# shellcheck disable=SC2016
named=$(grep -oE '`([A-Z][A-Za-z0-9]*Test\.|extra\.|fuzz_corpus\.|Test[A-Z])[A-Za-z0-9_]+`' "$page" | tr -d '`' | sort -u)
without=$(breaks <(grep -vxFf <(echo "$named") "$scratch/tests") "$page")
failed=0
for text in "${expected[@]}"; do
  [[ $'\n'$told$'\n' == *$'\n'"$text"$'\n'* ]] && continue
  echo "this test is broken: among the planted faults it does not find \"$text\""
  failed=1
done
for name in $named; do
  [[ $without$'\n' == *"there is no test $name"$'\n'* ]] && continue
  echo "this test is broken: it does not notice that $name is gone"
  failed=1
done

found=$(breaks "$scratch/tests" "$page")
if [ -n "$found" ]; then
  echo "$found"
  echo "FAILED: the lines above of $page: each row names a file and a test, and all that are named must exist"
  failed=1
fi
[ "$failed" = 0 ] || exit 1
echo "$(grep -c '^|' "$page") lines of tables and $(wc -w <<<"$named") tests: all of them are there"
