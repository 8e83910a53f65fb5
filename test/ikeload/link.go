package main

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// link sends datagrams in batches.
type link interface {
	// buffer returns where the next datagram's payload is to be appended.
	buffer() []byte
	// send queues the payload, and sends what is queued if the batch is full.
	send(payload []byte, from, to netip.AddrPort)
	// flush sends what is queued.
	flush()
	// failed returns how many datagrams the kernel did not take.
	failed() uint64
	close()
}

// ethernet is a link of whole frames: past the sender's own routes and
// filters, which costs less, and from any address at all.
type ethernet struct {
	fd     int
	frames *batch
	head   int // octets before the payload
	lost   uint64
}

// newEthernet returns a link to the next hop h.
func newEthernet(h hop, v6 bool) (*ethernet, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) // 0: receives nothing
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("PACKET_QDISC_BYPASS: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: h.link.Index}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("packet socket on %s: %w", h.link.Name, err)
	}
	e := &ethernet{fd: fd, frames: newBatch(false), head: headersLen(v6)}
	for i := range e.frames.buffers {
		putEther(e.frames.buffers[i][:], h.link.HardwareAddr, h.mac, v6)
	}
	return e, nil
}

func (e *ethernet) buffer() []byte { return e.frames.buffers[e.frames.filled][e.head:e.head] }

func (e *ethernet) send(payload []byte, from, to netip.AddrPort) {
	n := e.head + len(payload)
	putHeaders(e.frames.buffers[e.frames.filled][:n], from, to)
	e.frames.add(n)
	if e.frames.filled == batchLen {
		e.flush()
	}
}

func (e *ethernet) flush()         { e.lost += e.frames.send(e.fd) }
func (e *ethernet) failed() uint64 { return e.lost }
func (e *ethernet) close()         { unix.Close(e.fd) }

// port is a UDP port: where the answers come in, and a link as any client's.
// It is open on every address of its family.
type port struct {
	fd      int
	number  uint16
	in, out *batch
	lost    uint64
}

// portBuffer is the kernel's queue of answers, in octets.
const portBuffer = 32 << 20

// openPort opens a port; 0: any that is free.
func openPort(number uint16, v6 bool) (*port, error) {
	family, any := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(number)})
	options := []struct{ level, name int }{{unix.SOL_IP, unix.IP_PKTINFO}}
	if v6 {
		family, any = unix.AF_INET6, &unix.SockaddrInet6{Port: int(number)}
		// FREEBIND: to send from an address of a prefix that is local as a whole.
		options = []struct{ level, name int }{
			{unix.SOL_IPV6, unix.IPV6_V6ONLY}, {unix.SOL_IPV6, unix.IPV6_RECVPKTINFO}, {unix.SOL_IPV6, unix.IPV6_FREEBIND},
		}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	for _, o := range options {
		if err == nil {
			err = unix.SetsockoptInt(fd, o.level, o.name, 1)
		}
	}
	// Without CAP_NET_ADMIN the host's rmem_max bounds the queue.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, portBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, portBuffer)
	}
	if err == nil {
		err = unix.Bind(fd, any)
	}
	p := &port{fd: fd, in: newBatch(true), out: newBatch(true)}
	if err == nil {
		err = p.learnNumber()
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("UDP port %d: %w", number, err)
	}
	return p, nil
}

// learnNumber asks which port it has become.
func (p *port) learnNumber() error {
	at, err := unix.Getsockname(p.fd)
	switch at := at.(type) {
	case *unix.SockaddrInet4:
		p.number = uint16(at.Port)
	case *unix.SockaddrInet6:
		p.number = uint16(at.Port)
	}
	return err
}

func (p *port) buffer() []byte { return p.out.buffers[p.out.filled][:0] }

func (p *port) send(payload []byte, from, to netip.AddrPort) {
	p.out.address(from.Addr(), to)
	p.out.add(len(payload))
	if p.out.filled == batchLen {
		p.flush()
	}
}

func (p *port) flush()         { p.lost += p.out.send(p.fd) }
func (p *port) failed() uint64 { return p.lost }
func (p *port) close()         { unix.Close(p.fd) }

// wait waits until a datagram comes in, or for some nanoseconds.
func (p *port) wait(ns int64) {
	timeout := unix.NsecToTimespec(max(ns, 0))
	_, _ = unix.Ppoll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}, &timeout, nil)
}
