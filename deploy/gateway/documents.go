package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed openapi.yaml
var openAPI []byte

// document is what the gateway itself serves the same to everybody, compressed for whoever takes that.
type document struct {
	contentType string
	plain       []byte // nil where only the compressed form is kept
	gzipped     []byte
	// Names the content, so that a client which has it already gets 304.
	tag string
	// Whether its path names the content too: then it may be kept for good.
	immutable bool
	// What a browser lets the page do; the strictest where empty.
	policy string
}

// Nothing is loaded, run or shown in a frame.
const inertPolicy = "default-src 'none'; frame-ancestors 'none'"

func newDocument(contentType string, plain []byte) (document, error) {
	var gzipped bytes.Buffer
	packer, err := gzip.NewWriterLevel(&gzipped, gzip.BestCompression)
	if err != nil {
		return document{}, err
	}
	if _, err := packer.Write(plain); err != nil {
		return document{}, err
	}
	if err := packer.Close(); err != nil {
		return document{}, err
	}
	return document{contentType: contentType, plain: plain, gzipped: gzipped.Bytes(), tag: tagOf(plain)}, nil
}

func tagOf(content []byte) string {
	digest := sha256.Sum256(content)
	return hex.EncodeToString(digest[:8])
}

func (d document) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Cache-Control", "no-cache")
	if d.immutable {
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	policy := d.policy
	if policy == "" {
		policy = inertPolicy
	}
	header.Set("Content-Security-Policy", policy)
	// By this the API knows a call that somebody makes on the page of the reference (isTriedInReference).
	header.Set("Referrer-Policy", "same-origin")
	header.Set("Vary", "Accept-Encoding")
	// Of two forms of one content each has a tag of its own (RFC 9110 8.8.3.3).
	// What has no other form is sent like that to everybody: unpacking costs memory for each, and whoever runs it takes gzip.
	packed := d.plain == nil || takesGzip(r.Header)
	tag := `"` + d.tag + `"`
	if packed {
		tag = `"` + d.tag + `-gzip"`
	}
	header.Set("ETag", tag)
	if hasTag(r.Header, tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	header.Set("Content-Type", d.contentType)
	body := d.plain
	if packed {
		body = d.gzipped
		header.Set("Content-Encoding", "gzip")
	}
	header.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // A client that is gone reads no more of it.
}

// takesGzip reads Accept-Encoding as far as it matters here.
func takesGzip(header http.Header) bool {
	for each := range strings.SplitSeq(strings.Join(header.Values("Accept-Encoding"), ","), ",") {
		name, weight, _ := strings.Cut(strings.ToLower(strings.ReplaceAll(each, " ", "")), ";")
		if name == "gzip" && (weight == "" || strings.Trim(weight, "q=0.") != "") {
			return true
		}
	}
	return false
}

func hasTag(header http.Header, tag string) bool {
	for each := range strings.SplitSeq(strings.Join(header.Values("If-None-Match"), ","), ",") {
		if each = strings.TrimSpace(each); each == "*" || strings.TrimPrefix(each, "W/") == tag {
			return true
		}
	}
	return false
}

// openAPIAsJSON is openapi.yaml as JSON, with its members in their order.
func openAPIAsJSON() ([]byte, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(openAPI, &document); err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	out, err := appendNodeAsJSON(nil, document.Content[0])
	if err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	return append(out, '\n'), nil
}

func appendNodeAsJSON(out []byte, node *yaml.Node) ([]byte, error) {
	var err error
	switch node.Kind {
	case yaml.MappingNode:
		out = append(out, '{')
		for i := 0; i+1 < len(node.Content); i += 2 {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(appendJSONString(out, node.Content[i].Value), ':')
			if out, err = appendNodeAsJSON(out, node.Content[i+1]); err != nil {
				return nil, err
			}
		}
		return append(out, '}'), nil
	case yaml.SequenceNode:
		out = append(out, '[')
		for i, item := range node.Content {
			if i > 0 {
				out = append(out, ',')
			}
			if out, err = appendNodeAsJSON(out, item); err != nil {
				return nil, err
			}
		}
		return append(out, ']'), nil
	case yaml.ScalarNode:
		switch node.Tag {
		case "!!str", "!!timestamp":
			return appendJSONString(out, node.Value), nil
		case "!!bool", "!!int", "!!float", "!!null":
			// Read by the library, which knows every spelling that YAML has for them.
			var value any
			if err := node.Decode(&value); err != nil {
				return nil, err
			}
			if value == nil {
				return append(out, "null"...), nil
			}
			return fmt.Append(out, value), nil
		}
	}
	return nil, fmt.Errorf("line %d: there is no JSON for a %s", node.Line, node.Tag)
}
