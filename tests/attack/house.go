package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// house is a server and a gateway in front of it, on free ports of loopback and with data of their own.
type house struct {
	folder   string
	server   *program
	gateway  *program
	adminKey string
	orgKey   string
	// Makes a new connection of the kind that the attack wants to keep out, and uses it.
	newcomer func() error
}

// option is how a house differs from the usual one.
type option int

// withTLS: between gateway and server both sides show certificates.
const withTLS option = 1

// program is one that we started. Its log goes to a file, as it may have a line for each request of an attack.
type program struct {
	name    string
	process *exec.Cmd
	log     string
	address string
	ended   chan struct{}
}

func start(folder, name, path string, arguments ...string) (*program, error) {
	p := &program{name: name, log: filepath.Join(folder, name+".log"), ended: make(chan struct{})}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.process = exec.Command(path, arguments...)
	p.process.Stderr = log
	// What an attack does to a program must not depend on how this one was started.
	p.process.Env = append(os.Environ(), "GOMEMLIMIT=", "GOGC=")
	if err := p.process.Start(); err != nil {
		return nil, err
	}
	go func() { _ = p.process.Wait(); close(p.ended) }()
	for deadline := time.Now().Add(20 * time.Second); p.address == ""; time.Sleep(10 * time.Millisecond) {
		if p.hasEnded() || time.Now().After(deadline) {
			p.stop()
			return nil, fmt.Errorf("%s does not serve; its log ends with: %s", name, p.endOfLog())
		}
		p.address = p.servingAddress()
	}
	return p, nil
}

func (p *program) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

func (p *program) servingAddress() string {
	log, err := os.Open(p.log)
	if err != nil {
		return ""
	}
	defer log.Close()
	for lines := bufio.NewScanner(log); lines.Scan(); {
		var line struct{ Event, Address string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Event == "serving" {
			return line.Address
		}
	}
	return ""
}

func (p *program) endOfLog() string {
	text, _ := os.ReadFile(p.log)
	return string(text[max(0, len(text)-1000):])
}

func (p *program) stop() {
	if p == nil {
		return
	}
	_ = p.process.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
		_ = p.process.Process.Kill()
		<-p.ended
	}
}

// rssMiB is the memory that the program has now, and the most that it had.
func (p *program) rssMiB() (now, most int) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.process.Process.Pid))
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(status)) {
		var kib int
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil {
			now = kib / 1024
		}
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			most = kib / 1024
		}
	}
	return now, most
}

func (h *house) stop() {
	h.gateway.stop()
	h.server.stop()
	_ = os.RemoveAll(h.folder)
}

// build starts both and configures Instagram for an organisation.
func build(options ...option) (*house, error) {
	bin, gateway := os.Getenv("AUTHURL_BIN_DIR"), os.Getenv("AUTHURL_GATEWAY")
	if bin == "" || gateway == "" {
		return nil, errors.New("set AUTHURL_BIN_DIR to the folder of authurl-server and AUTHURL_GATEWAY to the built gateway")
	}
	folder, err := os.MkdirTemp("", "authurl-attack-")
	if err != nil {
		return nil, err
	}
	h := &house{folder: folder}
	if err := h.furnish(bin, gateway, slices.Contains(options, withTLS)); err != nil {
		h.stop()
		return nil, err
	}
	return h, nil
}

func (h *house) furnish(bin, gateway string, tls bool) error {
	in := func(name string) string { return filepath.Join(h.folder, name) }
	for file, kind := range map[string]string{"key-ring": "key-ring", "admin-key": "api-key"} {
		if output, err := exec.Command(filepath.Join(bin, "authurl-keygen"), kind, in(file)).CombinedOutput(); err != nil {
			return fmt.Errorf("authurl-keygen: %w: %s", err, output)
		}
	}
	key, err := os.ReadFile(in("admin-key"))
	if err != nil {
		return err
	}
	h.adminKey = strings.TrimSpace(string(key))
	serverFlags := []string{"--listen=127.0.0.1:0", "--database=" + in("authurl.db"), "--key_ring_file=" + in("key-ring"),
		"--admin_key_file=" + in("admin-key"), "--drain_delay=0s"}
	gatewayFlags := []string{"--listen=127.0.0.1:0", "--drain_delay=0s"}
	if tls {
		if err := writeCertificates(h.folder); err != nil {
			return err
		}
		serverFlags = append(serverFlags, "--tls_cert_file="+in("peer.crt"), "--tls_key_file="+in("peer.key"), "--tls_client_ca_file="+in("ca.crt"))
		gatewayFlags = append(gatewayFlags, "--upstream_tls_ca_file="+in("ca.crt"), "--upstream_tls_cert_file="+in("peer.crt"), "--upstream_tls_key_file="+in("peer.key"))
	}
	if h.server, err = start(h.folder, "server", filepath.Join(bin, "authurl-server"), serverFlags...); err != nil {
		return err
	}
	h.gateway, err = start(h.folder, "gateway", gateway, append(gatewayFlags, "--upstream="+h.server.address)...)
	if err != nil {
		return err
	}
	if _, err := h.post(h.adminKey, "/v1/organizations", `{"org_id":"acme"}`); err != nil {
		return err
	}
	made, err := h.post(h.adminKey, "/v1/organizations/acme/api-keys", `{"role":"ROLE_ORG"}`)
	if err != nil {
		return err
	}
	h.orgKey = keyIn(made)
	_, err = h.post(h.orgKey, "/v1/social-networks",
		`{"network":"instagram","client_key":"k","client_secret":"s","default_redirect_uri":"https://app.example.com/cb"}`)
	return err
}

func (h *house) post(key, path, body string) ([]byte, error) {
	request, err := http.NewRequest("POST", "http://"+h.gateway.address+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+key)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, response.Status, text)
	}
	return text, err
}

// keyIn is the API key in the reply that made it.
func keyIn(made []byte) string {
	var reply struct{ Data struct{ Key string } }
	_ = json.Unmarshal(made, &reply)
	return reply.Data.Key
}
