package ikefront

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/dchest/siphash"

	"github.com/anycastd/anycastd/ikefront/ike"
)

// CookieMode says when a request without a cookie is answered by one (RFC 7296
// section 2.6).
type CookieMode string

// The cookie modes.
const (
	CookieNever  CookieMode = "never"
	CookieAuto   CookieMode = "auto" // while requests come faster than Config.CookieAbove
	CookieAlways CookieMode = "always"
)

// CookieSecretLen is the length in octets of a cookie secret.
const CookieSecretLen = 32

// How cookies live.
const (
	// cookieEpoch is how long a key is the newest one. A cookie is accepted
	// until the epoch after its own ends.
	cookieEpoch = time.Minute
	// calmDown is how long requests must come slowly before "auto" stops
	// asking: an answer without a cookie in between would differ from the one
	// to the first transmission.
	calmDown = 10 * time.Second
	// wrongPause is how long a source that sent a wrong cookie waits for the
	// next new one. libreswan and iked answer every cookie at once: two nodes
	// with different secrets would keep them going at 10,000 requests/s.
	wrongPause = 250 * time.Millisecond
)

// cookieLen is the length of our cookies: the epoch's low octet and a 128-bit MAC.
const cookieLen = 1 + 16

// cookieKey is the key of one epoch.
type cookieKey struct {
	epoch  uint64
	k0, k1 uint64
}

// newCookieKey derives the key of an epoch, the same on every node that has
// the secret and a clock right to within a minute.
func newCookieKey(secret []byte, epoch uint64) cookieKey {
	mac := hmac.New(sha256.New, secret)
	mac.Write(binary.BigEndian.AppendUint64([]byte("anycastd cookie"), epoch))
	sum := mac.Sum(nil)
	return cookieKey{epoch, binary.LittleEndian.Uint64(sum), binary.LittleEndian.Uint64(sum[8:])}
}

// cookie is bound to the nonce, the source address and the SPI; not to the
// port, which a NAT may change (RFC 7296 section 2.6).
func (k *cookieKey) cookie(r *ike.Request, src netip.Addr) (c [cookieLen]byte) {
	var buf [ike.MaxNonce + 16 + 8]byte
	n := copy(buf[:], r.Nonce)
	addr := src.As16()
	n += copy(buf[n:], addr[:])
	binary.BigEndian.PutUint64(buf[n:], r.SPIi)
	lo, hi := siphash.Hash128(k.k0, k.k1, buf[:n+8])
	c[0] = byte(k.epoch)
	binary.BigEndian.PutUint64(c[1:], lo)
	binary.BigEndian.PutUint64(c[9:], hi)
	return c
}

// cookies is what a node knows at one time of its cookies; it is immutable.
type cookies struct {
	demanded bool
	keys     [3]cookieKey // of this epoch, the one before, and the next, for clocks that run ahead
}

// newCookies returns the keys for the time now.
func newCookies(secret []byte, now time.Time, demanded bool) *cookies {
	epoch := epochOf(now)
	return &cookies{demanded, [3]cookieKey{newCookieKey(secret, epoch), newCookieKey(secret, epoch-1), newCookieKey(secret, epoch+1)}}
}

// epochOf returns the number of the epoch that now lies in.
func epochOf(now time.Time) uint64 { return uint64(now.Unix()) / uint64(cookieEpoch/time.Second) }

// valid says whether r carries a cookie that this node, or one with the same
// secret, has sent to src.
func (c *cookies) valid(r *ike.Request, src netip.Addr) bool {
	if len(r.Cookie) != cookieLen {
		return false
	}
	for i := range c.keys {
		if byte(c.keys[i].epoch) == r.Cookie[0] {
			want := c.keys[i].cookie(r, src)
			return subtle.ConstantTimeCompare(want[:], r.Cookie) == 1
		}
	}
	return false
}

// pauses remembers, for a fixed number of hashed sources, when each last got
// a new cookie for a wrong one. Sources that share a place share the pause.
type pauses struct {
	k0, k1 uint64
	since  time.Time
	last   [1 << 14]atomic.Uint32 // milliseconds after since
}

// newPauses returns empty pauses with a key of their own.
func newPauses(now time.Time) *pauses {
	return &pauses{k0: rand.Uint64(), k1: rand.Uint64(), since: now.Add(-wrongPause)}
}

// over says whether src may get a cookie for a wrong one, and begins its pause
// if so.
func (p *pauses) over(src netip.Addr, now time.Time) bool {
	addr := src.As16()
	place := &p.last[siphash.Hash(p.k0, p.k1, addr[:])%uint64(len(p.last))]
	at, last := uint32(now.Sub(p.since)/time.Millisecond), place.Load()
	return at-last >= uint32(wrongPause/time.Millisecond) && place.CompareAndSwap(last, at)
}

// thermostat turns the demand for cookies on and off.
type thermostat struct {
	above uint64    // requests/s
	hot   bool      // cookies are demanded
	cool  time.Time // since when requests have come slowly; zero: they don't
}

// feel takes in the rate of requests in the last second and says whether
// cookies are demanded. They are from above on; no longer when the rate has
// stayed below half of that for calmDown.
func (t *thermostat) feel(rate uint64, now time.Time) bool {
	switch {
	case rate > t.above:
		t.hot, t.cool = true, time.Time{}
	case rate > t.above/2:
		t.cool = time.Time{}
	case t.hot && t.cool.IsZero():
		t.cool = now
	case t.hot && now.Sub(t.cool) >= calmDown:
		t.hot = false
	}
	return t.hot
}
