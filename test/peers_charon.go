package test

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/anycastd/anycastd/test/lab"
)

// charonConf has kernel-libipsec, which carries ESP through a TUN device, so that
// charon needs no IPsec in the kernel. It logs what comes in and goes out.
const charonConf = `charon {
	load = random nonce aes sha1 sha2 hmac kdf gmp openssl kernel-libipsec kernel-netlink socket-default vici updown
	install_virtual_ip = no
	plugins { kernel-libipsec { allow_peer_ts = yes } }
	filelog { stderr { default = 1, ike = 2, flush_line = yes } }
}
swanctl { load = random openssl }
`

// charonProgram lies in no directory of PATH.
const charonProgram = "/usr/lib/ipsec/charon"

// vpnIdentity is whom the clients authenticate. All gateways have it: a client
// holds the one it is redirected to to the policy for the first (RFC 5685 section 3).
const vpnIdentity = "vpn.example.test"

// charon is a running strongSwan daemon. On its host, swanctl finds it without options.
type charon struct {
	*lab.Process
	host *lab.Host
}

// ikeSA is an IKE SA as swanctl lists it.
type ikeSA struct {
	Connection, State string // "vpn", "ESTABLISHED"
	LocalID, RemoteID string
	LocalIP, RemoteIP netip.Addr
}

// startCharon runs charon with this swanctl.conf, and returns when it is loaded.
// Edits are pairs of old and new text of charonConf.
func startCharon(h *lab.Host, swanctl string, edits ...string) *charon {
	h.Mount(h.File("strongswan.conf", strings.NewReplacer(edits...).Replace(charonConf)), "/etc/strongswan.conf")
	h.Mount(filepath.Dir(h.File("swanctl/swanctl.conf", swanctl)), "/etc/swanctl")
	c := &charon{host: h, Process: h.Start("charon", charonProgram)}
	h.Lab.Eventually(c.Name+" takes its configuration", patience, func() error {
		out, err := h.Try("swanctl", "--load-all")
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	return c
}

// gatewayConf is the swanctl.conf of a VPN gateway that accepts any identity
// which knows the pre-shared key.
func gatewayConf(secret string) string {
	return fmt.Sprintf(`connections { vpn {
	version = 2
	local { auth = psk
		id = %s }
	remote { auth = psk
		id = %%any }
} }
secrets { ike { secret = %q } }
`, vpnIdentity, secret)
}

// clientConf is the swanctl.conf of a client: connection vpn goes to remote, a
// name or an address, from any address of source's family: "%any4", "%any6", "%any".
// More settings go into the connection, such as "remote_port = 4500".
func clientConf(identity, source, remote, secret string, more ...string) string {
	return fmt.Sprintf(`connections { vpn {
	version = 2
	local_addrs = %s
	remote_addrs = %s
	local { auth = psk
		id = %s }
	remote { auth = psk
		id = %s }
	%s
} }
secrets { ike { secret = %q } }
`, source, remote, identity, vpnIdentity, strings.Join(more, "\n\t"), secret)
}

// initiate sets up the connection's IKE SA without a Child SA (RFC 6023), and
// returns what swanctl says; the error tells that there is none after 40 seconds.
func (c *charon) initiate(connection string) (string, error) {
	return c.host.Try("swanctl", "--initiate", "--ike", connection, "--timeout", "40")
}

// terminate deletes the connection's IKE SAs.
func (c *charon) terminate(connection string) {
	c.host.Run("swanctl", "--terminate", "--ike", connection)
}

var saLine = regexp.MustCompile(`(?m)^(\S+): #\d+, (\S+), IKEv2.*\n` +
	`  local  '(.*)' @ (\S+)\[.*\n` +
	`  remote '(.*)' @ (\S+)\[`)

// sas returns the IKE SAs, half-open ones too.
func (c *charon) sas() []ikeSA {
	var list []ikeSA
	for _, m := range saLine.FindAllStringSubmatch(c.host.Run("swanctl", "--list-sas"), -1) {
		local, _ := netip.ParseAddr(m[4])
		remote, _ := netip.ParseAddr(m[6])
		list = append(list, ikeSA{Connection: m[1], State: m[2], LocalID: m[3], RemoteID: m[5], LocalIP: local, RemoteIP: remote})
	}
	return list
}
