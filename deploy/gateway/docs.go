package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed openapi.yaml
var openAPI []byte

//go:embed docs.html
var docsTemplate string

// The part of an OpenAPI document that the page shows.
type apiDocument struct {
	Info struct {
		Title, Version, Description string
	}
	Tags       []struct{ Name, Description string }
	Paths      ordered[map[string]apiOperation]
	Components struct {
		Parameters map[string]apiParameter
		Schemas    map[string]apiSchema
		Responses  map[string]apiResponse
	}
}

type apiOperation struct {
	Tags                 []string
	Summary, Description string
	Parameters           []apiParameter
	RequestBody          struct {
		Content map[string]apiContent
	} `yaml:"requestBody"`
	Responses ordered[apiResponse]
}

type apiParameter struct {
	Ref                   string `yaml:"$ref"`
	Name, In, Description string
	Required              bool
}

type apiResponse struct {
	Ref         string `yaml:"$ref"`
	Description string
	Content     map[string]apiContent
}

type apiContent struct {
	Schema   apiSchema
	Example  yaml.Node
	Examples ordered[struct{ Value yaml.Node }]
}

type apiSchema struct {
	Ref         string `yaml:"$ref"`
	Type        any
	Description string
	Required    []string
	Properties  ordered[apiSchema]
	Enum        []string
}

// ordered is a mapping whose entries keep their order.
type ordered[T any] []struct {
	Name  string
	Value T
}

func (o *ordered[T]) UnmarshalYAML(node *yaml.Node) error {
	for i := 0; i+1 < len(node.Content); i += 2 {
		var entry struct {
			Name  string
			Value T
		}
		entry.Name = node.Content[i].Value
		if err := node.Content[i+1].Decode(&entry.Value); err != nil {
			return fmt.Errorf("%s: %w", entry.Name, err)
		}
		*o = append(*o, entry)
	}
	return nil
}

func lastOf(ref string) string { return ref[strings.LastIndexByte(ref, '/')+1:] }

// exampleJSON shows an example as the JSON that travels.
func exampleJSON(node yaml.Node) string {
	var out []byte
	switch node.Kind {
	case yaml.MappingNode:
		out = append(out, '{')
		for i := 0; i+1 < len(node.Content); i += 2 {
			if i > 0 {
				out = append(out, ", "...)
			}
			out = append(appendJSONString(out, node.Content[i].Value), ": "...)
			out = append(out, exampleJSON(*node.Content[i+1])...)
		}
		return string(append(out, '}'))
	case yaml.SequenceNode:
		out = append(out, '[')
		for i, item := range node.Content {
			if i > 0 {
				out = append(out, ", "...)
			}
			out = append(out, exampleJSON(*item)...)
		}
		return string(append(out, ']'))
	case yaml.ScalarNode:
		if node.Tag == "!!str" || node.Tag == "!!timestamp" {
			return string(appendJSONString(nil, node.Value))
		}
		return node.Value
	}
	return ""
}

func (d *apiDocument) parameter(p apiParameter) apiParameter {
	if p.Ref != "" {
		return d.Components.Parameters[lastOf(p.Ref)]
	}
	return p
}

func (d *apiDocument) response(r apiResponse) apiResponse {
	if r.Ref != "" {
		return d.Components.Responses[lastOf(r.Ref)]
	}
	return r
}

func (d *apiDocument) schema(s apiSchema) apiSchema {
	if s.Ref != "" {
		return d.Components.Schemas[lastOf(s.Ref)]
	}
	return s
}

// docsPage renders openapi.yaml. The page needs no script and no other host.
func docsPage() ([]byte, error) {
	var document apiDocument
	if err := yaml.Unmarshal(openAPI, &document); err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	page, err := template.New("docs").Funcs(template.FuncMap{
		"parameter":  document.parameter,
		"response":   document.response,
		"schema":     document.schema,
		"upper":      strings.ToUpper,
		"paragraphs": func(text string) []string { return strings.Split(strings.TrimSpace(text), "\n\n") },
		"has": func(list []string, name string) bool {
			for _, each := range list {
				if each == name {
					return true
				}
			}
			return false
		},
		"json": exampleJSON,
	}).Parse(docsTemplate)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = page.Execute(&out, document)
	return out.Bytes(), err
}
