package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority signs certificates for 127.0.0.1 into a folder.
type authority struct {
	folder      string
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	serial      int64
}

func newAuthority(t *testing.T) *authority {
	a := &authority{folder: t.TempDir()}
	a.certificate, a.key = a.write(t, "ca", nil)
	return a
}

func (a *authority) write(t *testing.T, name string, parent *authority) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	a.serial++
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		KeyUsage:    x509.KeyUsageDigitalSignature, BasicConstraintsValid: true,
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, signerKey := template, key
	if parent == nil {
		template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
	} else {
		signer, signerKey = parent.certificate, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer, &key.PublicKey, signerKey)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		name + ".crt": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: keyDER},
	} {
		if err := os.WriteFile(a.path(file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, key
}

func (a *authority) path(file string) string { return filepath.Join(a.folder, file) }

func (a *authority) sign(t *testing.T, name string) { a.write(t, name, a) }

func TestMutualTLSToTheServer(t *testing.T) {
	ours := newAuthority(t)
	ours.sign(t, "server")
	ours.sign(t, "client")
	server := startServer(t, "--tls_cert_file="+ours.path("server.crt"), "--tls_key_file="+ours.path("server.key"),
		"--tls_client_ca_file="+ours.path("ca.crt"))

	g := startGateway(t, "--upstream="+server.address, "--upstream_tls_ca_file="+ours.path("ca.crt"),
		"--upstream_tls_cert_file="+ours.path("client.crt"), "--upstream_tls_key_file="+ours.path("client.key"))
	if r := send(t, "GET", g.url+"/readyz", ""); r.status != http.StatusOK {
		t.Error(r)
	}
	without := startGateway(t, "--upstream="+server.address, "--upstream_tls_ca_file="+ours.path("ca.crt"))
	if r := send(t, "GET", without.url+"/readyz", ""); r.status != http.StatusServiceUnavailable {
		t.Error(r)
	}
	stranger := newAuthority(t)
	wrong := startGateway(t, "--upstream="+server.address, "--upstream_tls_ca_file="+stranger.path("ca.crt"),
		"--upstream_tls_cert_file="+ours.path("client.crt"), "--upstream_tls_key_file="+ours.path("client.key"))
	if r := send(t, "GET", wrong.url+"/readyz", ""); r.status != http.StatusServiceUnavailable {
		t.Error(r)
	}
}

func TestTLSOnTheFrontWithACertificateThatIsRenewed(t *testing.T) {
	ours := newAuthority(t)
	ours.sign(t, "front")
	g := startGateway(t, "--upstream="+new(fakeServer).start(t), "--tls_cert_file="+ours.path("front.crt"), "--tls_key_file="+ours.path("front.key"))
	pool := x509.NewCertPool()
	pool.AddCert(ours.certificate)
	serial := func() int64 {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true, ForceAttemptHTTP2: true}
		response, err := (&http.Client{Transport: transport}).Get(g.url + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != 200 || response.Proto != "HTTP/1.1" {
			t.Fatal(response)
		}
		return response.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	if got := serial(); got != 2 {
		t.Errorf("serial number %d", got)
	}
	ours.sign(t, "front")
	eventually(t, "the new certificate is shown", func() bool { return serial() == 3 })
	if err := os.WriteFile(ours.path("front.crt"), []byte("half a fi"), 0o600); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond) // The files are looked at once a second.
	if got := serial(); got != 3 {
		t.Errorf("serial number %d", got)
	}
}
