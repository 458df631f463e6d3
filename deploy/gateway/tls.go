package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// certificateFiles reads a certificate and its key again when the files change, so that a renewed one needs no restart.
// While the new files can't be used, the old certificate stays.
type certificateFiles struct {
	certFile, keyFile string

	mutex   sync.Mutex
	current *tls.Certificate
	version string
	checked time.Time
}

func loadCertificate(certFile, keyFile string) (*certificateFiles, error) {
	f := &certificateFiles{certFile: certFile, keyFile: keyFile}
	version, err := f.versionOnDisk()
	if err != nil {
		return nil, err
	}
	certificate, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", certFile, keyFile, err)
	}
	f.current, f.version, f.checked = &certificate, version, time.Now()
	return f, nil
}

func (f *certificateFiles) versionOnDisk() (string, error) {
	var version strings.Builder
	for _, name := range []string{f.certFile, f.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&version, "%d/%d ", info.ModTime().UnixNano(), info.Size())
	}
	return version.String(), nil
}

func (f *certificateFiles) get() *tls.Certificate {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if time.Since(f.checked) < time.Second {
		return f.current
	}
	f.checked = time.Now()
	version, err := f.versionOnDisk()
	if err != nil || version == f.version {
		return f.current
	}
	if certificate, err := tls.LoadX509KeyPair(f.certFile, f.keyFile); err == nil {
		f.current, f.version = &certificate, version
	}
	return f.current
}

// frontTLS is what clients meet. HTTP/1.1 only: a stranger's HTTP/2 frames are no gain here.
func frontTLS(c config) (*tls.Config, error) {
	files, err := loadCertificate(c.tlsCertFile, c.tlsKeyFile)
	if err != nil {
		return nil, fmt.Errorf("--tls_cert_file: %w", err)
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return files.get(), nil },
	}, nil
}

func upstreamTLS(c config) (*tls.Config, error) {
	pem, err := os.ReadFile(c.upstreamTLSCAFile)
	if err != nil {
		return nil, fmt.Errorf("--upstream_tls_ca_file: %w", err)
	}
	authorities := x509.NewCertPool()
	if !authorities.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--upstream_tls_ca_file: %s holds no PEM certificate", c.upstreamTLSCAFile)
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: authorities, ServerName: c.upstreamTLSServerName}
	if c.upstreamTLSCertFile == "" {
		return config, nil
	}
	files, err := loadCertificate(c.upstreamTLSCertFile, c.upstreamTLSKeyFile)
	if err != nil {
		return nil, fmt.Errorf("--upstream_tls_cert_file: %w", err)
	}
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return files.get(), nil }
	return config, nil
}

func isUnixSocket(address string) bool { return strings.HasPrefix(address, "unix:") }
