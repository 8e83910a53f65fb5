package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// report is what a run tells. Rates and shares are of what counts: what began
// after the warm-up.
type report struct {
	Verb    string  `json:"verb"`
	Seconds float64 `json:"seconds"` // that counts

	Sent       uint64  `json:"sent"` // datagrams, warm-up and all
	SendFailed uint64  `json:"send_failed"`
	SentRate   float64 `json:"sent_per_second,omitempty"` // of a flood

	Begun         uint64   `json:"begun"` // conversations that count
	Answered      uint64   `json:"answered"`
	FirstTry      uint64   `json:"first_try"` // without asking again for want of an answer
	Lost          uint64   `json:"lost"`
	Retransmitted uint64   `json:"retransmitted"`
	Rate          float64  `json:"answers_per_second"`
	FirstTryShare float64  `json:"first_try_share"`
	AnsweredShare float64  `json:"answered_share"`
	Latency       *latency `json:"latency_us,omitempty"`

	Late    uint64            `json:"late"`
	Cookies uint64            `json:"cookies"`
	Faults  map[string]uint64 `json:"faults"`

	ReceivedRate float64  `json:"received_per_second"` // packets at the interface
	OwnCPU       float64  `json:"own_cpu"`             // of one CPU
	Process      *process `json:"process,omitempty"`
}

// latency is how long answers took, in microseconds from when the request was
// to be sent.
type latency struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99_9"`
	Max  float64 `json:"max"`
}

// process is what the process watched took.
type process struct {
	CPU       float64 `json:"cpu"` // of one CPU
	RSSBefore uint64  `json:"rss_before"`
	RSSAfter  uint64  `json:"rss_after"`
}

// newReport returns what meters tell of any run.
func newReport(verb string, m *meter) *report {
	r := &report{Verb: verb, Seconds: m.last.at.Sub(m.first.at).Seconds(), Faults: map[string]uint64{}}
	r.ReceivedRate = float64(m.last.packets-m.first.packets) / r.Seconds
	r.OwnCPU = (m.last.own - m.first.own).Seconds() / r.Seconds
	if m.pid != 0 {
		r.Process = &process{(m.last.process - m.first.process).Seconds() / r.Seconds, m.first.resident, m.last.resident}
	}
	r.Rate = float64(m.last.answered-m.first.answered) / r.Seconds
	return r
}

// conversations adds what became of them.
func (r *report) conversations(t *tally, sent uint64) {
	r.Begun, r.Answered, r.FirstTry, r.Lost, r.Retransmitted = t.begun, t.answered, t.firstTry, t.lost, t.retransmitted
	r.Sent, r.Late, r.Cookies = sent, t.verdicts[late], t.verdicts[cookied]
	if t.begun > 0 {
		r.FirstTryShare, r.AnsweredShare = float64(t.firstTry)/float64(t.begun), float64(t.answered)/float64(t.begun)
	}
	r.Latency = &latency{micro(t.times.quantile(.5)), micro(t.times.quantile(.99)), micro(t.times.quantile(.999)), micro(t.times.max)}
	for v := firstFault; v < verdicts; v++ {
		if t.verdicts[v] > 0 {
			r.Faults[v.String()] = t.verdicts[v]
		}
	}
	if answers := t.verdicts[redirected] + t.verdicts[cookied] + t.verdicts[late]; answers > sent {
		r.Faults[answeredTwice.String()] = answers - sent
	}
}

// micro returns d in microseconds.
func micro(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// write writes the report in a form: json, or text.
func (r *report) write(w io.Writer, form string) error {
	if form == "json" {
		return json.NewEncoder(w).Encode(r)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d datagrams sent (%d not taken by the kernel), %.1f s counted\n", r.Verb, r.Sent, r.SendFailed, r.Seconds)
	if r.SentRate > 0 {
		fmt.Fprintf(&b, "sent       %.0f/s\nreceived   %.0f packets/s at the interface\n", r.SentRate, r.ReceivedRate)
	}
	if r.Begun > 0 {
		fmt.Fprintf(&b, "answered   %d of %d, %.0f/s; %.3f %% at the first try, %.3f %% in all; %d lost, %d late, %d sent again, %d cookies\n",
			r.Answered, r.Begun, r.Rate, 100*r.FirstTryShare, 100*r.AnsweredShare, r.Lost, r.Late, r.Retransmitted, r.Cookies)
		fmt.Fprintf(&b, "latency    p50 %.0f µs, p99 %.0f µs, p99.9 %.0f µs, max %.0f µs\n", r.Latency.P50, r.Latency.P99, r.Latency.P999, r.Latency.Max)
	}
	fmt.Fprintf(&b, "own CPU    %.0f %%\n", 100*r.OwnCPU)
	if r.Process != nil {
		fmt.Fprintf(&b, "process    %.0f %% CPU, resident %d kB before, %d kB after\n", 100*r.Process.CPU, r.Process.RSSBefore>>10, r.Process.RSSAfter>>10)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Faults)) {
		fmt.Fprintf(&b, "FAULT      %s: %d\n", name, r.Faults[name])
	}
	_, err := io.WriteString(w, b.String())
	return err
}
