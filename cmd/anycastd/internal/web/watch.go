package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/anycastd/anycastd/ikefront"
)

// Datagram is what became of a datagram that was watched. Its JSON form is
// stable: names are only ever added.
type Datagram struct {
	Time           time.Time      `json:"time"`
	Endpoint       netip.AddrPort `json:"endpoint"`
	Source         netip.AddrPort `json:"source"`
	Octets         int            `json:"octets"`
	SPI            string         `json:"spi,omitempty"` // the initiator's, in hexadecimal; of a valid IKE_SA_INIT request
	RedirectedFrom string         `json:"redirected_from,omitempty"`
	Disposition    string         `json:"disposition"`
	Gateway        string         `json:"gateway,omitempty"` // where a redirected client was sent
	Target         string         `json:"target,omitempty"`
}

// maxWatched bounds what a watcher may ask to see in a second.
const maxWatched = 1000

// watch streams the datagrams that clients send, one JSON object a line, until
// the caller has gone or the daemon ends.
func watch(w http.ResponseWriter, r *http.Request, d Daemon) {
	clients, n, err := watched(r.URL.Query())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	seen, stop := d.Watch(clients, n)
	defer stop()
	out := http.NewResponseController(w)
	_ = out.SetReadDeadline(time.Time{}) // the server's own would end the stream
	w.Header().Set("Content-Type", "application/x-ndjson")
	enc := json.NewEncoder(w)
	for {
		if out.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case s := <-seen:
			if enc.Encode(datagramOf(&s)) != nil {
				return
			}
		}
	}
}

// watched reads whose datagrams are to be seen, and how many a second.
func watched(q url.Values) (clients netip.Prefix, n int, err error) {
	text := q.Get("client")
	clients, err = netip.ParsePrefix(text)
	if a, errAddr := netip.ParseAddr(text); errAddr == nil {
		clients, err = a.Unmap().Prefix(a.Unmap().BitLen())
	}
	if text != "" && err != nil {
		return clients, 0, fmt.Errorf("client %q is neither an IP address nor a prefix", text)
	}
	n, err = strconv.Atoi(q.Get("rate"))
	if err != nil || n < 1 || n > maxWatched {
		return clients, 0, fmt.Errorf("rate %q is not 1 to %d", q.Get("rate"), maxWatched)
	}
	return clients, n, nil
}

// datagramOf returns s in words.
func datagramOf(s *ikefront.Seen) Datagram {
	d := Datagram{Time: s.Time, Endpoint: s.Endpoint, Source: s.Source, Octets: s.Octets, Disposition: s.Disposition.String(), Gateway: s.Target.Gateway}
	if s.Request.SPIi != 0 {
		d.SPI = fmt.Sprintf("%016x", s.Request.SPIi)
	}
	if s.Request.From.IsValid() {
		d.RedirectedFrom = s.Request.From.String()
	}
	if d.Gateway != "" {
		d.Target = s.Target.String()
	}
	return d
}

// Watch calls see with each datagram that comes from clients ("": from anybody),
// at most n a second, until ctx ends, which is no error, or the daemon does.
func (c *Client) Watch(ctx context.Context, clients string, n int, see func(Datagram) error) error {
	body, err := c.open(ctx, "GET", "/v1/watch", url.Values{"client": {clients}, "rate": {strconv.Itoa(n)}})
	if err != nil {
		return err
	}
	defer body.Close()
	dec := json.NewDecoder(body)
	for {
		var d Datagram
		err := dec.Decode(&d)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return fmt.Errorf("%w any more", ErrUnreachable)
		case err != nil:
			return err
		}
		if err := see(d); err != nil {
			return err
		}
	}
}
