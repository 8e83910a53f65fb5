package ikefront

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/anycastd/anycastd/policy"
)

// Sizes of a batch. A request may fill a whole UDP datagram; an answer is an
// IKE header and one notify, at most some 600 octets.
const (
	batchLen   = 32
	requestLen = 1 << 16
	replyLen   = 1024
	controlLen = 64 // IPV6_PKTINFO takes 40
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// batch holds the buffers of up to batchLen datagrams. The kernel writes name
// and control message of a request where the answer's are read from, so an
// answer leaves from the address that was asked to the one that asked.
type batch struct {
	in, out  [batchLen]mmsghdr
	inVec    [batchLen]unix.Iovec
	outVec   [batchLen]unix.Iovec
	names    [batchLen]unix.RawSockaddrInet6
	controls [batchLen][controlLen]byte
	requests []byte
	replies  []byte
	queued   int
	asked    [batchLen]uint8       // by which datagram, for each queued answer
	fates    [batchLen]Disposition // of the datagrams received
	warmth   uint64                // keeps warm from being optimized away
}

// batches are those that no socket uses at the moment. A socket needs one only
// from when it receives until it has answered, so there are hardly more than
// CPUs, and the next socket's is still in the CPU's cache.
type batches struct {
	mu   sync.Mutex
	free []*batch
}

// get returns a batch: the one that was used last, or a new one.
func (b *batches) get() (*batch, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.free)
	if n == 0 {
		return newBatch()
	}
	last := b.free[n-1]
	b.free = b.free[:n-1]
	return last, nil
}

// put takes a batch back.
func (b *batches) put(last *batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.free = append(b.free, last)
}

// newBatch returns a batch with its buffers in place. Those of the requests are
// mapped apart from the heap, for good: they are large but hardly touched, and
// would mislead the garbage collector's pace.
func newBatch() (*batch, error) {
	requests, err := unix.Mmap(-1, 0, batchLen*requestLen, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("receive buffers: %w", err)
	}
	// A huge page for each request would make all of it resident. A kernel
	// without huge pages refuses, and needs it not.
	_ = unix.Madvise(requests, unix.MADV_NOHUGEPAGE)
	b := &batch{requests: requests, replies: make([]byte, batchLen*replyLen)}
	for i := range batchLen {
		b.inVec[i].Base = &b.requests[i*requestLen]
		b.inVec[i].SetLen(requestLen)
		b.in[i].hdr.Iov = &b.inVec[i]
		b.in[i].hdr.SetIovlen(1)
		b.in[i].hdr.Name = (*byte)(unsafe.Pointer(&b.names[i]))
		b.in[i].hdr.Control = &b.controls[i][0]
		b.out[i].hdr.Iov = &b.outVec[i]
		b.out[i].hdr.SetIovlen(1)
	}
	return b, nil
}

// receive fills the batch with what waits at fd and returns how many came. It
// never waits, and neither does send: so they don't tell Go's scheduler of their
// system calls, which would look for other work meanwhile, in vain, and be woken
// by each answer that leaves.
func (b *batch) receive(fd int) (int, error) {
	b.queued = 0
	for i := range b.in {
		b.in[i].hdr.Namelen = unix.SizeofSockaddrInet6
		b.in[i].hdr.SetControllen(controlLen)
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.in[0])), batchLen, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// request returns the i-th datagram received and who sent it.
func (b *batch) request(i int) ([]byte, netip.AddrPort) {
	n := min(int(b.in[i].len), requestLen)
	in := b.requests[i*requestLen:][:n:n]
	name := &b.names[i]
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&name.Port))[:])
	if name.Family == unix.AF_INET {
		v4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		return in, netip.AddrPortFrom(netip.AddrFrom4(v4.Addr), port)
	}
	return in, netip.AddrPortFrom(netip.AddrFrom16(name.Addr), port)
}

// warm reads what the answers to the first n datagrams will be looked up in, by
// their sources: tables that are too large for the CPU's nearest caches. So it
// waits for all of that at the same time, and not once or twice for each.
func (b *batch) warm(n int, by *rules) {
	var slots [batchLen]*uint16
	var shares [batchLen]*bucket
	for i := range n {
		_, src := b.request(i)
		slots[i] = by.table.Look(policy.Client{Source: src.Addr()})
		shares[i] = by.limits.sources.of(src.Addr())
	}
	sum := uint64(0)
	for i := range n {
		sum += uint64(shares[i].full.Load())
		if slots[i] != nil {
			sum += uint64(*slots[i])
		}
	}
	b.warmth = sum
}

// reply returns the empty buffer for the next answer.
func (b *batch) reply() []byte { return b.replies[b.queued*replyLen:][:0:replyLen] }

// became notes what becomes of the i-th datagram, and queues its answer, if it
// has one, written into the buffer that reply gave.
func (b *batch) became(i int, reply []byte, d Disposition) {
	b.fates[i] = d
	if !d.answered() {
		return
	}
	o := &b.out[b.queued].hdr
	o.Name, o.Namelen = b.in[i].hdr.Name, b.in[i].hdr.Namelen
	o.Control, o.Controllen = b.in[i].hdr.Control, b.in[i].hdr.Controllen
	anyInterface(b.controls[i][:])
	b.outVec[b.queued].Base = &reply[0]
	b.outVec[b.queued].SetLen(len(reply))
	b.asked[b.queued] = uint8(i)
	b.queued++
}

// anyInterface clears the interface in a packet information, which otherwise
// would force the answer out where the request came in, whatever the routes say.
func anyInterface(control []byte) {
	h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	data := control[unix.CmsgLen(0):]
	switch {
	case h.Level == unix.SOL_IP && h.Type == unix.IP_PKTINFO:
		(*unix.Inet4Pktinfo)(unsafe.Pointer(&data[0])).Ifindex = 0
	case h.Level == unix.SOL_IPV6 && h.Type == unix.IPV6_PKTINFO:
		p := (*unix.Inet6Pktinfo)(unsafe.Pointer(&data[0]))
		if !netip.AddrFrom16(p.Addr).IsLinkLocalUnicast() {
			p.Ifindex = 0
		}
	}
}

// send sends the first allowed of the queued answers. What the kernel does not
// take at once is given up: the client asks again.
func (b *batch) send(fd, allowed int) {
	for _, i := range b.asked[allowed:b.queued] {
		b.fates[i] = TotalLimited
	}
	for at := 0; at < allowed; {
		n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.out[at])), uintptr(allowed-at), unix.MSG_DONTWAIT, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 { // the first of them failed; none was sent
			b.fates[b.asked[at]] = SendFailed
			n = 1
		}
		at += int(n)
	}
}

// count counts what has become of the first n datagrams.
func (b *batch) count(n int, counts *Counters) {
	var sums [Dispositions]uint8
	for _, d := range b.fates[:n] {
		sums[d]++
	}
	for d, sum := range sums {
		if sum > 0 {
			counts[d].Add(uint64(sum))
		}
	}
}
