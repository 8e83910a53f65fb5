package load

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/anycastd/anycastd/ikefront/probe"
	"github.com/anycastd/anycastd/test/lab"
)

// charonProgram lies in no directory of PATH.
const charonProgram = "/usr/lib/ipsec/charon"

// viciConf is a strongswan.conf with the VICI socket at a path.
const viciConf = `charon {
	load = random nonce aes sha1 sha2 hmac kdf openssl socket-default kernel-netlink vici
	half_open_timeout = 600
	plugins { vici { socket = unix://%s } }
}
swanctl { load = random openssl }
`

// halfOpenConf accepts any client, who then has to prove something.
const halfOpenConf = `connections { vpn {
	version = 2
	local { auth = psk }
	remote { auth = psk }
} }
`

// startCharon runs charon with its VICI socket at path, on h, which has no
// connections yet.
func startCharon(h *lab.Host, path string) *lab.Process {
	p := h.Start("charon", charonProgram)
	h.Lab.Eventually("charon takes its connections", patience, func() error {
		out, err := h.Try("swanctl", "--load-all", "--uri", "unix://"+path)
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	return p
}

// askHalfOpen makes a half-open IKE SA on h.
func askHalfOpen(t *testing.T, h *lab.Host) {
	t.Helper()
	err := h.Do(func() error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		_, err := probe.Ask(ctx, probe.Query{Target: netip.MustParseAddrPort("127.0.0.1:500")})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestARealCharonIsCountedKilledAndCountedAgain(t *testing.T) {
	if reason := lab.Available(); reason != "" {
		t.Skip(reason)
	}
	for _, program := range []string{charonProgram, "swanctl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("%v: run make peers", err)
		}
	}
	l := lab.New(t)
	h := l.Host("gw1")
	path := filepath.Join(l.Dir(), "vici")
	h.Mount(h.File("strongswan.conf", fmt.Sprintf(viciConf, path)), "/etc/strongswan.conf")
	h.Mount(filepath.Dir(h.File("swanctl/swanctl.conf", halfOpenConf)), "/etc/swanctl")
	charon := startCharon(h, path)
	p := poll(t, Source{"gw1", "unix", path, often})
	wantSessions := func(want int) {
		t.Helper()
		l.Eventually(fmt.Sprint(want, " sessions"), patience, func() error {
			if n, _, last, err := p.of("gw1"); n == 0 || last.Sessions != want {
				return fmt.Errorf("got %d answers, %+v, %w", n, last, err)
			}
			return nil
		})
	}
	wantSessions(0)
	for range 3 {
		askHalfOpen(t, h)
	}
	wantSessions(3)

	charon.Kill()
	l.Eventually("the failure is told", patience, func() error {
		if _, n, _, _ := p.of("gw1"); n == 0 {
			return errors.New("no failure yet")
		}
		return nil
	})
	charon = startCharon(h, path)
	wantSessions(0)
	if down, up := p.log.lines("gives no figures"), p.log.lines("gives figures again"); down != 1 || up != 1 {
		t.Errorf("want the outage and its end logged once, got %d and %d", down, up)
	}

	charon.Signal(syscall.SIGSTOP)
	l.Eventually("a charon that hangs is told, too", patience, func() error {
		if _, _, _, err := p.of("gw1"); !errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("got %v", err)
		}
		return nil
	})
	askedBefore, _, _, _ := p.of("gw1")
	charon.Signal(syscall.SIGCONT)
	l.Eventually("it answers again", patience, func() error {
		if n, _, _, _ := p.of("gw1"); n <= askedBefore {
			return errors.New("not yet")
		}
		return nil
	})
}
