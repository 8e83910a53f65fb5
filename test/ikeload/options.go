package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

const usage = `usage: ikeload VERB -to ADDRESS:PORT[,…] [flags]

  closed   keep a window of requests under way: the highest rate
  open     ask at a rate, whatever becomes of the answers
  client   an honest client beside a flood: 100 requests/s from this host's own address
  flood    send datagrams of a kind and look at no answer
  echo     be the bare responder: send the first octets of each datagram back from -to

Every answer is checked; exit code 1 tells that one was at fault. flood and
"-via packet" go past the kernel's routes, and answers to sources that are not
this host's are lost: give it them with "ip route add local PREFIX dev lo".

`

// options are what the command line says.
type options struct {
	plan
	verb   string
	via    string // packet or udp
	port   int    // of the sources; 0: any for UDP
	kind   string
	count  uint64
	pid    int
	cpu    int
	octets int
	form   string
	again  bool
}

// parse reads the command line.
func parse(args []string, stderr io.Writer) (*options, error) {
	o := &options{}
	f := flag.NewFlagSet("ikeload", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Usage = func() { fmt.Fprint(stderr, usage); f.PrintDefaults() }
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		o.verb, args = args[0], args[1:]
	}
	to := f.String("to", "", "`ADDRESS:PORT,…` to ask, in turn; all of one family and port")
	from := f.String("from", "", "`PREFIX` that requests come from; default: this host's address")
	f.IntVar(&o.port, "port", 0, "`PORT` that requests come from; default: any, for a flood that of -to")
	f.StringVar(&o.via, "via", "", "`WAY` out: packet (whole frames, which costs less) or udp (as any client). Default: packet, for client udp")
	f.IntVar(&o.window, "window", 1024, "`REQUESTS` under way in a closed loop")
	f.Float64Var(&o.rate, "rate", 0, "`RATE` of requests or datagrams per second; default: of a client 100, of a flood as many as go")
	f.DurationVar(&o.duration, "duration", 0, "how `LONG`; default: 5s, of a flood until a signal")
	f.DurationVar(&o.warmup, "warmup", 0, "what begins in that `TIME` before does not count")
	timeout := f.Duration("timeout", time.Second, "`TIME` after which a request is given up")
	f.BoolVar(&o.again, "retransmit", false, "ask again after 0.5 s, 1 s and 2 s, before it is given up")
	f.BoolVar(&o.obey, "obey", true, "bring cookies back; else a COOKIE is an answer like any other")
	f.BoolVar(&o.echo, "echo", false, "want echoes, not redirects")
	f.StringVar(&o.kind, "kind", "valid", "`KIND` of a flood: "+kindNames())
	f.Uint64Var(&o.count, "count", 0, "`DATAGRAMS` of a flood; 0: no limit")
	f.IntVar(&o.octets, "octets", 74, "`OCTETS` that an echo sends back")
	f.IntVar(&o.pid, "pid", 0, "`PID` of a process to watch: its CPU time and resident memory")
	f.IntVar(&o.cpu, "cpu", -1, "`CPU` to run on")
	f.StringVar(&o.form, "o", "text", "`FORM` of the report: text or json")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	o.waits = []time.Duration{*timeout}
	return o, o.complete(*to, *from, f.Args())
}

// complete checks the options and fills in what they leave out.
func (o *options) complete(to, from string, rest []string) error {
	if !slices.Contains([]string{"closed", "open", "client", "flood", "echo"}, o.verb) || len(rest) > 0 {
		return fmt.Errorf("want one of the verbs closed, open, client, flood, echo, and then flags; -h tells them")
	}
	for s := range strings.SplitSeq(to, ",") {
		a, err := netip.ParseAddrPort(s)
		if err != nil {
			return fmt.Errorf("-to: %w", err)
		}
		o.targets = append(o.targets, a)
		if first := o.targets[0]; a.Port() != first.Port() || a.Addr().Is4() != first.Addr().Is4() {
			return fmt.Errorf("-to: %s and %s differ in family or port", first, a)
		}
	}
	o.defaults()
	if o.verb == "echo" {
		return nil
	}
	return o.from(from)
}

// defaults fills in what a verb takes if it is told nothing else.
func (o *options) defaults() {
	if o.via == "" {
		o.via = "packet"
		if o.verb == "client" {
			o.via = "udp"
		}
	}
	if o.rate == 0 && (o.verb == "client" || o.verb == "open") {
		o.rate = 100
	}
	if o.verb != "closed" {
		o.window = 0
	}
	if o.duration == 0 && o.verb != "flood" {
		o.duration = 5 * time.Second
	}
	if o.port == 0 && o.verb == "flood" {
		o.port = int(o.targets[0].Port())
	}
	if o.again {
		o.waits = append([]time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second}, o.waits...)
	}
}

// from reads the sources.
func (o *options) from(prefix string) error {
	var p netip.Prefix
	var err error
	if prefix != "" {
		p, err = netip.ParsePrefix(prefix)
	} else if a, e := ownAddress(o.targets[0]); e == nil {
		p = netip.PrefixFrom(a, a.BitLen())
	} else {
		err = e
	}
	if err != nil {
		return fmt.Errorf("-from: %w", err)
	}
	if p.Addr().Is4() != o.targets[0].Addr().Is4() {
		return fmt.Errorf("-from: %s is not of the family of %s", p, o.targets[0])
	}
	o.sources = newSources(p.Masked())
	return nil
}

// ownAddress returns the address that this host talks to a target from.
func ownAddress(target netip.AddrPort) (netip.Addr, error) {
	conn, err := net.Dial("udp", target.String())
	if err != nil {
		return netip.Addr{}, err
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr(), nil
}

// load runs a load of conversations.
func (o *options) load(stop <-chan struct{}) (*report, error) {
	v6 := o.targets[0].Addr().Is6()
	in, err := openPort(uint16(o.port), v6)
	if err != nil {
		return nil, err
	}
	defer in.close()
	m := &meter{pid: o.pid}
	out := link(in)
	if o.via == "packet" {
		h, err := nextHop(o.targets[0].Addr())
		if err != nil {
			return nil, err
		}
		e, err := newEthernet(h, v6)
		if err != nil {
			return nil, err
		}
		defer e.close()
		out, m.iface = e, h.link.Name
	}
	l, err := newLoad(o.plan, out, in)
	if err != nil {
		return nil, err
	}
	m.answered = &l.tally.answered
	l.run(stop, m)
	r := newReport(o.verb, m)
	r.conversations(&l.tally, l.sent)
	r.SendFailed = out.failed()
	return r, nil
}

// flood runs a flood.
func (o *options) flood(stop <-chan struct{}) (*report, error) {
	messages, err := floodOf(o.kind)
	if err != nil {
		return nil, err
	}
	h, err := nextHop(o.targets[0].Addr())
	if err != nil {
		return nil, err
	}
	out, err := newEthernet(h, o.targets[0].Addr().Is6())
	if err != nil {
		return nil, err
	}
	defer out.close()
	f := flood{o.targets, o.sources, uint16(o.port), o.rate, o.count, o.duration, messages}
	m := &meter{pid: o.pid, iface: h.link.Name}
	m.begin()
	sent := f.run(out, stop)
	m.end()
	r := newReport("flood of "+o.kind, m)
	r.Sent, r.SendFailed, r.SentRate = sent, out.failed(), float64(sent)/r.Seconds
	return r, nil
}
