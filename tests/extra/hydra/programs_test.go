package hydra

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// house is Hydra and an authurl-server that knows it as a network, on free ports of loopback, with data of their own.
type house struct {
	// Hydra's: where browsers and clients find it, and its other port, for whoever manages it.
	issuer string
	admin  http.Client
	// authurl-server's.
	address string
	orgKey  string
}

// open starts both. They end with the test.
func open(t *testing.T) *house {
	h := &house{}
	folder := t.TempDir()
	h.startHydra(t, folder)
	h.startServer(t, folder)
	return h
}

// start starts a program and waits until it is ready. Its log is written to a file of that name, whose end is shown if
// the test fails.
func start(t *testing.T, log string, isReady func() bool, path string, arguments ...string) {
	t.Helper()
	file, err := os.Create(log)
	check(t, err)
	defer file.Close()
	program := exec.Command(path, arguments...)
	program.Stderr = file
	program.Stdout = file
	// Hydra takes settings from it before those of its file: where it keeps its data, for one.
	program.Env = []string{"HOME=" + filepath.Dir(log)}
	// It does not outlive this process, though that be killed.
	program.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	check(t, program.Start())
	ended := make(chan struct{})
	go func() { _ = program.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = program.Process.Signal(syscall.SIGTERM)
		<-ended
		if t.Failed() {
			text, _ := os.ReadFile(log)
			t.Logf("%s ends with:\n%s", filepath.Base(log), text[max(0, len(text)-4000):])
		}
	})
	waitFor(t, filepath.Base(path)+" is ready", func() bool {
		select {
		case <-ended:
			t.Fatalf("%s has ended", filepath.Base(path))
		default:
		}
		return isReady()
	})
}

// waitFor waits until something holds.
func waitFor(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// freePort is one that is not among those that the system gives to connections: nobody takes it before Hydra does.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 20000 + rand.IntN(10000)
		if listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			check(t, listener.Close())
			return port
		}
	}
	t.Fatal("there is no free port")
	return 0
}

// startHydra starts one that keeps all in memory. Pages to sign in on are not part of it: see person.
func (h *house) startHydra(t *testing.T, folder string) {
	t.Helper()
	port := freePort(t)
	h.issuer = fmt.Sprintf("http://127.0.0.1:%d", port)

	// Its other port needs no number.
	socket := filepath.Join(folder, "admin.sock")
	h.admin.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	type object = map[string]any
	settings, err := json.Marshal(object{
		"dsn": "memory",
		"dev": true,                    // http
		"sqa": object{"opt_out": true}, // It would tell its makers.
		"serve": object{
			"public": object{"host": "127.0.0.1", "port": port},
			"admin":  object{"host": "unix:" + socket},
		},
		"urls": object{
			"self":    object{"issuer": h.issuer},
			"login":   signInPage,
			"consent": consentPage,
		},
		"secrets": object{"system": []string{"of-this-test-and-of-no-other-use"}},
		"oauth2":  object{"pkce": object{"enforced": true}},
		"log":     object{"format": "json"},
	})
	check(t, err)
	file := filepath.Join(folder, "hydra.json")
	check(t, os.WriteFile(file, settings, 0o600))
	isReady := func() bool {
		return answers(&h.admin, "http://admin/health/ready") && answers(http.DefaultClient, h.issuer)
	}
	// --dev: http is enough.
	start(t, filepath.Join(folder, "hydra.log"), isReady, os.Getenv("AUTHURL_HYDRA"), "serve", "all", "--dev",
		"--config="+file)
}

// answers says whether somebody answers, whatever it is.
func answers(client *http.Client, address string) bool {
	answer, err := client.Get(address)
	if err == nil {
		answer.Body.Close()
	}
	return err == nil
}

// manage asks what only Hydra's manager may ask. `reply` may be nil.
func (h *house) manage(t *testing.T, method, path string, request, reply any) {
	t.Helper()
	body, err := json.Marshal(request)
	check(t, err)
	h.askAdmin(t, method, path, "application/json", body, reply)
}

func (h *house) askAdmin(t *testing.T, method, path, kind string, body []byte, reply any) {
	t.Helper()
	asked, err := http.NewRequest(method, "http://admin"+path, bytes.NewReader(body))
	check(t, err)
	asked.Header.Set("Content-Type", kind)
	answer, err := h.admin.Do(asked)
	check(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	check(t, err)
	if answer.StatusCode >= 300 {
		t.Fatalf("Hydra's %s %s: %s: %s", method, path, answer.Status, text)
	}
	if reply != nil {
		check(t, json.Unmarshal(text, reply))
	}
}

// isActive says whether Hydra takes a token.
func (h *house) isActive(t *testing.T, token string) bool {
	t.Helper()
	var reply struct{ Active bool }
	form := url.Values{"token": {token}}.Encode()
	h.askAdmin(t, "POST", "/admin/oauth2/introspect", "application/x-www-form-urlencoded", []byte(form), &reply)
	return reply.Active
}

func (h *house) startServer(t *testing.T, folder string) {
	t.Helper()
	in := func(name string) string { return filepath.Join(folder, name) }
	networks, err := os.ReadFile("networks.textproto")
	check(t, err)
	check(t, os.WriteFile(in("networks"), bytes.ReplaceAll(networks, []byte("ISSUER"), []byte(h.issuer)), 0o600))
	for _, kind := range []string{"key-ring", "api-key"} {
		output, err := exec.Command(ours("authurl-keygen"), kind, in(kind)).CombinedOutput()
		if err != nil {
			t.Fatalf("authurl-keygen: %v: %s", err, output)
		}
	}
	log := in("server.log")
	serving := regexp.MustCompile(`"event":"serving","address":"([^"]+)"`)
	isReady := func() bool {
		text, _ := os.ReadFile(log)
		found := serving.FindSubmatch(text)
		if found != nil {
			h.address = string(found[1])
		}
		return found != nil
	}
	start(t, log, isReady, ours("authurl-server"), "--listen=127.0.0.1:0", "--database="+in("authurl.db"),
		"--key_ring_file="+in("key-ring"), "--admin_key_file="+in("api-key"), "--networks_file="+in("networks"),
		"--allow_local_instances", "--drain_delay=0s")

	key, err := os.ReadFile(in("api-key"))
	check(t, err)
	h.orgKey = strings.TrimSpace(string(key))
	var made struct{ Key string }
	h.call(t, "OrganizationService/CreateOrganization", fields{"org_id": "acme"}, nil)
	h.call(t, "OrganizationService/CreateApiKey", fields{"org_id": "acme", "role": "ROLE_ORG", "read_tokens": true}, &made)
	h.orgKey = made.Key
}

// ours is one of the programs that are tested.
func ours(name string) string { return filepath.Join(os.Getenv("AUTHURL_BIN_DIR"), name) }

// fields are those of a message, by the names of the protos.
type fields map[string]any

// call makes a call that must succeed. `reply` may be nil.
func (h *house) call(t *testing.T, method string, request fields, reply any) {
	t.Helper()
	if reason := h.try(t, method, request, reply); reason != "" {
		t.Fatalf("%s: %s", method, reason)
	}
}

var (
	reasonOf  = regexp.MustCompile(`"reason": *"([A-Z_]+)"`)
	messageOf = regexp.MustCompile(`(?m)^ *Message: (.*)$`)
)

// try makes a call and returns the reason of its error; empty: none. Keys and requests are among no program's
// arguments, which everybody sees.
func (h *house) try(t *testing.T, method string, request fields, reply any) string {
	t.Helper()
	text, err := json.Marshal(request)
	check(t, err)
	program := exec.Command(ours("authurl-call"), "-plaintext", "-expand-headers",
		"-H", "authorization: Bearer ${AUTHURL_API_KEY}", "-max-time", "30", "-d", "@", h.address, "authurl.v1."+method)
	program.Env = append(os.Environ(), "AUTHURL_API_KEY="+h.orgKey)
	program.Stdin = bytes.NewReader(text)
	var said bytes.Buffer
	program.Stderr = &said
	output, err := program.Output()
	if err != nil {
		reason, message := reasonOf.FindStringSubmatch(said.String()), messageOf.FindStringSubmatch(said.String())
		if reason == nil || message == nil {
			t.Fatalf("%s: %v: %s", method, err, said.String())
		}
		t.Logf("%s: %s: %s", method, reason[1], message[1])
		return reason[1]
	}
	if reply != nil {
		check(t, json.Unmarshal(output, reply))
	}
	return ""
}
