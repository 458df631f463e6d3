package main

import (
	_ "embed"
	"fmt"
	"html"
	"html/template"
	"net/http"
	"strings"

	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc/codes"
)

//go:embed errors.yaml
var errorCatalogue []byte

//go:embed reference/errors.html
var errorsPage string

// errorGroup is a part of errors.yaml, which says what its members are.
type errorGroup struct {
	Title  string
	Errors []catalogueEntry
}

type catalogueEntry struct {
	Reason  string
	GRPC    string `yaml:"grpc"`
	HTTP    int    `yaml:"http"`
	ToldIn  string `yaml:"told_in"`
	Retry   bool
	Meaning string
	Do      string
}

// readErrorCatalogue reads errors.yaml, and gives every error its HTTP status.
func readErrorCatalogue() ([]errorGroup, error) {
	var groups []errorGroup
	decoder := yaml.NewDecoder(strings.NewReader(string(errorCatalogue)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&groups); err != nil {
		return nil, fmt.Errorf("errors.yaml: %w", err)
	}
	for _, group := range groups {
		for i := range group.Errors {
			entry := &group.Errors[i]
			if entry.GRPC == "" {
				continue
			}
			var code codes.Code
			if err := code.UnmarshalJSON([]byte(`"` + entry.GRPC + `"`)); err != nil {
				return nil, fmt.Errorf("errors.yaml: %s: %w", entry.Reason, err)
			}
			entry.HTTP = httpStatus(code, entry.Reason)
		}
	}
	return groups, nil
}

// Title is the `error` of the reply.
func (e catalogueEntry) Title() string { return titles[e.HTTP] }

// StatusText names the HTTP status; empty for what is no error of a call.
func (e catalogueEntry) StatusText() string { return http.StatusText(e.HTTP) }

func (e catalogueEntry) MeaningHTML() template.HTML { return withCode(e.Meaning) }
func (e catalogueEntry) DoHTML() template.HTML      { return withCode(e.Do) }

// withCode makes code of what stands between backticks.
func withCode(text string) template.HTML {
	var out strings.Builder
	for i, part := range strings.Split(text, "`") {
		if i%2 == 1 {
			part = "<code>" + html.EscapeString(part) + "</code>"
		} else {
			part = html.EscapeString(part)
		}
		out.WriteString(part)
	}
	return template.HTML(out.String()) // Escaped above.
}
