package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// proxy is an nginx in front of a gateway, at a Unix socket, that keeps connections to it.
type proxy struct {
	folder  string
	process *exec.Cmd
}

const nginxConfiguration = `daemon off;
master_process off;
pid %[1]s/pid;
error_log %[1]s/error.log warn;
events {}
http {
  access_log off;
  client_body_temp_path %[1]s/body;
  proxy_temp_path %[1]s/proxy;
  fastcgi_temp_path %[1]s/fastcgi;
  uwsgi_temp_path %[1]s/uwsgi;
  scgi_temp_path %[1]s/scgi;
  keepalive_requests 100000;
  upstream gateway {
    server %[2]s;
    keepalive 64;
    keepalive_requests 100000;
  }
  server {
    listen unix:%[1]s/socket;
    location / {
      proxy_pass http://gateway;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
  }
}
`

func startProxy(h *house) (*proxy, error) {
	path := os.Getenv("AUTHURL_NGINX")
	if path == "" {
		path, _ = exec.LookPath("nginx")
	}
	if path == "" {
		return nil, errors.New("there is no nginx: set AUTHURL_NGINX to the program")
	}
	p := &proxy{folder: filepath.Join(h.folder, "nginx")}
	if err := os.Mkdir(p.folder, 0o700); err != nil {
		return nil, err
	}
	configuration := filepath.Join(p.folder, "nginx.conf")
	if err := os.WriteFile(configuration, fmt.Appendf(nil, nginxConfiguration, p.folder, h.gateway.address), 0o600); err != nil {
		return nil, err
	}
	p.process = exec.Command(path, "-p", p.folder, "-e", filepath.Join(p.folder, "error.log"), "-c", configuration)
	if err := p.process.Start(); err != nil {
		return nil, err
	}
	for range 500 {
		if c, err := p.dial(); err == nil {
			c.Close()
			return p, nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	p.stop()
	return nil, fmt.Errorf("nginx does not serve; its log: %s", p.log())
}

func (p *proxy) dial() (net.Conn, error) { return net.Dial("unix", filepath.Join(p.folder, "socket")) }

func (p *proxy) log() string {
	text, _ := os.ReadFile(filepath.Join(p.folder, "error.log"))
	return string(text)
}

// tooMuch is how often the gateway sent more than it had announced.
func (p *proxy) tooMuch() int { return strings.Count(p.log(), "upstream sent more data") }

func (p *proxy) stop() {
	_ = p.process.Process.Signal(syscall.SIGTERM)
	_ = p.process.Wait()
}
