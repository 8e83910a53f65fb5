package demo

import (
	"strings"
	"time"
)

// before shows that there is no service without the daemon.
func (t *tale) before() {
	for _, prefix := range []string{prefix4, prefix6} {
		if t.atRouter.routed(prefix) {
			t.Fatalf("the router has a route to %s already", prefix)
		}
		t.seen("the router has no route to %s", prefix)
	}
	a, err := t.probe(anycast4)
	if err == nil {
		t.Fatalf("the client asks %s by IKE, and there is an answer: %v", anycast4, a)
	}
	t.seen("the client asks there by IKE: %v", err)
	if _, err = t.verb(t.client, "demo", "lookup", "--name", service); err == nil {
		t.Fatalf("the DNS knows %s already", service)
	}
	t.seen("the DNS does not know %s", service)
}

// start starts the daemon and watches it come up.
func (t *tale) start() {
	begun := time.Now()
	t.launch()
	t.watch(begun,
		&event{what: anycast4 + " is on its interface lo, and a socket is open at its UDP port 500", happened: func() bool {
			return t.atFront.owns(anycast4) && t.atFront.listens(anycast4+":500")
		}},
		&event{what: "it answers there, asked on its own host", happened: t.answersItself},
		&event{what: "the router has the routes, so packets from anywhere arrive", happened: t.routed},
	)
	t.aside("lo, because every kernel has it; by default anycastd makes a link of its own (type dummy)")
}

// answersItself says whether the daemon answers packets of its own host.
func (t *tale) answersItself() bool {
	return t.atFront.listens(anycast4+":500") && t.atFront.answers(anycast4+":500")
}

// routed says whether the router has both routes.
func (t *tale) routed() bool { return t.atRouter.routed(prefix4) && t.atRouter.routed(prefix6) }

// learned shows what the router knows.
func (t *tale) learned() {
	t.says(t.fabric, "session with "+front4)
	t.says(t.fabric, "session with "+front6)
	t.says(t.fabric, prefix4+" is reached via")
	t.says(t.fabric, prefix6+" is reached via")
	for _, show := range [][]string{{"-4", prefix4}, {"-6", prefix6}} {
		route := t.router.Run("ip", show[0], "route", "show", "exact", show[1])
		t.seen("in its kernel: %s", strings.TrimSpace(route))
	}
}

// named shows what the name server was told.
func (t *tale) named() {
	t.says(t.names, service+" A "+anycast4+" added")
	t.says(t.names, service+" AAAA "+anycast6+" added")
	for _, g := range t.gateways {
		t.says(t.names, g.name+"."+zoneName+" A "+g.addr4+" added")
	}
}
