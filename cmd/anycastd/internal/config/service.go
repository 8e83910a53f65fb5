package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// node checks [node].
func (c *checker) node(raw *nodeTable, cfg *Config) {
	cfg.Name, cfg.StateDir = raw.Name, raw.StateDir
	if !c.doc.given("node.name") {
		host, err := os.Hostname()
		if err != nil {
			c.fault("node.name", "the host's name is unknown: %v", err).suggest("give the node one: [node] name = \"fra1\"")
		}
		cfg.Name = host
	}
	cfg.Policy.Node = cfg.Name
	c.word("node.name", "node.name", raw.Name)
	if !filepath.IsAbs(raw.StateDir) {
		c.fault("node.state_dir", "node.state_dir is not an absolute path")
	}
}

// ike checks [ike] and [ike.xdp].
func (c *checker) ike(raw *ikeTable, cfg *Config) {
	cfg.Sockets, cfg.CookieAbove = int(raw.Sockets), int(raw.CookieAbove)
	cfg.Cookie, cfg.Unsupported, cfg.PortConflict = raw.Cookie, raw.Unsupported, raw.PortConflict
	cfg.ReplyLimit, cfg.SourceLimit, cfg.ErrorLimit = int(raw.ReplyLimit), int(raw.SourceLimit), int(raw.ErrorLimit)
	cfg.XDPInterfaces, cfg.XDPMode = raw.XDP.Interfaces, raw.XDP.Mode
	once := unique[int64](c, "port")
	for i, p := range raw.Ports {
		if p != 0 && once.add(p, item("ike.ports", i)) {
			cfg.Ports = append(cfg.Ports, uint16(p))
		}
	}
	if len(raw.Ports) == 0 && !c.faulty("ike.ports") {
		c.fault("ike.ports", "ike.ports is empty").suggest("IKE needs [500, 4500] (RFC 7296 section 2)")
	}
	if raw.PortConflict == nft {
		c.standIns(raw.Ports)
	}
	cfg.CookieSecret = c.cookieSecret(raw.CookieSecret)
	c.interfaces(raw.XDP.Interfaces)
	c.ikeIgnored(raw)
}

// nft is the port_conflict that binds sockets elsewhere and rewrites.
const nft = "nft"

// standIn is how far from its service port a socket is then bound.
const standIn = 15000

// Bound returns the port that the sockets for a service port are bound to.
func (c *Config) Bound(service uint16) uint16 {
	if c.PortConflict == nft {
		return service + standIn
	}
	return service
}

// standIns checks that each port has one that can stand in for it.
func (c *checker) standIns(ports []int64) {
	const highest = 65535 - standIn
	for i, p := range ports {
		path := item("ike.ports", i)
		switch {
		case p > highest:
			c.fault(path, "port %d is above %d, too high for ike.port_conflict = \"nft\"", p, highest).suggest("its sockets would be bound to %d", p+standIn)
		case p > standIn && slices.Contains(ports, p-standIn):
			c.fault(path, "port %d stands in for port %d with ike.port_conflict = \"nft\"", p, p-standIn).suggest("leave out one of the two")
		}
	}
}

// minCookieSecret is the length in octets from which a cookie secret is taken.
const minCookieSecret = 32

// cookieSecret returns the secret that the nodes of an address share.
func (c *checker) cookieSecret(file string) string {
	if !c.doc.given("ike.cookie_secret_file") {
		return ""
	}
	text := strings.TrimSpace(c.secret("ike.cookie_secret_file", file))
	if text != "" && len(text) < minCookieSecret {
		c.fault("ike.cookie_secret_file", "%s holds %d octets, fewer than %d", file, len(text), minCookieSecret).suggest("openssl rand -hex 32 > %s, and the same on each node", file)
		return ""
	}
	return text
}

// interfaces checks the interfaces of the fast path.
func (c *checker) interfaces(names []string) {
	once := unique[string](c, "interface")
	for i, name := range names {
		path := item("ike.xdp.interfaces", i)
		if err := checkInterface(name); err != nil {
			c.fault(path, "ike.xdp.interfaces: %s %v", quote(name), err)
			continue
		}
		once.add(name, path)
	}
}

// ikeIgnored warns of what this version does not do yet.
func (c *checker) ikeIgnored(raw *ikeTable) {
	if len(raw.XDP.Interfaces) > 0 {
		c.ignored("ike.xdp.interfaces", "ike.xdp.interfaces", "sockets answer alone, without the fast path")
	}
}

// maxSocketPath is the length in octets of a socket's path: Linux's sun_path
// has 108 with the closing zero (unix(7)).
const maxSocketPath = 107

// control checks [control].
func (c *checker) control(raw *controlTable, cfg *Config) {
	cfg.Socket, cfg.HTTP = raw.Socket, raw.HTTP
	if !filepath.IsAbs(raw.Socket) {
		c.fault("control.socket", "control.socket is not an absolute path")
	} else if n := len(raw.Socket); n > maxSocketPath {
		c.fault("control.socket", "control.socket is %d octets long, more than %d", n, maxSocketPath)
	}
	if raw.HTTP == "" {
		return
	}
	if err := checkListen(raw.HTTP); err != nil {
		c.fault("control.http", "control.http: %s %v", quote(raw.HTTP), err).suggest("write host:port, such as \"127.0.0.1:9650\", or \"\" for none")
	}
}
