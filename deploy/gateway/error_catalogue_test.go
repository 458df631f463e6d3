package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// In the sources of the server, what looks like a reason and is none.
var notReasons = []string{"ROLE_ADMIN"}

var (
	// MakeError(absl::StatusCode::kNotFound, "EVENT_NOT_FOUND", …), on however many lines.
	madeError = regexp.MustCompile(`Make(?:Retryable)?Error\(\s*(?:absl::StatusCode::)?k([A-Za-z]+),\s*"([A-Z_]+)"`)
	anyReason = regexp.MustCompile(`"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)"`)
	ownCode   = regexp.MustCompile(`status: http\.Status(\w+), code: "([A-Z_]+)"`)
	wordBegin = regexp.MustCompile(`([a-z])([A-Z])`)
)

// sources are the C++ files below a folder of the repository.
func sources(t *testing.T, folder string) map[string]string {
	t.Helper()
	texts := map[string]string{}
	err := filepath.WalkDir(filepath.Join("../..", folder), func(path string, entry fs.DirEntry, err error) error {
		// The names of gRPC's codes are in code_name, and look the same.
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".cc") && !strings.HasSuffix(path, ".h") || strings.Contains(path, "code_name") {
			return err
		}
		text, err := os.ReadFile(path)
		texts[path] = string(text)
		return err
	})
	if err != nil || len(texts) < 10 {
		t.Fatalf("%d sources in %s: %v", len(texts), folder, err)
	}
	return texts
}

func catalogueByReason(t *testing.T) map[string]catalogueEntry {
	t.Helper()
	groups, err := readErrorCatalogue()
	if err != nil {
		t.Fatal(err)
	}
	entries := map[string]catalogueEntry{}
	for _, group := range groups {
		for _, entry := range group.Errors {
			if _, twice := entries[entry.Reason]; twice {
				t.Errorf("%s is in errors.yaml twice", entry.Reason)
			}
			entries[entry.Reason] = entry
		}
	}
	return entries
}

func TestEveryReasonIsInTheErrorCatalogue(t *testing.T) {
	catalogue := catalogueByReason(t)
	found := map[string]bool{}
	errors := 0
	for _, folder := range []string{"core", "server", "storage"} {
		for path, text := range sources(t, folder) {
			for _, match := range madeError.FindAllStringSubmatch(text, -1) {
				code := strings.ToUpper(wordBegin.ReplaceAllString(match[1], "${1}_$2"))
				if entry := catalogue[match[2]]; entry.GRPC != code {
					t.Errorf("%s makes a %s %s; in errors.yaml it is %q", path, code, match[2], entry.GRPC)
				}
				found[match[2]] = true
				errors++
			}
			for _, match := range anyReason.FindAllStringSubmatch(text, -1) {
				if _, known := catalogue[match[1]]; !known && !slices.Contains(notReasons, match[1]) {
					t.Errorf("%s has %s, which is not in errors.yaml", path, match[1])
				}
				found[match[1]] = true
			}
			for reason := range catalogue {
				found[reason] = found[reason] || strings.Contains(text, `"`+reason+`"`)
			}
		}
	}
	if errors < 50 {
		t.Errorf("only %d errors were found: is their function called otherwise now?", errors)
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range ownCode.FindAllStringSubmatch(string(text), -1) {
			name := "Status" + match[1]
			if entry := catalogue[match[2]]; strings.ReplaceAll(entry.StatusText(), " ", "") != strings.TrimPrefix(name, "Status") {
				t.Errorf("%s answers %s with %s; in errors.yaml it is %d", path, match[2], name, entry.HTTP)
			}
			found[match[2]] = true
		}
	}
	for reason := range catalogue {
		if !found[reason] {
			t.Errorf("%s is in errors.yaml and nowhere else", reason)
		}
	}
}

func TestTheErrorCatalogueSaysWhatToDo(t *testing.T) {
	entries := catalogueByReason(t)
	if len(entries) < 80 {
		t.Errorf("%d entries", len(entries))
	}
	for reason, entry := range entries {
		kinds := 0
		for _, given := range []bool{entry.GRPC != "" || entry.HTTP != 0, entry.ToldIn != ""} {
			if given {
				kinds++
			}
		}
		if kinds != 1 || entry.ToldIn == "" && entry.Title() == "" {
			t.Errorf("%s: %+v", reason, entry)
		}
		for _, sentence := range []string{entry.Meaning, entry.Do} {
			if !strings.HasSuffix(sentence, ".") || strings.Count(sentence, "`")%2 != 0 {
				t.Errorf("%s: %q is no sentence", reason, sentence)
			}
		}
	}
	documents, err := newReference()
	if err != nil {
		t.Fatal(err)
	}
	page := string(documents["/docs/errors"].plain)
	for reason := range entries {
		if strings.Count(page, `id="`+reason+`"`) != 1 {
			t.Errorf("the page has no anchor for %s", reason)
		}
	}
	for _, part := range []string{"<code>Retry-After</code>", "HTTP 429 Too Many Requests · gRPC RESOURCE_EXHAUSTED · may work later", "told in <code>status_reason</code>"} {
		if !strings.Contains(page, part) {
			t.Errorf("the page does not have %s", part)
		}
	}
}

// Codes that the document shows in its examples are in the catalogue.
func TestTheDocumentNamesKnownReasonsOnly(t *testing.T) {
	catalogue := catalogueByReason(t)
	for _, match := range regexp.MustCompile(`, code: ([A-Z_]+)`).FindAllStringSubmatch(string(openAPI), -1) {
		if _, known := catalogue[match[1]]; !known {
			t.Errorf("%s is not in errors.yaml", match[1])
		}
	}
}
