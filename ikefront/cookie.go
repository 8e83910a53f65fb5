package ikefront

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"net/netip"
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
	demanded bool         // of everybody
	never    bool         // of nobody, whatever happens
	keys     [3]cookieKey // of this epoch, the one before, and the next, for clocks that run ahead
}

// newCookies returns the keys for the time now.
func newCookies(cfg *Config, now time.Time, demanded bool) *cookies {
	epoch := epochOf(now)
	key := func(epoch uint64) cookieKey { return newCookieKey(cfg.CookieSecret, epoch) }
	return &cookies{demanded, cfg.Cookie == CookieNever, [3]cookieKey{key(epoch), key(epoch - 1), key(epoch + 1)}}
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
