package main

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sizes of a batch. No request of ours, and no answer to one, is longer than
// datagramLen.
const (
	batchLen    = 64
	datagramLen = 2048
	controlLen  = 64 // IPV6_PKTINFO takes 40
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// batch holds the buffers of up to batchLen datagrams.
type batch struct {
	headers  [batchLen]mmsghdr
	vectors  [batchLen]unix.Iovec
	names    [batchLen]unix.RawSockaddrInet6
	controls [batchLen][controlLen]byte
	buffers  [batchLen][datagramLen]byte
	filled   int
}

// newBatch returns an empty batch. With addresses each datagram has that of its
// peer and, as a control message, its own.
func newBatch(addresses bool) *batch {
	b := new(batch)
	for i := range batchLen {
		h := &b.headers[i].hdr
		b.vectors[i].Base = &b.buffers[i][0]
		h.Iov = &b.vectors[i]
		h.SetIovlen(1)
		if addresses {
			h.Name = (*byte)(unsafe.Pointer(&b.names[i]))
			h.Control = &b.controls[i][0]
		}
	}
	return b
}

// receive fills the batch with what waits at fd.
func (b *batch) receive(fd int) error {
	b.filled = 0
	for i := range batchLen {
		b.vectors[i].SetLen(datagramLen)
		b.headers[i].hdr.Namelen = unix.SizeofSockaddrInet6
		b.headers[i].hdr.SetControllen(controlLen)
	}
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.headers[0])), batchLen, unix.MSG_DONTWAIT, 0, 0)
	switch errno {
	case 0:
		b.filled = int(n)
		return nil
	case unix.EAGAIN, unix.EINTR:
		return nil
	}
	return errno
}

// datagram returns the i-th datagram that came in, who sent it, and to which
// address.
func (b *batch) datagram(i int) (data []byte, from netip.AddrPort, to netip.Addr) {
	data = b.buffers[i][:min(int(b.headers[i].len), datagramLen)]
	name := &b.names[i]
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&name.Port))[:])
	info := unsafe.Pointer(&b.controls[i][unix.CmsgLen(0)])
	if name.Family == unix.AF_INET {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		return data, netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), port), netip.AddrFrom4((*unix.Inet4Pktinfo)(info).Addr)
	}
	return data, netip.AddrPortFrom(netip.AddrFrom16(name.Addr), port), netip.AddrFrom16((*unix.Inet6Pktinfo)(info).Addr)
}

// address makes the next datagram one between these addresses.
func (b *batch) address(from netip.Addr, to netip.AddrPort) {
	i := b.filled
	h := &b.headers[i].hdr
	c := (*unix.Cmsghdr)(unsafe.Pointer(&b.controls[i][0]))
	info := unsafe.Pointer(&b.controls[i][unix.CmsgLen(0)])
	name := &b.names[i]
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&name.Port))[:], to.Port())
	if to.Addr().Is4() {
		name.Family = unix.AF_INET
		(*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr = to.Addr().As4()
		h.Namelen = unix.SizeofSockaddrInet4
		c.Level, c.Type = unix.SOL_IP, unix.IP_PKTINFO
		c.SetLen(unix.CmsgLen(unix.SizeofInet4Pktinfo))
		h.SetControllen(unix.CmsgSpace(unix.SizeofInet4Pktinfo))
		*(*unix.Inet4Pktinfo)(info) = unix.Inet4Pktinfo{Spec_dst: from.As4()}
		return
	}
	name.Family, name.Addr = unix.AF_INET6, to.Addr().As16()
	h.Namelen = unix.SizeofSockaddrInet6
	c.Level, c.Type = unix.SOL_IPV6, unix.IPV6_PKTINFO
	c.SetLen(unix.CmsgLen(unix.SizeofInet6Pktinfo))
	h.SetControllen(unix.CmsgSpace(unix.SizeofInet6Pktinfo))
	*(*unix.Inet6Pktinfo)(info) = unix.Inet6Pktinfo{Addr: from.As16()}
}

// add says that the next buffer holds a datagram of n octets.
func (b *batch) add(n int) {
	b.vectors[b.filled].SetLen(n)
	b.filled++
}

// send sends the datagrams and empties the batch. It returns how many the
// kernel did not take.
func (b *batch) send(fd int) (failed uint64) {
	for at := 0; at < b.filled; {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.headers[at])), uintptr(b.filled-at), 0, 0, 0)
		switch {
		case errno == 0:
			at += int(n)
		case errno != unix.EINTR: // the first of them failed; none was sent
			failed++
			at++
		}
	}
	b.filled = 0
	return failed
}
