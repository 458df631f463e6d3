package main

import (
	"bytes"
	_ "embed"
	"html/template"
)

// The renderer of the reference, which build.sh fetches: @scalar/api-reference, compressed, with its licence. Empty where
// there was no npm.
//
//go:embed gen/reference/renderer.js.gz
var renderer []byte

//go:embed reference/page.html
var referencePage string

//go:embed reference/start.js
var referenceStart []byte

//go:embed reference/page.css
var referenceStyle []byte

//go:embed reference/plain.css
var plainStyle []byte

//go:embed reference/without.html
var referenceMissing string

// What the reference may do in a browser: run our scripts and call this gateway, nobody else. Inline styles are what its
// renderer writes; scripts are never inline, and there is no eval.
const referencePolicy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Pages that we write ourselves need a style sheet only.
const plainPolicy = "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// newReference is what is served of the reference, by path: the page, the error catalogue and what they load.
func newReference() (map[string]document, error) {
	documents := map[string]document{}
	// Where a file is, told relative to /docs, behind a proxy that has the gateway below a path of its own too.
	place := func(name, extension string, d document) string {
		d.immutable = true
		place := "docs/" + name + "-" + d.tag + extension
		documents["/"+place] = d
		return place
	}
	var names struct{ Renderer, Start, Style, Plain string }
	for _, file := range []struct {
		name, extension, contentType string
		content                      []byte
		place                        *string
	}{
		{"start", ".js", "text/javascript; charset=utf-8", referenceStart, &names.Start},
		{"page", ".css", "text/css; charset=utf-8", referenceStyle, &names.Style},
		{"plain", ".css", "text/css; charset=utf-8", plainStyle, &names.Plain},
	} {
		d, err := newDocument(file.contentType, file.content)
		if err != nil {
			return nil, err
		}
		*file.place = place(file.name, file.extension, d)
	}
	page := referenceMissing
	policy := plainPolicy
	if len(renderer) > 0 {
		page, policy = referencePage, referencePolicy
		names.Renderer = place("renderer", ".js",
			document{contentType: "text/javascript; charset=utf-8", gzipped: renderer, tag: tagOf(renderer)})
	}
	catalogue, err := readErrorCatalogue()
	if err != nil {
		return nil, err
	}
	for _, each := range []struct {
		path, text, policy string
		data               any
	}{
		{"/docs", page, policy, names},
		// One folder further down.
		{"/docs/errors", errorsPage, plainPolicy, map[string]any{"Plain": "../" + names.Plain, "Groups": catalogue}},
	} {
		if documents[each.path], err = newPage(each.text, each.policy, each.data); err != nil {
			return nil, err
		}
	}
	return documents, nil
}

func newPage(text, policy string, data any) (document, error) {
	page, err := template.New("page").Parse(text)
	if err != nil {
		return document{}, err
	}
	var out bytes.Buffer
	if err := page.Execute(&out, data); err != nil {
		return document{}, err
	}
	d, err := newDocument("text/html; charset=utf-8", out.Bytes())
	d.policy = policy
	return d, err
}
