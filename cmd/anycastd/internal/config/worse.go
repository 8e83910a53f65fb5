package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/anycastd/anycastd/bgp"
)

// worse checks [bgp.worse], with the neighbors known.
func (c *checker) worse(raw *bgpTable) bgp.Attributes {
	w := &raw.Worse
	out := bgp.Attributes{MED: uint32(w.MED), Prepend: int(w.Prepend)}
	once := unique[string](c, "community")
	for i, text := range w.Communities {
		if at := item("bgp.worse.communities", i); !c.faulty(at) {
			if v, err := community(text); err != nil {
				c.fault(at, "bgp.worse.communities: %s %v", quote(text), err)
			} else if once.add(text, at) {
				out.Communities = append(out.Communities, v)
			}
		}
	}
	for i, text := range w.Large {
		if at := item("bgp.worse.large_communities", i); !c.faulty(at) {
			if v, err := largeCommunity(text); err != nil {
				c.fault(at, "bgp.worse.large_communities: %s %v", quote(text), err)
			} else if once.add(text, at) {
				out.Large = append(out.Large, v)
			}
		}
	}
	c.loop(raw)
	return out
}

// nothing reports whether [bgp.worse] has nothing in it, right or wrong.
func (c *checker) nothing(w *worseTable) bool {
	for _, key := range []string{"communities", "large_communities", "med", "prepend"} {
		if c.faulty("bgp.worse." + key) {
			return false
		}
	}
	return len(w.Communities) == 0 && len(w.Large) == 0 && w.MED == 0 && w.Prepend == 0
}

// loop faults prepends that an internal neighbor would be told, too: its own
// AS in the path is a loop to it (RFC 4271 section 9.1.2).
func (c *checker) loop(raw *bgpTable) {
	if raw.Worse.Prepend == 0 || raw.ASN == 0 {
		return
	}
	for _, n := range raw.Neighbor {
		if n.ASN == raw.ASN {
			c.fault("bgp.worse.prepend", "neighbor %s is in this AS: it takes any prepend for a loop and drops the route", n.Address).
				suggest("leave prepend out: among internal neighbors communities and med do it")
			return
		}
	}
}

// community returns what two halves of 16 bits stand for (RFC 1997).
func community(s string) (uint32, error) {
	n, err := numbers(s, 2, 16)
	if err != nil {
		return 0, err
	}
	v := n[0]<<16 | n[1]
	if v == bgp.GracefulShutdown {
		return 0, errors.New("is graceful shutdown, which only says that a route is about to go away (RFC 8326)")
	}
	return v, nil
}

// largeCommunity returns what three numbers of 32 bits stand for (RFC 8092).
func largeCommunity(s string) (bgp.LargeCommunity, error) {
	n, err := numbers(s, 3, 32)
	if err != nil {
		return bgp.LargeCommunity{}, err
	}
	return bgp.LargeCommunity(n), nil
}

// numbers returns numbers of so many bits that colons part.
func numbers(s string, count, bits int) ([]uint32, error) {
	words := strings.Split(s, ":")
	if len(words) != count {
		return nil, fmt.Errorf("is not %d numbers with colons between them", count)
	}
	var out []uint32
	for _, w := range words {
		n, err := strconv.ParseUint(w, 10, bits)
		if err != nil {
			return nil, fmt.Errorf("has %s, not a number from 0 to %d", quote(w), uint64(1)<<bits-1)
		}
		out = append(out, uint32(n))
	}
	return out, nil
}
