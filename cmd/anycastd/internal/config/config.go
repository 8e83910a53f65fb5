// Package config reads the one configuration file, strictly, and says
// everything that is wrong with it at once, each fault with its place. It
// never starts, opens or changes anything: the only files it reads are secrets.
package config

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"reflect"
	"time"

	"github.com/anycastd/anycastd/bgp"
	"github.com/anycastd/anycastd/dnspub"
	"github.com/anycastd/anycastd/policy"
)

// Config is a configuration without faults.
type Config struct {
	Name     string // this node's
	StateDir string // absolute

	Interface string // carries the anycast addresses
	AnyIP     bool   // whole prefixes are answered from, not only the addresses

	ReplyTable    int // routing table by which answers leave, 0 to 4294967295 but for 253 to 255; 0: the host's usual way
	ReplyPriority int // of the rules for that, 1 to 32765

	Policy policy.Config

	Ports        []uint16
	Sockets      int    // per address and port, 0 to 1024; 0: one per CPU
	Cookie       string // never, auto or always (RFC 7296 section 2.6)
	CookieAbove  int    // requests/s from which "auto" asks for cookies
	CookieSecret string // content of the file, trimmed, at least 32 octets; "": this node makes its own
	Unsupported  string // drop or refuse
	PortConflict string // fail or nft; see Bound
	ReplyLimit   int    // answers/s in all; 0: no limit
	SourceLimit  int    // answers/s to one IPv4 address or IPv6 /56; 0: no limit
	ErrorLimit   int    // error notifies/s in all; 0: no limit

	XDPInterfaces []string // none: no fast path
	XDPMode       string   // auto, native or generic

	Probes map[string]Probe // by gateway name; every gateway has one
	VICI   map[string]VICI  // by gateway name; those that are asked for their load
	Report Report
	BGP    BGP
	Zones  []DNSZone // in the order of Policy.Zones

	Socket string // of the control API, absolute
	HTTP   string // host:port; "": none

	Warnings []Fault // by position
}

// Probe is how a gateway's liveness is asked for.
type Probe struct {
	Every   time.Duration // 0: never; else 100ms at least
	Timeout time.Duration // above 0
	Rise    int           // answers in a row that make a gateway up, 1 to 1000
	Fall    int           // silences in a row that make it down, 1 to 1000
	Kind    string        // version, proposal or init: what is asked
}

// VICI is where a gateway's strongSwan tells its load.
type VICI struct {
	Network string        // unix or tcp
	Address string        // an absolute path, or host:port
	Every   time.Duration // 100ms to 1h
}

// Report is where gateways report their load. With Listen it has a Secret,
// ClientCAs or both; without, no reports are taken.
type Report struct {
	Listen      string           // host:port, neither unspecified nor an anycast address; "": nowhere
	Secret      []byte           // at least 16 octets; nil: none
	Certificate *tls.Certificate // nil: no TLS
	ClientCAs   *x509.CertPool   // who signs the certificates of gateways; nil: they need none
}

// BGP is the speaker and its sessions; without Neighbors nothing is announced
// and the other fields may be zero.
type BGP struct {
	ASN        uint32
	RouterID   netip.Addr   // IPv4 (RFC 4271 section 4.2)
	ListenPort int          // -1: only dial
	Listen     []netip.Addr // where neighbors may dial; none: everywhere
	Learn      bool         // look for host routes to gateways among what neighbors tell
	NextHops   []netip.Addr
	Neighbors  []bgp.Neighbor // with all that [bgp.defaults] gives them
	Announce   bgp.Attributes // of every route
	Worse      bgp.Attributes // beside these, of routes that the fabric shall prefer less
}

// DNSZone is how a zone is updated; what is published there stands in
// policy.Config.Zones.
type DNSZone struct {
	Name   string      // fully qualified, lower case
	Server string      // host:port; "": the zone's SOA MNAME, port 53
	TSIG   dnspub.TSIG // signs updates (RFC 8945); its zero value signs nothing
}

// maxSize is the length in octets that a configuration may have.
const maxSize = 1 << 20

// Load reads a configuration from r. The name is what faults show ("-" is
// shown as <stdin>), and relative paths of secret files start at its
// directory. If the configuration is at fault the error is a Faults; any other
// error comes from r.
func Load(name string, r io.Reader) (*Config, error) {
	shown := name
	if name == "-" {
		shown = "<stdin>"
	}
	data, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", shown, err)
	}
	c := &checker{dir: filepath.Dir(name), doc: newDocument(shown, bytes.TrimPrefix(data, []byte("\ufeff")))}
	cfg := c.load(len(data) > maxSize)
	if faults := c.report(false); len(faults) > 0 {
		return nil, faults
	}
	cfg.Warnings = c.report(true)
	return cfg, nil
}

// load goes from text to tree to raw to validated configuration; the first
// step is the only one whose faults end it.
func (c *checker) load(tooLong bool) *Config {
	if tooLong {
		c.faultAt(0, "the file is longer than %d octets", maxSize)
		return nil
	}
	if at, problem := c.doc.parse(); problem != "" {
		c.faultAt(at, "%s", problem).suggest("%s", syntaxHint(problem))
		return nil
	}
	c.doc.inherit("bgp.neighbor", "bgp.defaults")
	var raw file
	c.table(reflect.ValueOf(&raw).Elem(), c.doc.root, scope{})
	return c.config(&raw)
}

// config applies the rules that span keys, and builds the configuration.
func (c *checker) config(raw *file) *Config {
	cfg := &Config{}
	c.node(&raw.Node, cfg)
	c.ike(&raw.IKE, cfg)
	c.control(&raw.Control, cfg)
	c.anycast(&raw.Anycast, cfg)
	c.policy(&raw.Policy, cfg)
	c.gateways(raw.Gateway, cfg)
	c.pools(raw.Pool, cfg)
	c.bgp(&raw.BGP, cfg)
	c.site(&raw.Policy.Site, &raw.BGP, cfg)
	c.carried(raw.Anycast.Prefixes, &raw.BGP)
	c.dns(&raw.DNS, cfg)
	c.discover(raw.Discover, cfg)
	c.reports(&raw.Report, cfg)
	c.loads(raw, cfg)
	c.reach(raw, cfg)
	return cfg
}
