package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/grpc/codes"

	"authurl/deploy/gateway/gen/authurlv1"
)

// scrape reads the metrics as Prometheus does.
func scrape(t *testing.T, g *gateway) map[string]*dto.MetricFamily {
	t.Helper()
	response, err := http.Get("http://" + g.log.events("serving_metrics")[0]["address"].(string) + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatal(response.Status, err)
	}
	return families
}

// valueOf is that of the one series with these labels, in pairs; 0 where there is none.
func valueOf(families map[string]*dto.MetricFamily, name string, labels ...string) float64 {
	want := map[string]string{}
	for i := 0; i < len(labels); i += 2 {
		want[labels[i]] = labels[i+1]
	}
	for _, metric := range families[metricsPrefix+name].GetMetric() {
		has := map[string]string{}
		for _, label := range metric.GetLabel() {
			has[label.GetName()] = label.GetValue()
		}
		if !maps.Equal(has, want) {
			continue
		}
		switch {
		case metric.Counter != nil:
			return metric.GetCounter().GetValue()
		case metric.Histogram != nil:
			return float64(metric.GetHistogram().GetSampleCount())
		}
		return metric.GetGauge().GetValue()
	}
	return 0
}

const mintRoute = "POST /v1/social-networks/{network}/auth-url"

func TestMetricsSayWhatWasServed(t *testing.T) {
	server := &fakeServer{}
	g := startGateway(t, "--upstream="+server.start(t), "--metrics_listen=127.0.0.1:0")
	expectStatus := func(what string, r reply, want int) {
		t.Helper()
		if r.status != want {
			t.Fatal(what, r)
		}
	}
	mint := g.url + "/v1/social-networks/x/auth-url"
	for range 3 {
		expectStatus("mint", send(t, "POST", mint, `{}`, "Content-Type", jsonType), 200)
	}
	expectStatus("no JSON", send(t, "POST", mint, `{`, "Content-Type", jsonType), 400)
	expectStatus("no key", send(t, "POST", mint, `{}`, "Authorization", ""), 401)
	expectStatus("page", send(t, "GET", g.url+"/docs", ""), 200)
	server.answerSocial(&hostedReply{Outcome: authurlv1.CompleteHostedAuthResponse_OUTCOME_CONNECTED}, nil)
	expectStatus("connected", comeBack(t, g, "GET", hostedPath+"?code=c&state=s", ""), 200)
	server.answerSocial(&hostedReply{Outcome: authurlv1.CompleteHostedAuthResponse_OUTCOME_FAILED, Reason: "USER_DENIED"}, nil)
	expectStatus("denied", comeBack(t, g, "GET", hostedPath+"?error=e&state=s", ""), 400)
	server.answerSocial(nil, rpcError(codes.ResourceExhausted, "too often", "RATE_LIMITED"))
	expectStatus("too often", comeBack(t, g, "GET", hostedPath+"?code=c&state=s", ""), 429)
	expectStatus("no post", comeBack(t, g, "POST", hostedPath, `{}`, "Content-Type", jsonType), 415)

	silent, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	eventually(t, "the silent connection is counted", func() bool { return valueOf(scrape(t, g), "connections_open") >= 1 })

	families := scrape(t, g)
	for _, want := range []struct {
		value  float64
		name   string
		labels []string
	}{
		{3, "requests_total", []string{"route", mintRoute, "status", "200"}},
		{1, "requests_total", []string{"route", mintRoute, "status", "400"}},
		{1, "requests_total", []string{"route", mintRoute, "status", "401"}},
		{5, "request_duration_seconds", []string{"route", mintRoute}},
		{1, "requests_total", []string{"route", "GET /docs", "status", "200"}},
		{1, "requests_total", []string{"route", "GET " + callbackRoute, "status", "429"}},
		{1, "requests_total", []string{"route", "POST " + callbackRoute, "status", "415"}},
		{1, "errors_total", []string{"reason", "INVALID_PAYLOAD"}},
		{1, "errors_total", []string{"reason", "USER_DENIED"}},
		{1, "errors_total", []string{"reason", "RATE_LIMITED"}},
		{1, "callbacks_total", []string{"outcome", "connected"}},
		{1, "callbacks_total", []string{"outcome", "failed"}},
		{2, "callbacks_total", []string{"outcome", "refused"}},
		{5, "upstream_calls_total", []string{"code", "OK"}},
		{1, "upstream_calls_total", []string{"code", "ResourceExhausted"}},
		{0, "requests_in_flight", nil},
		{2, "upstream_connections", nil},
		{256, "places_limit", []string{"kind", "calls"}},
		{2048, "connections_limit", nil},
	} {
		if got := valueOf(families, want.name, want.labels...); got != want.value {
			t.Errorf("%s %v: %v, and not %v", want.name, want.labels, got, want.value)
		}
	}
	if ready := valueOf(families, "upstream_connections_ready"); ready < 1 {
		t.Error("no connection to the server is up")
	}
	if agent := server.metadata.Get("user-agent"); len(agent) != 1 || !strings.HasPrefix(agent[0], "authurl-gateway/"+version) {
		t.Error(agent)
	}
}

func TestNothingThatACallerSendsBecomesALabel(t *testing.T) {
	server := &fakeServer{}
	g := startGateway(t, "--upstream="+server.start(t), "--metrics_listen=127.0.0.1:0")
	for i := range 20 {
		send(t, fmt.Sprintf("BREW%d", i), g.url+hostedPath, "", "Authorization", "")
		send(t, fmt.Sprintf("BREW%d", i), g.url+"/docs", "")
		send(t, "GET", fmt.Sprintf("%s/v1/unknown%d", g.url, i), "")
		send(t, "POST", fmt.Sprintf("%s/v1/social-networks/n%d/auth-url", g.url, i), `{}`, "Content-Type", jsonType)
		comeBack(t, g, "GET", fmt.Sprintf("/v1/social-networks/n%d/callback/c%d", i, i), "")
	}
	broken, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer broken.Close()
	fmt.Fprint(broken, "no HTTP\r\n\r\n")
	eventually(t, "the broken request is counted", func() bool {
		return valueOf(scrape(t, g), "requests_total", "route", noRoute, "status", "400") == 1
	})
	routes := map[string]bool{}
	for _, metric := range scrape(t, g)[metricsPrefix+"requests_total"].GetMetric() {
		for _, label := range metric.GetLabel() {
			if label.GetName() == "route" {
				routes[label.GetValue()] = true
			}
		}
	}
	want := []string{"GET " + callbackRoute, mintRoute, noRoute}
	if got := slices.Sorted(maps.Keys(routes)); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestPrometheusFindsNothingAmissInTheMetrics(t *testing.T) {
	problems, err := testutil.GatherAndLint(allMeters(t).registry)
	if err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
}

// allMeters have a series of every metric.
func allMeters(t *testing.T) *meters {
	t.Helper()
	c, err := readConfig(nil, func(string) (string, bool) { return "", false }, nil)
	if err != nil {
		t.Fatal(err)
	}
	m := newMeters(newClients(c, slog.New(slog.DiscardHandler)), &pool{})
	m.begin()
	m.end(mintRoute, 429, "OVERLOADED", time.Second)
	m.refused(500, "INTERNAL")
	m.called(nil)
	return m
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// namesIn are the metrics that a text speaks of; a histogram by its family's name.
func namesIn(text string) map[string]bool {
	names := map[string]bool{}
	for _, name := range regexp.MustCompile(`\b(authurl_gateway|process|go)_[a-z0-9_]+`).FindAllString(text, -1) {
		names[strings.TrimSuffix(name, "_bucket")] = true
	}
	return names
}

func withoutComments(yaml string) string {
	return regexp.MustCompile(`(?m)^ *#.*$`).ReplaceAllString(yaml, "")
}

func TestRulesDashboardAndReadmeNameTheMetricsThatThereAre(t *testing.T) {
	families, err := allMeters(t).registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]string{}
	labels := map[string]bool{"job": true, "instance": true, "le": true}
	for _, family := range families {
		types[family.GetName()] = strings.ToLower(family.GetType().String())
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				labels[label.GetName()] = true
			}
		}
	}
	dashboard := readText(t, "../grafana/authurl_gateway_dashboard.json")
	rules := withoutComments(readText(t, "../prometheus/authurl_gateway_alerts.yaml"))
	shown := namesIn(dashboard)
	for name := range namesIn(rules + dashboard) {
		if types[name] == "" && name != "authurl_gateway_alerts" {
			t.Errorf("there is no metric %s", name)
		}
	}
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(authurl_gateway_[a-z_]+)` ([a-z]+) \\|").FindAllStringSubmatch(readText(t, "../prometheus/README.md"), -1) {
		documented[row[1]] = row[2]
	}
	for name, kind := range types {
		if !strings.HasPrefix(name, metricsPrefix) {
			continue
		}
		if documented[name] != kind {
			t.Errorf("deploy/prometheus/README.md says that %s is a %q and not a %s", name, documented[name], kind)
		}
		if !shown[name] {
			t.Errorf("the dashboard does not show %s", name)
		}
		delete(documented, name)
	}
	if len(documented) > 0 {
		t.Errorf("deploy/prometheus/README.md has metrics that there are not: %v", documented)
	}
	for _, matcher := range regexp.MustCompile(`([a-z_]+) ?=~?\\?"`).FindAllStringSubmatch(rules+dashboard, -1) {
		if !labels[matcher[1]] {
			t.Errorf("no metric has the label %s", matcher[1])
		}
	}
}

func TestMetricsOnAnAddressThatOthersReachHaveToBeMeant(t *testing.T) {
	none := func(string) (string, bool) { return "", false }
	for _, wrong := range []string{"--metrics_listen=0.0.0.0:9465", "--metrics_listen=:9465", "--metrics_listen=9465"} {
		if _, err := readConfig([]string{wrong}, none, nil); err == nil || !strings.HasPrefix(err.Error(), "--metrics_listen=") {
			t.Error(wrong, err)
		}
	}
	for _, right := range [][]string{{"--metrics_listen=[::1]:0"}, {"--metrics_listen=0.0.0.0:9465", "--metrics_open_to_network"}} {
		if _, err := readConfig(right, none, nil); err != nil {
			t.Error(right, err)
		}
	}
}

func TestVersionIsPrinted(t *testing.T) {
	var printed bytes.Buffer
	everything := func(name string) (string, bool) { return "0.9", name == environmentPrefix+"VERSION" }
	if _, err := readConfig([]string{"--version"}, everything, &printed); !errors.Is(err, flag.ErrHelp) {
		t.Fatal(err)
	}
	if printed.String() != "authurl-gateway "+version+"\n" {
		t.Errorf("%q", printed.String())
	}
	if _, err := readConfig(nil, everything, &printed); err != nil {
		t.Error("the environment asks for nothing:", err)
	}
}

func TestTheLogSaysWhatIsWaitedForAtTheEnd(t *testing.T) {
	server := &fakeServer{}
	g := startGateway(t, "--upstream="+server.start(t), "--drain_delay=10ms", "--shutdown_grace=3s")
	g.stop()
	eventually(t, "the gateway says that it leaves", func() bool { return len(g.log.events("draining")) == 1 })
	message, _ := g.log.events("draining")[0]["message"].(string)
	if !strings.Contains(message, "another 10ms") || !strings.Contains(message, "up to 3s") {
		t.Errorf("%q", message)
	}
}
