package test

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/anycastd/anycastd/test/lab"
)

// libreswanTree is where "make peers" unpacks libreswan, whose package can't be
// installed beside strongSwan's.
const libreswanTree = "../bin/peers/libreswan"

// plutoProgram is libreswan's IKE daemon as it is unpacked.
const plutoProgram = libreswanTree + "/usr/libexec/ipsec/pluto"

// plutoFolder is where libreswan's programs look for each other. startPluto puts
// them there, for its host alone.
const plutoFolder = "/usr/libexec/ipsec/"

// pluto is a running libreswan daemon.
type pluto struct {
	*lab.Process
	host *lab.Host
}

// startPluto runs pluto with this ipsec.conf, which begins inside of its "config
// setup" section, and returns when pluto has loaded it and listens, on the
// addresses that the host has by then. All its peers know the secret. What pluto
// logs is its output, unless the ipsec.conf names a logfile.
func startPluto(h *lab.Host, conf, secret string) *pluto {
	if tree, err := filepath.Abs(libreswanTree); err == nil {
		h.Mount(filepath.Join(tree, "usr/libexec"), "/usr/libexec")
	}
	h.Run("sh", "-c", "rm -rf /run/pluto; mkdir -p /run/pluto/nss; certutil -N -d sql:/run/pluto/nss --empty-password")
	setup := fmt.Sprintf("config setup\n\tnssdir=/run/pluto/nss\n\tsecretsfile=%s\n", h.File("ipsec.secrets", fmt.Sprintf(": PSK %q\n", secret)))
	argv := []string{plutoFolder + "pluto", "--nofork", "--config", h.File("ipsec.conf", setup+conf)}
	if !strings.Contains(conf, "logfile=") {
		argv = append(argv, "--stderrlog")
	}
	p := &pluto{host: h, Process: h.Start("pluto", argv...)}
	h.Lab.Eventually(p.Name+" listens", patience, func() error {
		// All is loaded in one step, the connections first.
		if out, err := h.Try(plutoFolder+"whack", "--status"); err != nil || !strings.Contains(out, "000 interface ") {
			return fmt.Errorf("%v: %s", err, out)
		}
		return nil
	})
	return p
}

// plutoFront is the ipsec.conf of a front-end that redirects every client which
// supports that to targets in turn, addresses or names. It logs nothing, for it
// would log each REDIRECT, and be slower for that.
func plutoFront(targets ...string) string {
	return "\tlogfile=/dev/null\n\tglobal-redirect=yes\n\tglobal-redirect-to=" + strings.Join(targets, ",") + "\n"
}

// plutoClient is the ipsec.conf of a client: connection vpn goes from local, an
// address of the host, to remote. It may be redirected only if more of the
// connection's lines say "accept-redirect=yes"; "rightikeport=4500" makes it
// begin on the NAT traversal port.
func plutoClient(identity, local, remote string, more ...string) string {
	return fmt.Sprintf(`conn vpn
	ikev2=insist
	authby=secret
	left=%s
	leftid=%s
	right=%s
	rightid=@%s
	auto=add
	%s
`, local, identity, remote, vpnIdentity, strings.Join(more, "\n\t"))
}

// whack asks pluto something, or tells it to do something.
func (p *pluto) whack(args ...string) string {
	return p.host.Run(append([]string{plutoFolder + "whack"}, args...)...)
}

// initiate begins to set up connection vpn, and returns at once: pluto tries for
// ever. There will be no Child SA where the kernel has no IPsec.
func (p *pluto) initiate() { p.whack("--name", "vpn", "--initiate", "--asynchronous") }

// established tells whether connection vpn has an IKE SA that is authenticated.
func (p *pluto) established() error {
	if states := p.whack("--showstates"); !strings.Contains(states, "STATE_V2_ESTABLISHED_IKE_SA") {
		return fmt.Errorf("%s has no IKE SA: %q", p.Name, states)
	}
	return nil
}
