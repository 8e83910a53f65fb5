package test

import (
	"errors"
	"fmt"
	"strings"

	"github.com/anycastd/anycastd/test/lab"
)

// birdOnlyBFD makes BIRD speak BFD (RFC 5880) with a router, and nothing else:
// neither BGP nor with the kernel's routes. The verbs are an interface, and the
// router's and the host's address of each family.
const birdOnlyBFD = `log stderr all;
router id 192.0.2.10;
protocol device { }
protocol bfd {
	interface "%[1]s" { interval 300 ms; multiplier 3; };
	neighbor %[2]s dev "%[1]s" local %[3]s;
	neighbor %[4]s dev "%[1]s" local %[5]s;
}
`

// frrFastBFD tells FRR's bfdd how fast sessions of this profile are.
const frrFastBFD = `bfd
 profile fast
  detect-multiplier 3
  receive-interval 300
  transmit-interval 300
`

// frrOnlyBFD, behind frrFastBFD, is birdOnlyBFD for FRR's bfdd, which needs zebra
// and no bgpd.
const frrOnlyBFD = ` peer %[2]s local-address %[3]s interface %[1]s
  profile fast
 peer %[4]s local-address %[5]s interface %[1]s
  profile fast
`

// bfdBeside speaks BFD with a router on a front-end's host, beside anycastd.
type bfdBeside struct {
	host *lab.Host
	show []string // lists the sessions
}

// startBFD runs BIRD ("bird") or FRR's bfdd ("bfdd") for the site's i-th front-end.
func (s *pop) startBFD(i int, program string) bfdBeside {
	h := s.fronts[i]
	to := []any{s.lan.Name, s.at4(1), s.at4(i + 2), s.at6(1), s.at6(i + 2)}
	if program == "bird" {
		h.Run("mkdir", "-p", "/run/bird")
		h.Start("bird", "bird", "-f", "-c", h.File("bird.conf", fmt.Sprintf(birdOnlyBFD, to...)), "-P", "/run/bird/bird.pid").Await("Started")
		return bfdBeside{h, []string{"birdc", "show", "bfd", "sessions"}}
	}
	startZebra(h).startBFD(fmt.Sprintf(frrFastBFD+frrOnlyBFD, to...))
	return bfdBeside{h, []string{"vtysh", "--vty_socket", "/run/frr", "-c", "show bfd peers brief"}}
}

// awaitUp waits until both families' sessions are up.
func (b bfdBeside) awaitUp() {
	b.host.Lab.Eventually("both BFD sessions are up", patience, func() error {
		out, err := b.host.Try(b.show...)
		if err != nil {
			return err
		}
		if strings.Count(strings.ToLower(out), " up ") != 2 {
			return errors.New(out)
		}
		return nil
	})
}

// bfddProgram lies in no directory of PATH.
const bfddProgram = "/usr/lib/frr/bfdd"

// startBFD makes FRR speak BFD too.
func (f *frr) startBFD(config string) {
	f.start("bfdd", bfddProgram, config)
}
