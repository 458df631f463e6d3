package main

import (
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// The tables by route and by path name routes that there are.
func TestEveryRouteIsKnownByItsName(t *testing.T) {
	found := map[string]bool{}
	for _, rule := range httpRules(t) {
		found[rule.method+" "+strings.ReplaceAll(rule.path, "}", "=*}")] = true
	}
	for route := range traitsOfRoutes {
		if !found[route] {
			t.Errorf("there is no route %s", route)
		}
	}
	for route := range routesWithQuery {
		if !found[route] {
			t.Errorf("there is no route %s", route)
		}
	}
}

type httpRule struct{ method, path string }

func httpRules(t *testing.T) []httpRule {
	t.Helper()
	text, err := os.ReadFile("http_rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	type rule = map[string]any
	var document struct {
		HTTP struct{ Rules []rule } `yaml:"http"`
	}
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	var rules []httpRule
	add := func(r rule) {
		for _, method := range []string{"get", "post", "patch", "delete"} {
			if path, ok := r[method].(string); ok {
				rules = append(rules, httpRule{strings.ToUpper(method), path})
			}
		}
	}
	for _, r := range document.HTTP.Rules {
		add(r)
		more, _ := r["additional_bindings"].([]any)
		for _, each := range more {
			binding, _ := each.(map[string]any)
			add(binding)
		}
	}
	if len(rules) < 20 {
		t.Fatalf("%d rules", len(rules))
	}
	return rules
}

func TestEveryRouteIsInTheDocument(t *testing.T) {
	var document struct {
		Paths map[string]map[string]any
	}
	if err := yaml.Unmarshal(openAPI, &document); err != nil {
		t.Fatal(err)
	}
	wanted := httpRules(t)
	for _, path := range []string{"/v1/social-networks/{network}/callback", "/v1/social-networks/{network}/callback/{context}"} {
		wanted = append(wanted, httpRule{"GET", path}, httpRule{"POST", path})
	}
	for _, rule := range wanted {
		if document.Paths[rule.path][strings.ToLower(rule.method)] == nil {
			t.Errorf("%s %s", rule.method, rule.path)
		}
	}
}
