package config

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// minReportSecret is the length in octets from which a reports' secret is taken.
const minReportSecret = 16

// reports checks [report].
func (c *checker) reports(raw *reportTable, cfg *Config) {
	r := &cfg.Report
	r.Listen = raw.Listen
	r.Secret = c.reportSecret(raw.SecretFile)
	r.Certificate = c.certificate(raw.CertFile, raw.KeyFile)
	r.ClientCAs = c.clientCAs(raw.ClientCAFile)
	secret, cert, ca := c.doc.given("report.secret_file"), c.doc.given("report.cert_file"), c.doc.given("report.client_ca_file")
	if raw.Listen == "" {
		if (secret || cert || ca) && !c.faulty("report.listen") {
			c.warn("report", "[report] has no listen: no reports are taken").suggest("say where: listen = \"192.0.2.10:9651\"")
		}
		return
	}
	c.reportListen(raw.Listen, cfg.Policy.Addresses)
	if !secret && !ca {
		c.fault("report.listen", "anybody could report: there is neither secret_file nor client_ca_file").
			suggest("openssl rand -hex 32 > report.key, on each gateway, too; then add secret_file = \"report.key\"")
	}
	if ca && !cert {
		c.fault("report.client_ca_file", "client_ca_file needs cert_file: clients show certificates in TLS only")
	}
}

// reportListen checks where reports are taken: at an address of this node
// alone, for one that all nodes have would take them anywhere.
func (c *checker) reportListen(listen string, anycast []netip.Addr) {
	const path, hint = "report.listen", "write this node's own unicast address, such as \"192.0.2.10:9651\""
	if err := checkListen(listen); err != nil {
		c.fault(path, "report.listen: %s %v", quote(listen), err).suggest(hint)
		return
	}
	host, _, _ := net.SplitHostPort(listen)
	a, _ := netip.ParseAddr(host)
	switch a = a.Unmap(); {
	case host == "" || a.IsValid() && a.IsUnspecified():
		c.fault(path, "report.listen: %s takes in the anycast addresses, too", quote(listen)).suggest(hint)
	case slices.Contains(anycast, a):
		c.fault(path, "report.listen: %s is an anycast address", a).suggest(hint)
	}
}

// reportSecret returns the secret that gateways prove themselves with.
func (c *checker) reportSecret(file string) []byte {
	const path = "report.secret_file"
	text := strings.TrimSpace(c.secret(path, file))
	switch {
	case text == "":
		return nil
	case len(text) < minReportSecret:
		c.fault(path, "%s holds %d octets, fewer than %d", file, len(text), minReportSecret).suggest("openssl rand -hex 32 > %s, and the same on each gateway", file)
		return nil
	}
	return []byte(text)
}

// certificate returns this node's certificate and its key.
func (c *checker) certificate(certFile, keyFile string) *tls.Certificate {
	const certPath, keyPath = "report.cert_file", "report.key_file"
	switch cert, key := c.doc.given(certPath), c.doc.given(keyPath); {
	case cert && !key:
		c.fault(certPath, "cert_file needs key_file").suggest("say where the certificate's key is: key_file = \"report.key\"")
	case key && !cert:
		c.fault(keyPath, "key_file needs cert_file").suggest("say where the key's certificate is: cert_file = \"report.crt\"")
	}
	cert, key := c.pem(certPath, certFile), c.secret(keyPath, keyFile)
	if cert == "" || key == "" {
		return nil
	}
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil { // the certificate has been found sound
		c.fault(keyPath, "%s: %s", c.beside(keyFile), strings.TrimPrefix(err.Error(), "tls: ")).suggest("it holds the key of %s, in PEM", certFile)
		return nil
	}
	return &pair
}

// clientCAs returns who signs the certificates of gateways.
func (c *checker) clientCAs(file string) *x509.CertPool {
	text := c.pem("report.client_ca_file", file)
	if text == "" {
		return nil
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM([]byte(text))
	return pool
}

// pem returns the content of a file of certificates whose name stands at path;
// "" if there is none, or a fault.
func (c *checker) pem(path, file string) string {
	text, _ := c.file(path, file, maxSize, "write the certificate into that file, in PEM")
	if text == "" {
		return ""
	}
	if err := checkCertificates([]byte(text)); err != nil {
		c.fault(path, "%s: %v", c.beside(file), err).suggest("a file of certificates is text with the lines BEGIN CERTIFICATE and END CERTIFICATE")
		return ""
	}
	return text
}

// checkCertificates returns what is wrong with certificates in PEM.
func checkCertificates(text []byte) error {
	found := false
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return errors.New("holds a " + strings.ToLower(block.Type) + ", not only certificates")
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return err
		}
		found = true
	}
	if !found {
		return errors.New("holds no certificate in PEM")
	}
	return nil
}

// Equal says whether r and o are the same.
func (r *Report) Equal(o *Report) bool {
	return r.Listen == o.Listen && bytes.Equal(r.Secret, o.Secret) && (r.ClientCAs == o.ClientCAs || r.ClientCAs.Equal(o.ClientCAs)) &&
		slices.EqualFunc(r.chain(), o.chain(), bytes.Equal)
}

// TLS says whether reports come by HTTPS.
func (r *Report) TLS() bool { return r.Certificate != nil }

// chain returns the certificates that are shown.
func (r *Report) chain() [][]byte {
	if r.Certificate == nil {
		return nil
	}
	return r.Certificate.Certificate
}
