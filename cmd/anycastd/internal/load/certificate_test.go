package load

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// authority issues certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// newAuthority returns a new one.
func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	pair := a.issue(t, template)
	a.key = pair.PrivateKey.(*ecdsa.PrivateKey)
	a.cert = pair.Leaf
	return a
}

// issue signs template; the authority's own if it has no key yet.
func (a *authority) issue(t *testing.T, template *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issuer, issuerKey := a.cert, a.key
	if issuer == nil {
		issuer, issuerKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, &key.PublicKey, issuerKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// host returns a certificate with a common name and DNS names, for both sides.
func (a *authority) host(t *testing.T, commonName string, names ...string) tls.Certificate {
	t.Helper()
	return a.issue(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: commonName}, DNSNames: names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
}

// pool returns the authority as a set to trust.
func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

// serveTLS serves r with client certificates of a.
func serveTLS(t *testing.T, r *receiving, a *authority, clients *x509.CertPool, signed bool) (url string) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", ServerTLS(a.host(t, "front"), clients, signed))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: r.Handler(), ErrorLog: log.New(io.Discard, "", 0)} // handshakes that fail
	done := make(chan error)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() { srv.Close(); <-done })
	return "https://" + l.Addr().String() + "/v1/report"
}

// postTLS posts over TLS with that configuration; status 0 is a handshake that failed.
func postTLS(t *testing.T, url, body, key string, cfg *tls.Config) (status int, words string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		req.Header.Set(SignatureHeader, hex.EncodeToString(sign([]byte(key), []byte(body))))
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(bytes.TrimSpace(text))
}

func TestAClientCertificateMustNameTheGateway(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	for name, tc := range map[string]struct {
		secret, key string // the node's, the sender's
		certificate *tls.Certificate
		noCAs       bool
		status      int
		words       string
	}{
		"by DNS name":                       {certificate: ptr(ours.host(t, "", "x", "gw1")), status: 204},
		"by common name":                    {certificate: ptr(ours.host(t, "gw1")), status: 204},
		"of another gateway":                {certificate: ptr(ours.host(t, "gw2", "gw2.example.net")), status: 403, words: `the client certificate is that of "gw2", not of "gw1"`},
		"a wildcard":                        {certificate: ptr(ours.host(t, "", "*")), status: 403, words: `not of "gw1"`},
		"by a stranger":                     {certificate: ptr(theirs.host(t, "gw1")), status: 0},
		"none":                              {status: 0},
		"none, but signed":                  {secret: secret, key: secret, status: 204},
		"none, and wrongly signed":          {secret: secret, key: "x", status: 403, words: "is not the HMAC-SHA256"},
		"none, and not signed":              {secret: secret, status: 403, words: "neither"},
		"not signed where that would do":    {secret: secret, certificate: ptr(ours.host(t, "gw1")), status: 204},
		"right, but wrongly signed":         {secret: secret, key: "x", certificate: ptr(ours.host(t, "gw1")), status: 403, words: "is not the HMAC-SHA256"},
		"of another gateway, but signed":    {secret: secret, key: secret, certificate: ptr(ours.host(t, "gw2")), status: 403, words: `not of "gw1"`},
		"right, signed for a node without":  {key: secret, certificate: ptr(ours.host(t, "gw1")), status: 204},
		"a node that asks for none":         {noCAs: true, certificate: ptr(ours.host(t, "gw1")), status: 403, words: "this node has no secret"},
		"a node that asks for none, signed": {noCAs: true, secret: secret, key: secret, status: 204},
	} {
		t.Run(name, func(t *testing.T) {
			r := receive(tc.secret)
			clients := ours.pool()
			if tc.noCAs {
				clients = nil
			}
			url := serveTLS(t, r, ours, clients, tc.secret != "")
			cfg := &tls.Config{RootCAs: ours.pool()}
			if tc.certificate != nil { // also to a server that asks for other authorities
				cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return tc.certificate, nil }
			}
			status, words := postTLS(t, url, at(0), tc.key, cfg)
			if status != tc.status || !strings.Contains(words, tc.words) {
				t.Errorf("want %d %q, got %d %q", tc.status, tc.words, status, words)
			}
			if told := len(r.loads) > 0; told != (tc.status == 204) {
				t.Errorf("told: %v", r.loads)
			}
		})
	}
}

// ptr returns the address of a copy of v.
func ptr[T any](v T) *T { return &v }

func TestOldTLSIsRefused(t *testing.T) {
	a := newAuthority(t)
	url := serveTLS(t, receive(secret), a, nil, true)
	status, words := postTLS(t, url, at(0), secret, &tls.Config{RootCAs: a.pool(), MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if status != 0 || !strings.Contains(words, "protocol version") {
		t.Errorf("got %d %q", status, words)
	}
}
