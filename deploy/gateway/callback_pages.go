package main

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

//go:embed callback.html
var callbackTemplate string

//go:embed callback.css
var callbackStyle string

// callbackPages are what people see who come back and can be sent nowhere: one sentence in their language, and nothing
// that says whose page it is. They are made once, so nothing of a request can be in them.
type callbackPages struct {
	bodies map[pageKey][]byte
	policy string
}

type pageKey struct {
	language string
	sentence sentence
}

func newCallbackPages() (callbackPages, error) {
	digest := sha256.Sum256([]byte(callbackStyle))
	pages := callbackPages{bodies: map[pageKey][]byte{},
		policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) +
			"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}
	page, err := template.New("callback").Parse(callbackTemplate)
	if err != nil {
		return pages, err
	}
	for language, words := range callbackWords {
		for i, text := range words.sentences {
			if !isOutcome[i] {
				text = fmt.Sprintf(words.failed, text)
			}
			var out bytes.Buffer
			if err := page.Execute(&out, map[string]any{"Language": language, "Text": text, "Style": template.CSS(callbackStyle)}); err != nil {
				return pages, err
			}
			pages.bodies[pageKey{language, sentence(i)}] = out.Bytes()
		}
	}
	return pages, nil
}

func (p callbackPages) write(w http.ResponseWriter, r *http.Request, status int, text sentence) {
	language := languageFor(r.Header.Values("Accept-Language"))
	body := p.bodies[pageKey{language, text}]
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Language", language)
	header.Set("Content-Security-Policy", p.policy)
	header.Set("Vary", "Accept-Language")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // A browser that is gone reads no page.
}

// languageFor is the language of the pages that somebody likes best (RFC 9110, 12.5.4); English where there is none.
func languageFor(header []string) string {
	type wish struct {
		language string
		weight   float64
	}
	var wishes []wish
	for each := range strings.SplitSeq(strings.Join(header, ","), ",") {
		tag, parameter, _ := strings.Cut(each, ";")
		weight := 1.0
		if value, found := strings.CutPrefix(strings.ReplaceAll(parameter, " ", ""), "q="); found {
			given, err := strconv.ParseFloat(value, 64)
			if err != nil || !(given > 0 && given <= 1) {
				continue
			}
			weight = given
		}
		if language := languageOf(strings.TrimSpace(tag)); language != "" {
			wishes = append(wishes, wish{language, weight})
		}
	}
	slices.SortStableFunc(wishes, func(a, b wish) int {
		switch {
		case a.weight > b.weight:
			return -1
		case a.weight < b.weight:
			return 1
		}
		return 0
	})
	if len(wishes) == 0 {
		return "en"
	}
	return wishes[0].language
}

// languageOf is the language of the pages that a tag (BCP 47) means; empty where they have none of it.
func languageOf(tag string) string {
	subtags := strings.Split(strings.ToLower(tag), "-")
	switch {
	case subtags[0] == "zh" && (slices.Contains(subtags, "hant") ||
		!slices.Contains(subtags, "hans") && slices.ContainsFunc(subtags, func(s string) bool { return s == "tw" || s == "hk" || s == "mo" })):
		return "zh-Hant"
	case subtags[0] == "zh":
		return "zh-Hans"
	case callbackWords[subtags[0]].failed != "":
		return subtags[0]
	}
	return ""
}
