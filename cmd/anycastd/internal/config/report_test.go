package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// newCertificate returns a certificate that signs itself, and its key, in PEM.
func newCertificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, of []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: of}))
	}
	return block("CERTIFICATE", der), block("PRIVATE KEY", pkcs8)
}

// reporting is service and a [report]; a third line is to follow.
const reporting = service + "[report]\n"

func TestReport(t *testing.T) {
	dir := t.TempDir()
	cert, key := newCertificate(t)
	_, other := newCertificate(t)
	for name, text := range map[string]string{
		"secret": "sixteen octets!!\n", "short": "fifteen octets!\n", "crt": cert, "chain": cert + cert, "key": key, "other": other,
		"junk": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "text": "no certificate at all",
	} {
		write(t, dir, name, text, 0o600)
	}
	const listen, secret, certified = "listen = \"192.0.2.10:9651\"\n", "secret_file = \"secret\"\n", "cert_file = \"crt\"\nkey_file = \"key\"\n"
	const hint = ` (write this node's own unicast address, such as "192.0.2.10:9651")`
	const pemHint = " (a file of certificates is text with the lines BEGIN CERTIFICATE and END CERTIFICATE)"
	at := func(where string) string { return reporting + "listen = \"" + where + "\"\n" + secret }
	for name, r := range map[string]row{
		"takes a secret":                  {reporting + listen + secret, nil},
		"takes a secret and TLS":          {reporting + listen + secret + certified, nil},
		"takes client certificates":       {reporting + listen + certified + `client_ca_file = "chain"`, nil},
		"takes an address by name":        {at("fra1.example.net:9651"), nil},
		"takes files without listen":      {reporting + secret + certified, nil},
		"takes nothing":                   {reporting, nil},
		"refuses neither":                 {reporting + listen + certified, []string{`3:10: anybody could report: there is neither secret_file nor client_ca_file (openssl rand -hex 32 > report.key, on each gateway, too; then add secret_file = "report.key")`}},
		"refuses a CA without TLS":        {reporting + listen + secret + `client_ca_file = "crt"`, []string{"5:18: client_ca_file needs cert_file: clients show certificates in TLS only"}},
		"refuses a certificate alone":     {reporting + listen + secret + `cert_file = "crt"`, []string{`5:13: cert_file needs key_file (say where the certificate's key is: key_file = "report.key")`}},
		"refuses a key alone":             {reporting + listen + secret + `key_file = "key"`, []string{`5:12: key_file needs cert_file (say where the key's certificate is: cert_file = "report.crt")`}},
		"refuses a short secret":          {reporting + listen + `secret_file = "short"`, []string{"4:15: short holds 15 octets, fewer than 16 (openssl rand -hex 32 > short, and the same on each gateway)"}},
		"refuses a missing secret":        {reporting + listen + `secret_file = "none"`, []string{"4:15: DIR/none: no such file or directory (write the secret into that file, with mode 0600)"}},
		"refuses a missing certificate":   {reporting + listen + secret + "cert_file = \"none\"\nkey_file = \"key\"", []string{"5:13: DIR/none: no such file or directory (write the certificate into that file, in PEM)"}},
		"refuses what is no PEM":          {reporting + listen + secret + "cert_file = \"text\"\nkey_file = \"key\"", []string{"5:13: DIR/text: holds no certificate in PEM" + pemHint}},
		"refuses a broken certificate":    {reporting + listen + secret + "cert_file = \"junk\"\nkey_file = \"key\"", []string{"5:13: DIR/junk: x509: malformed certificate" + pemHint}},
		"refuses files mistaken":          {reporting + listen + secret + "cert_file = \"key\"\nkey_file = \"crt\"", []string{"5:13: DIR/key: holds a private key, not only certificates" + pemHint}},
		"refuses a key that is none":      {reporting + listen + secret + "cert_file = \"crt\"\nkey_file = \"text\"", []string{"6:12: DIR/text: failed to find any PEM data in key input (it holds the key of crt, in PEM)"}},
		"refuses another's key":           {reporting + listen + secret + "cert_file = \"crt\"\nkey_file = \"other\"", []string{"6:12: DIR/other: private key does not match public key (it holds the key of crt, in PEM)"}},
		"refuses a CA that is none":       {reporting + listen + certified + `client_ca_file = "text"`, []string{"6:18: DIR/text: holds no certificate in PEM" + pemHint}},
		"refuses a directory":             {reporting + listen + certified + `client_ca_file = "."`, []string{"6:18: DIR: not a regular file"}},
		"refuses no port":                 {at("192.0.2.10"), []string{`3:10: report.listen: "192.0.2.10" is not host:port` + hint}},
		"refuses no host":                 {at(":9651"), []string{`3:10: report.listen: ":9651" takes in the anycast addresses, too` + hint}},
		"refuses 0.0.0.0":                 {at("0.0.0.0:9651"), []string{`3:10: report.listen: "0.0.0.0:9651" takes in the anycast addresses, too` + hint}},
		"refuses ::":                      {at("[::]:9651"), []string{`3:10: report.listen: "[::]:9651" takes in the anycast addresses, too` + hint}},
		"refuses 0.0.0.0 in disguise":     {at("[::ffff:0.0.0.0]:9651"), []string{`3:10: report.listen: "[::ffff:0.0.0.0]:9651" takes in the anycast addresses, too` + hint}},
		"refuses an anycast address":      {at("203.0.113.1:9651"), []string{"3:10: report.listen: 203.0.113.1 is an anycast address" + hint}},
		"refuses listen as a number":      {reporting + "listen = 9651\n" + secret, []string{"3:10: report.listen takes a string, not an integer (put it in quotes)"}},
		"refuses an empty name of a file": {reporting + listen + `secret_file = ""`, []string{"4:15: the name of the file is empty"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load(filepath.Join(dir, "a.toml"), strings.NewReader(r.in))
			var faults Faults
			errors.As(err, &faults)
			var got []string
			for _, line := range hinted(faults) {
				got = append(got, strings.ReplaceAll(strings.TrimPrefix(line, dir+"/a.toml:"), dir, "DIR"))
			}
			if diff := cmp.Diff(r.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestReport_warns_of_what_is_for_nothing_and_of_a_key_open_to_others(t *testing.T) {
	dir := t.TempDir()
	cert, key := newCertificate(t)
	write(t, dir, "crt", cert, 0o644)
	write(t, dir, "key", key, 0o644)
	cfg, err := Load(filepath.Join(dir, "a.toml"), strings.NewReader(reporting+"cert_file = \"crt\"\nkey_file = \"key\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	all := Faults(cfg.Warnings).Error()
	for _, want := range []string{"a.toml:2:2: [report] has no listen: no reports are taken", "a.toml:4:12: " + dir + "/key can be read by everybody"} {
		if !strings.Contains(all, want) {
			t.Errorf("want %s, got\n%s", want, all)
		}
	}
	if strings.Contains(all, "/crt can be read") {
		t.Errorf("want certificates open to all, got\n%s", all)
	}
}
