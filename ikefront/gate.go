package ikefront

import (
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// When a gate shuts and opens. In calm times every datagram is read and counted
// by what it is; in a flood of junk the kernel drops that unread, so that it
// takes neither the queue nor the time of honest clients.
const (
	gateWindow = 100 * time.Millisecond
	gateAbove  = 500              // junk read in a window that shuts the gate
	gateCalm   = 10 * time.Second // without such a flood, until it opens again
)

// gate puts the socket filter on a socket while junk floods it.
type gate struct {
	raw     syscall.RawConn
	program []bpf.RawInstruction
	counts  *Counters

	began time.Duration // of the present window; only the socket's goroutine knows
	junk  int           // in it

	mu       sync.Mutex
	on, was  bool      // was: at the last turn
	drops    uint32    // the kernel's count, which wraps, when last looked at
	filtered uint64    // at the last turn
	flood    time.Time // when the flood was last seen
}

// feel takes in how much junk a batch had, and says whether there is so much
// that the gate must be shut.
func (g *gate) feel(junk int, now time.Duration) bool {
	if junk == 0 {
		return false
	}
	if now-g.began > gateWindow {
		g.began, g.junk = now, 0
	}
	g.junk += junk
	return g.junk > gateAbove
}

// shut puts the filter on the socket fd.
func (g *gate) shut(fd int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.junk = 0
	if g.on {
		return
	}
	g.look(fd)
	g.on, g.flood = attach(fd, g.program) == nil, time.Now()
}

// count takes in what the kernel has dropped since the last time.
func (g *gate) count() { g.with(func(int) {}) }

// turn counts, and opens the gate when the flood has been over for a while. It
// says whether the gate is shut, and whether it was not at the last turn or the
// other way round. It is to be called each second.
func (g *gate) turn(now time.Time) (shut, turned bool) {
	g.with(func(fd int) {
		filtered := g.counts[Filtered].Load()
		if filtered-g.filtered > gateAbove {
			g.flood = now
		}
		g.filtered = filtered
		if g.on && now.Sub(g.flood) >= gateCalm {
			g.on = detach(fd) != nil
		}
		shut, turned = g.on, g.on != g.was
		g.was = g.on
	})
	return shut, turned
}

// with counts and calls f with the socket, unless that is closed.
func (g *gate) with(f func(fd int)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = g.raw.Control(func(fd uintptr) { // it fails on a closed socket alone
		g.look(int(fd))
		f(int(fd))
	})
}

// look reads how many datagrams the kernel has dropped: because the queue was
// full or, with the filter on, because of that. It tells them apart by when.
func (g *gate) look(fd int) {
	drops, err := kernelDrops(fd)
	if err != nil {
		return
	}
	why := QueueFull
	if g.on {
		why = Filtered
	}
	g.counts[why].Add(uint64(drops - g.drops))
	g.drops = drops
}

// kernelDrops returns the socket's count of dropped datagrams.
func kernelDrops(fd int) (uint32, error) {
	const vars, drops = 9, 8 // SK_MEMINFO_VARS, SK_MEMINFO_DROPS (linux/sock_diag.h)
	var info [vars]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO, uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0, errno
	}
	return info[drops], nil
}
