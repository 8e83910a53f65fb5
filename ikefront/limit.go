package ikefront

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"
)

// rate is how fast a bucket fills; its zero value sets no limit.
type rate struct {
	every time.Duration // for one token
	burst time.Duration // for a whole bucket; at least every
}

// perSecond returns the rate of n tokens/s, of which up to burst's worth may
// be taken at once. n = 0: no limit.
func perSecond(n int, burst time.Duration) rate {
	if n <= 0 {
		return rate{}
	}
	every := max(time.Second/time.Duration(n), 1)
	return rate{every, max(burst, every)}
}

// bucket is a token bucket as one number: the time, after the front's start,
// at which it will be full again. Its zero value is full.
type bucket struct{ full atomic.Int64 }

// take takes up to n tokens at the time now and returns how many.
func (b *bucket) take(n int, now time.Duration, r rate) int {
	if r.every == 0 {
		return n
	}
	for {
		was := b.full.Load()
		full := max(was, int64(now))
		got := min(n, int((int64(now)+int64(r.burst)-full)/int64(r.every)))
		if got <= 0 {
			return 0
		}
		if b.full.CompareAndSwap(was, full+int64(got)*int64(r.every)) {
			return got
		}
	}
}

// low says whether less than half of the bucket is left.
func (b *bucket) low(now time.Duration, r rate) bool {
	return time.Duration(b.full.Load())-now > r.burst/2 && r.every > 0
}

// spent says whether nothing can be taken at the time now.
func (b *bucket) spent(now time.Duration, r rate) bool {
	return time.Duration(b.full.Load())-now > r.burst-r.every && r.every > 0
}

// bucketCount is the number of buckets that sources are hashed to. It is fixed,
// so that no number of sources costs memory; those that share a bucket share
// its tokens.
const bucketCount = 1 << 16

// buckets is one token bucket for each hashed source prefix.
type buckets struct {
	rate  rate
	bits6 int // of an IPv6 source that count; an IPv4 source counts whole
	seed  maphash.Seed
	all   [bucketCount]bucket
}

// newBuckets returns full buckets with a hash key of their own.
func newBuckets(r rate, bits6 int) *buckets {
	return &buckets{rate: r, bits6: bits6, seed: maphash.MakeSeed()}
}

// of returns the bucket of src.
func (b *buckets) of(src netip.Addr) *bucket {
	key := src.As16()
	n := len(key)
	if src.Is6() {
		n = b.bits6 / 8
	}
	return &b.all[maphash.Bytes(b.seed, key[:n])%bucketCount]
}

// take says whether src may get one more, and takes a token if so.
func (b *buckets) take(src netip.Addr, now time.Duration) bool {
	return b.of(src).take(1, now, b.rate) == 1
}

// limits holds the answers to what is good for others: those that an attacker
// makes us send to a forged source, and the line.
type limits struct {
	sources  *buckets // answers to one IPv4 address or IPv6 /56
	proven   *buckets // the same, to clients there that bring a valid cookie: no forger can use that up
	renewals *buckets // new cookies for wrong ones, to one address
	refusals *buckets // error notifies to one address
	total    bucket   // all answers
	errors   bucket   // all error notifies
	totals   rate
	faults   rate
}

// How answers are limited beyond what is configured.
const (
	sourceBits6 = 56 // what a site gets (RFC 6177 section 2)
	sourceBurst = 2 * time.Second
	totalBurst  = 100 * time.Millisecond
	errorBurst  = time.Second
	// renewalPause is how long a source that sent a wrong cookie waits for the
	// next new one. libreswan and iked answer every cookie at once: two nodes
	// with different secrets would keep them going at 10,000 requests/s.
	renewalPause = 250 * time.Millisecond
	// refusalPause lets a node that watches both ports of an address have its
	// answers.
	refusalPause = 100 * time.Millisecond
	refusalBurst = time.Second
)

// newLimits returns the limits of cfg.
func newLimits(cfg *Config) *limits {
	return &limits{
		sources:  newBuckets(perSecond(cfg.SourceLimit, sourceBurst), sourceBits6),
		proven:   newBuckets(perSecond(cfg.SourceLimit, sourceBurst), sourceBits6),
		renewals: newBuckets(rate{renewalPause, renewalPause}, 128),
		refusals: newBuckets(rate{refusalPause, refusalBurst}, 128),
		totals:   perSecond(cfg.ReplyLimit, totalBurst),
		faults:   perSecond(cfg.ErrorLimit, errorBurst),
	}
}

// refuse says whether src may get an error notify at address self. What the node
// asks itself is always answered: nobody else gets that.
func (l *limits) refuse(src, self netip.Addr, now time.Duration) bool {
	return src == self || l.refusals.take(src, now) && l.errors.take(1, now, l.faults) == 1
}
