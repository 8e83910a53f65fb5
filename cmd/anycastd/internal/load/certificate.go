package load

import (
	"crypto/tls"
	"crypto/x509"
)

// ServerTLS returns the settings of a listener for reports. A client must show a
// certificate by one of clientCAs, but for signed reports, where it may. Without
// clientCAs no certificate counts.
func ServerTLS(cert tls.Certificate, clientCAs *x509.CertPool, signed bool) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}, ClientCAs: clientCAs}
	switch {
	case clientCAs == nil:
		c.ClientAuth = tls.NoClientCert // not even asked for: it would be held against the system's authorities
	case signed:
		c.ClientAuth = tls.VerifyClientCertIfGiven
	default:
		c.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return c
}
