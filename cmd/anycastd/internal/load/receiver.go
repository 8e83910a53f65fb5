package load

import (
	"crypto/hmac"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/anycastd/anycastd/policy"
)

// MaxAhead is how far a gateway's clock may be ahead of ours.
const MaxAhead = 10 * time.Second

// smoothing is the time constant of the exponential average of CPU shares: a
// change has had 63 % of its effect after it, so that a flicker moves nobody.
const smoothing = 15 * time.Second

// ReceiverConfig is what a Receiver needs to know. Both functions must return
// quickly and not call the Receiver. Known is called from several goroutines,
// Notify from one at a time, in the order of each gateway's seq.
type ReceiverConfig struct {
	Secret     []byte        // of the signatures; empty: only client certificates prove a sender
	StaleAfter time.Duration // positive: how old a report may be
	Known      func(gateway string) bool
	Notify     func(gateway string, l policy.Load)
}

// Receiver takes the reports of gateways.
type Receiver struct {
	cfg       ReceiverConfig
	log       zerolog.Logger
	counts    map[Reason]*atomic.Uint64
	gateways  hush // of refusals to senders that have proved who they are
	strangers hush // of all others

	mu      sync.Mutex
	senders map[string]sender
}

// sender is what is remembered of a known gateway.
type sender struct {
	seq int64
	cpu float64 // average; below 0: unknown
	at  time.Time
}

// NewReceiver returns a Receiver that has heard from nobody.
func NewReceiver(cfg ReceiverConfig, log zerolog.Logger) *Receiver {
	r := &Receiver{
		cfg: cfg, log: log, counts: map[Reason]*atomic.Uint64{}, senders: map[string]sender{},
		gateways: hush{most: 64, kinds: map[kind]*line{}}, strangers: hush{most: 64, kinds: map[kind]*line{}},
	}
	for _, reason := range reasons() {
		r.counts[reason] = &atomic.Uint64{}
	}
	return r
}

// Counts returns how many reports there were by what became of them.
func (r *Receiver) Counts() map[string]uint64 {
	counts := make(map[string]uint64, len(r.counts))
	for reason, n := range r.counts {
		counts[string(reason)] = n.Load()
	}
	return counts
}

// Handler takes POST /v1/report: 204 for a report that counts; otherwise an
// error with words, and nothing has changed.
func (r *Receiver) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+reportPath, func(w http.ResponseWriter, req *http.Request) {
		gateway, no := r.take(w, req)
		if no != nil {
			r.refuse(w, req, gateway, no)
			return
		}
		r.counts[Accepted].Add(1)
		w.WriteHeader(Accepted.status())
	})
	return mux
}

// take takes a report. The name is that of a known gateway whose own report it
// is, or "".
func (r *Receiver) take(w http.ResponseWriter, req *http.Request) (gateway string, no *refusal) {
	body, no := read(w, req)
	if no != nil {
		return "", no
	}
	if no := r.prove(req, body); no != nil {
		return "", no
	}
	report, no := parseReport(body)
	if no != nil {
		return "", no
	}
	if no := certified(req.TLS, report.Gateway); no != nil {
		return "", no
	}
	if !r.cfg.Known(report.Gateway) {
		return "", &refusal{UnknownGateway, fmt.Sprintf("no gateway %s in this node's configuration", quote(report.Gateway))}
	}
	return report.Gateway, r.accept(&report, from(req), time.Now())
}

// read reads a body that is not too long, and of any other no more than that.
func read(w http.ResponseWriter, req *http.Request) ([]byte, *refusal) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxReport))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return nil, &refusal{TooLong, fmt.Sprintf("the body is longer than %d octets", maxReport)}
	case err != nil:
		return nil, &refusal{Syntax, "the body ends too early"}
	}
	return body, nil
}

// prove checks what shows that a gateway has sent body: a signature, if there
// is one and it can be checked, or else a client certificate.
func (r *Receiver) prove(req *http.Request, body []byte) *refusal {
	given := req.Header.Get(SignatureHeader)
	switch {
	case len(r.cfg.Secret) > 0 && given != "":
		mac, err := hex.DecodeString(given)
		if err != nil || !hmac.Equal(mac, sign(r.cfg.Secret, body)) {
			return &refusal{Signature, SignatureHeader + " is not the HMAC-SHA256 of the body with this node's secret"}
		}
	case req.TLS != nil && len(req.TLS.VerifiedChains) > 0:
	case len(r.cfg.Secret) > 0:
		return &refusal{Signature, "neither " + SignatureHeader + " nor a client certificate"}
	default:
		return &refusal{Signature, "no client certificate, and this node has no secret to check a signature with"}
	}
	return nil
}

// certified checks that a client certificate, if there is one, names the gateway.
func certified(state *tls.ConnectionState, gateway string) *refusal {
	if state == nil || len(state.VerifiedChains) == 0 {
		return nil
	}
	leaf := state.VerifiedChains[0][0]
	if leaf.Subject.CommonName == gateway || slices.Contains(leaf.DNSNames, gateway) {
		return nil
	}
	return &refusal{Signature, fmt.Sprintf("the client certificate is that of %s, not of %s", quote(leaf.Subject.CommonName), quote(gateway))}
}

// accept holds a report against the clock and the last one, and passes it on.
func (r *Receiver) accept(report *Report, from netip.Addr, now time.Time) *refusal {
	if no := r.timely(report, now); no != nil {
		return no
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	last, known := r.senders[report.Gateway]
	if known && report.Seq <= last.seq {
		return &refusal{Replayed, fmt.Sprintf("seq %d is not above %d, that of the last report: sent twice, overtaken, or two reporters", report.Seq, last.seq)}
	}
	if !known {
		maps.DeleteFunc(r.senders, func(name string, _ sender) bool { return !r.cfg.Known(name) })
		last.cpu = -1
	}
	s := sender{seq: report.Seq, cpu: smooth(last, report.CPU, now), at: now}
	r.senders[report.Gateway] = s
	r.cfg.Notify(report.Gateway, policy.Load{
		Sessions: report.Sessions, Capacity: report.Capacity, CPU: s.cpu, Draining: report.Draining, At: now, Source: "report", From: from,
	})
	return nil
}

// from returns the address that a report comes from.
func from(req *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(req.RemoteAddr)
	if err != nil {
		return netip.IPv6Unspecified()
	}
	return elsewhere(at.Addr())
}

// timely checks that a report is from now, as far as clocks agree.
func (r *Receiver) timely(report *Report, now time.Time) *refusal {
	sent := time.UnixMilli(report.Seq)
	age, ahead := now.Sub(sent), sent.Sub(now) // both saturate, neither is safe to negate
	switch {
	case ahead > MaxAhead:
		return &refusal{Future, fmt.Sprintf("clock differs by %v: seq %d is more than %v ahead of this node's time", rounded(ahead), report.Seq, MaxAhead)}
	case age > r.cfg.StaleAfter:
		return &refusal{Stale, fmt.Sprintf("clock differs by %v, or that long on the way: seq %d is more than %v behind this node's time", rounded(age), report.Seq, r.cfg.StaleAfter)}
	}
	return nil
}

// rounded is d to a tenth of a second.
func rounded(d time.Duration) time.Duration { return d.Round(100 * time.Millisecond) }

// smooth returns the average of the CPU's share after share came in.
func smooth(last sender, share float64, now time.Time) float64 {
	if share < 0 || last.cpu < 0 {
		return share
	}
	keep := math.Exp(-now.Sub(last.at).Seconds() / smoothing.Seconds())
	return share + keep*(last.cpu-share)
}

// refuse counts a refusal, logs it now and then, and answers.
func (r *Receiver) refuse(w http.ResponseWriter, req *http.Request, gateway string, no *refusal) {
	r.counts[no.reason].Add(1)
	from, _, err := net.SplitHostPort(req.RemoteAddr)
	if err != nil {
		from = req.RemoteAddr
	}
	quieter, who := &r.strangers, from
	if gateway != "" {
		quieter, who = &r.gateways, gateway
	}
	if held, ok := quieter.let(kind{who, no.reason}, time.Now()); ok {
		r.log.Warn().Str("from", from).Str("gateway", gateway).Str("reason", string(no.reason)).Str("why", no.words).Uint64("not_logged", held).Msg("report refused")
	}
	http.Error(w, no.words, no.reason.status())
}
