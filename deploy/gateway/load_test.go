package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func TestAThousandConnectionsAndSlowClients(t *testing.T) {
	const idle, slow = 1000, 200
	g := startGateway(t, "--upstream="+new(fakeServer).start(t), "--read_header_timeout=1s", "--read_timeout=2s")
	address := strings.TrimPrefix(g.url, "http://")
	dial := func() net.Conn {
		connection, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { connection.Close() })
		_ = connection.SetDeadline(time.Now().Add(60 * time.Second))
		return connection
	}

	request := "POST " + authURLPath + " HTTP/1.1\r\nHost: x\r\n" + authorization + "Content-Length: 0\r\n\r\n"
	var keepAlive []*bufio.ReadWriter
	use := func(connection *bufio.ReadWriter) {
		_, _ = connection.WriteString(request)
		_ = connection.Flush()
		response, err := http.ReadResponse(connection.Reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		if response.StatusCode != 200 || response.Close {
			t.Fatal(response)
		}
	}
	for range idle {
		connection := dial()
		keepAlive = append(keepAlive, bufio.NewReadWriter(bufio.NewReader(connection), bufio.NewWriter(connection)))
		use(keepAlive[len(keepAlive)-1])
	}

	started := time.Now()
	ended := make(chan string, 2*slow)
	drip := func(opening, drop string) {
		connection := dial()
		_, _ = io.WriteString(connection, opening)
		go func() {
			for {
				time.Sleep(100 * time.Millisecond)
				if _, err := io.WriteString(connection, drop); err != nil {
					return
				}
			}
		}()
		go func() {
			answer, _ := io.ReadAll(connection)
			ended <- string(answer)
		}()
	}
	for range slow {
		drip("POST "+authURLPath+" HTTP/1.1\r\nHost: x\r\n"+authorization, "X")
		drip("POST "+authURLPath+" HTTP/1.1\r\nHost: x\r\n"+authorization+"Content-Type: application/json\r\nContent-Length: 60000\r\n\r\n", " ")
	}

	// While they all hold on, others are served at once, and every idle connection still is one.
	worst := time.Duration(0)
	for range 200 {
		before := time.Now()
		if r := send(t, "POST", g.url+authURLPath, ""); r.status != 200 {
			t.Fatal(r)
		}
		worst = max(worst, time.Since(before))
	}
	if worst > time.Second {
		t.Errorf("a request took %s", worst)
	}
	timeouts := 0
	for range 2 * slow {
		answer := <-ended
		if strings.HasPrefix(answer, "HTTP/1.1 408 ") && strings.Contains(answer, `"code":"REQUEST_TIMEOUT"`) {
			timeouts++
		} else if answer != "" && !strings.HasPrefix(answer, "HTTP/1.1 400 ") {
			t.Fatalf("%q", answer)
		}
	}
	if took := time.Since(started); took > 10*time.Second || timeouts == 0 {
		t.Errorf("slow clients were held for %s; %d were told why", took, timeouts)
	}
	for _, connection := range keepAlive {
		use(connection)
	}
	t.Logf("worst of 200 requests meanwhile: %s; %d of %d slow bodies were told why", worst, timeouts, slow)
}

func TestIdleConnectionsAreClosedInTime(t *testing.T) {
	g := startGateway(t, "--upstream="+new(fakeServer).start(t), "--idle_timeout=300ms")
	started := time.Now()
	answer := exchangeRaw(t, g, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	if took := time.Since(started); !strings.HasPrefix(answer, "HTTP/1.1 200") || took > 5*time.Second {
		t.Errorf("%s: %s", took, answer)
	}
}

// load sends requests from many clients, each on its keep-alive connection, until it is stopped. It behaves as one
// behind a load balancer does: it starts no request once /readyz said no.
type load struct {
	stopped   atomic.Bool
	succeeded atomic.Int64
	mutex     sync.Mutex
	failures  []string
	clients   sync.WaitGroup
}

// A fast machine makes more calls than a key may by default.
var noRateLimits = []string{"--rate_limit_key=0", "--rate_limit_organization=0"}

func startLoad(url, key string) *load {
	l := &load{}
	for range 16 {
		l.clients.Go(func() {
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			for !l.stopped.Load() {
				request, _ := http.NewRequest("POST", url+authURLPath, io.NopCloser(strings.NewReader("{}")))
				// A body that can't be sent again: net/http must not hide a failure by a second attempt.
				request.ContentLength = 2
				request.Header.Set("Authorization", bearer(key))
				request.Header.Set("Content-Type", jsonType)
				l.count(transport.RoundTrip(request))
			}
		})
	}
	return l
}

func (l *load) count(response *http.Response, err error) {
	problem := fmt.Sprint(err)
	if err == nil {
		body, readErr := io.ReadAll(response.Body)
		response.Body.Close()
		if readErr == nil && response.StatusCode == 200 {
			l.succeeded.Add(1)
			return
		}
		problem = fmt.Sprint(response.StatusCode, " ", string(body), readErr)
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.failures = append(l.failures, problem)
}

func (l *load) stop() { l.stopped.Store(true); l.clients.Wait() }

func (l *load) expectNoFailure(t *testing.T, what string) {
	t.Helper()
	if len(l.failures) > 0 {
		t.Errorf("%s: %d failed, such as %s", what, len(l.failures), l.failures[0])
	}
	if l.succeeded.Load() == 0 {
		t.Errorf("%s: nothing succeeded", what)
	}
	t.Logf("%s: %d succeeded", what, l.succeeded.Load())
}

// gatewayProcess is the program itself, which AUTHURL_GATEWAY names.
func gatewayProcess(t *testing.T, arguments ...string) (*exec.Cmd, *gateway) {
	t.Helper()
	program := os.Getenv("AUTHURL_GATEWAY")
	if program == "" {
		t.Skip("AUTHURL_GATEWAY does not name the program")
	}
	g := &gateway{log: &logBuffer{}}
	process := exec.Command(program, append([]string{"--listen=127.0.0.1:0"}, arguments...)...)
	process.Stderr = g.log
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = process.Process.Kill() })
	eventually(t, "the gateway serves", func() bool { return len(g.log.events("serving")) == 1 })
	g.url = "http://" + g.log.events("serving")[0]["address"].(string)
	return process, g
}

func TestTheProgramWritesNoCoreFile(t *testing.T) {
	process, _ := gatewayProcess(t)
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", process.Process.Pid))
	if err != nil {
		t.Skip(err)
	}
	if !regexp.MustCompile(`Max core file size +0 +0 `).Match(limits) {
		t.Errorf("%s", limits)
	}
}

func TestRollingStopUnderLoad(t *testing.T) {
	server := startServer(t, noRateLimits...)
	process, g := gatewayProcess(t, "--upstream="+server.address, "--drain_delay=2s")
	key := setUp(t, g, server.adminKey)
	l := startLoad(g.url, key)
	eventually(t, "the load runs", func() bool { return l.succeeded.Load() > 200 })

	if err := process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the gateway says that it leaves", func() bool { return send(t, "GET", g.url+"/readyz", "").status == 503 })
	before := l.succeeded.Load()
	eventually(t, "it serves on while it drains", func() bool { return l.succeeded.Load() > before+100 })
	l.stop() // The load balancer has noticed.
	if err := process.Wait(); err != nil {
		t.Errorf("the gateway ended with %v", err)
	}
	server.terminate(t)
	l.expectNoFailure(t, "gateway stopped, then server")
	if len(g.log.events("stopped")) != 1 {
		t.Error(g.log)
	}
	eventually(t, "the server stops", func() bool { return len(server.log.events("stopped")) == 1 })
}

// Both containers of a pod get SIGTERM at once. The server's longer --drain_delay lets the gateway leave first.
func TestBothAreToldToStopAtOnce(t *testing.T) {
	server := startServer(t, append(noRateLimits, "--drain_delay=4s")...)
	process, g := gatewayProcess(t, "--upstream="+server.address, "--drain_delay=1s")
	key := setUp(t, g, server.adminKey)
	l := startLoad(g.url, key)
	eventually(t, "the load runs", func() bool { return l.succeeded.Load() > 200 })
	server.terminate(t)
	if err := process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the gateway says that it leaves", func() bool { return send(t, "GET", g.url+"/readyz", "").status == 503 })
	time.Sleep(300 * time.Millisecond)
	l.stop()
	if err := process.Wait(); err != nil {
		t.Errorf("the gateway ended with %v", err)
	}
	l.expectNoFailure(t, "both at once")
}

// A server is replaced behind a gateway that stays: its port is taken over as soon as it is free.
func TestTheServerIsReplacedUnderLoad(t *testing.T) {
	server := startServer(t, noRateLimits...)
	g := startGateway(t, "--upstream="+server.address)
	key := setUp(t, g, server.adminKey)
	l := startLoad(g.url, key)
	eventually(t, "the load runs", func() bool { return l.succeeded.Load() > 200 })
	server.terminate(t)
	_, _ = server.process.Process.Wait()
	server.start(t, server.address)
	after := l.succeeded.Load()
	eventually(t, "the load goes on", func() bool { return l.succeeded.Load() > after+200 })
	l.stop()
	// A server that needs longer than the gateway's patience costs errors that tell the caller to come back.
	for _, failure := range l.failures {
		if !strings.HasPrefix(failure, "503 ") {
			t.Errorf("server replaced: %s", failure)
		}
	}
	t.Logf("server replaced: %d succeeded, %d were told to come back", l.succeeded.Load(), len(l.failures))
}

func TestSettingsThatAreWrongAreToldInOneLine(t *testing.T) {
	for _, test := range []struct {
		arguments   []string
		environment map[string]string
		want        string
	}{
		{[]string{"--nonsense"}, nil, "flag provided but not defined: -nonsense"},
		{[]string{"word"}, nil, `"word" is not a flag`},
		{[]string{"--listen=8080"}, nil, "--listen=8080: must be host:port"},
		{[]string{"--upstream=server"}, nil, "--upstream=server: must be host:port or unix:/path"},
		{[]string{"--upstream=unix:relative"}, nil, "a Unix socket is given as unix:/path"},
		{[]string{"--tls_cert_file=a"}, nil, "--tls_cert_file and --tls_key_file go together"},
		{[]string{"--upstream_tls_cert_file=a", "--upstream_tls_key_file=b"}, nil, "--upstream_tls_ca_file must be set too"},
		{[]string{"--idle_timeout=0s"}, nil, "--idle_timeout=0s: must be more than 0"},
		{[]string{"--write_timeout=1s"}, nil, "--write_timeout=1s: must be at least"},
		{[]string{"--max_connections=1"}, nil, "--max_connections=1: must be 16 to 1000000"},
		{[]string{"--max_held_mib=0"}, nil, "--max_held_mib=0: must be 16 to"},
		{[]string{"--max_network_requests=0"}, nil, "--max_network_requests=0: must be 1 to 1000000"},
		{[]string{"--max_waiting_requests=0"}, nil, "--max_waiting_requests=0: must be 1 to 1000000"},
		{[]string{"--upstream_timeout=soon"}, nil, `invalid value "soon"`},
		{nil, map[string]string{"AUTHURL_GATEWAY_DRAIN_DELAY": "soon"}, `AUTHURL_GATEWAY_DRAIN_DELAY="soon"`},
	} {
		_, err := readConfig(test.arguments, func(name string) (string, bool) { value, ok := test.environment[name]; return value, ok }, io.Discard)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q %v: %v", test.arguments, test.environment, err)
		}
	}
	environment := func(name string) (string, bool) { return ":1", name == "AUTHURL_GATEWAY_LISTEN" }
	if c, err := readConfig(nil, environment, io.Discard); err != nil || c.listen != ":1" {
		t.Error(c, err)
	}
	if c, err := readConfig([]string{"--listen=:2"}, environment, io.Discard); err != nil || c.listen != ":2" {
		t.Error(c, err)
	}
	var help bytes.Buffer
	if _, err := readConfig([]string{"--help"}, environment, &help); err == nil || !strings.Contains(help.String(), "-upstream_tls_ca_file") {
		t.Error(err, help.String())
	}
}
