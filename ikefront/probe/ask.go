// Package probe asks IKE responders: Ask once, as a client does, for what they
// answer to an IKE_SA_INIT; Prober over and over whether they live. It never
// finishes an exchange, so it leaves no IKE SA, and decides nothing.
package probe

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/anycastd/anycastd/ikefront/ike"
)

// Query is a question for Ask.
type Query struct {
	Target netip.AddrPort
	From   netip.Addr    // say that this address redirected us; invalid: nobody did
	Plain  bool          // don't announce support of redirect
	Try    time.Duration // until the first retransmission, doubled each time; 0: 500 ms
}

// Answer is what came back.
type Answer struct {
	From       netip.AddrPort // who answered; a right front-end answers from Query.Target
	Response   ike.Response
	RTT        time.Duration // of the last try
	Tries      int           // requests sent, those after a COOKIE included
	Cookies    int           // COOKIE answers that were obeyed (RFC 7296 section 2.6)
	Sent       int           // octets of the last request, without marker
	Received   int           // octets of the answer, without marker
	To         ike.GatewayID // where to go; zero: not redirected
	NonceWrong bool          // a REDIRECT without our nonce, which a client discards (RFC 5685 section 3)
}

// Redirected says whether the answer is a REDIRECT that a client follows.
func (a *Answer) Redirected() bool { return a.To != ike.GatewayID{} && !a.NonceWrong }

// maxCookies is how many COOKIE answers Ask obeys.
const maxCookies = 3

// Ask sends one real IKE_SA_INIT, again and again until an answer comes or ctx
// ends, and returns what came. It shows initiator SPI, nonce and key share as
// a client would, but no interest in the IKE SA: a gateway that accepts holds
// it half-open until its own timer ends it.
func Ask(ctx context.Context, q Query) (*Answer, error) {
	conn, err := net.ListenUDP(network(q.Target.Addr()), nil)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	init, err := newInit(q)
	if err != nil {
		return nil, err
	}
	a := &Answer{}
	for {
		if err := exchange(ctx, conn, q, init, a); err != nil {
			return nil, err
		}
		cookie := a.cookie()
		if cookie == nil || a.Cookies == maxCookies {
			a.judge(init.Nonce)
			return a, nil
		}
		a.Cookies++
		init.Cookie = bytes.Clone(cookie)
	}
}

// newInit returns the request that q asks for, with fresh secrets.
func newInit(q Query) (ike.Init, error) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return ike.Init{}, err
	}
	secret := make([]byte, 8+32)
	rand.Read(secret) // never fails
	return ike.Init{
		SPIi: binary.BigEndian.Uint64(secret) | 1, Nonce: secret[8:], Group: group31,
		KE: key.PublicKey().Bytes(), Supported: !q.Plain, From: q.From,
	}, nil
}

// exchange sends init until an answer to it comes, and writes it into a.
func exchange(ctx context.Context, conn *net.UDPConn, q Query, init ike.Init, a *Answer) error {
	request := init.Append(nil)
	a.Sent = len(request)
	wait := q.Try
	if wait == 0 {
		wait = 500 * time.Millisecond
	}
	buf := make([]byte, 1<<16)
	for ; ; wait *= 2 {
		a.Tries++
		sent := time.Now()
		if _, err := conn.WriteToUDPAddrPort(onWire(request, q.Target.Port()), q.Target); err != nil {
			return err
		}
		conn.SetReadDeadline(sent.Add(wait))
		for {
			if ctx.Err() != nil {
				return fmt.Errorf("no answer from %s to %d requests", q.Target, a.Tries)
			}
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if isTimeout(err) {
				break
			}
			if err != nil {
				return err
			}
			in := offWire(buf[:n])
			if r, err := ike.ParseResponse(in, init.SPIi); err == nil {
				a.From, a.Response, a.RTT, a.Received = netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), r, time.Since(sent), len(in)
				return nil
			}
		}
	}
}

// cookie returns the data of the answer's N(COOKIE), if that is all it holds.
func (a *Answer) cookie() []byte {
	n := a.Response.Notifies
	if len(a.Response.Payloads) == 1 && len(n) == 1 && n[0].Type == ike.Cookie && len(n[0].Data) > 0 && len(n[0].Data) <= 64 {
		return n[0].Data
	}
	return nil
}

// judge reads where the answer sends a client with the given nonce.
func (a *Answer) judge(nonce []byte) {
	to, echoed, ok := a.Response.Redirect()
	if ok {
		a.To, a.NonceWrong = to, !bytes.Equal(echoed, nonce)
	}
}

// network returns the UDP network of a's family.
func network(a netip.Addr) string {
	if a.Is4() {
		return "udp4"
	}
	return "udp6"
}

// onWire returns msg as it goes to port: behind the non-ESP marker on 4500.
func onWire(msg []byte, port uint16) []byte {
	if port != ike.NATTPort {
		return msg
	}
	return append(make([]byte, ike.MarkerLen, ike.MarkerLen+len(msg)), msg...)
}

// offWire returns the IKE message in a datagram, without a non-ESP marker:
// no IKE message begins with four zero octets and is an answer to ours.
func offWire(in []byte) []byte {
	if len(in) >= ike.MarkerLen && in[0]|in[1]|in[2]|in[3] == 0 {
		return in[ike.MarkerLen:]
	}
	return in
}

// isTimeout says whether err is a read deadline that passed.
func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}
