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
	gateCalm   = 10 * time.Second // with less junk than that in a second, until it opens again
)

// gate puts the socket filter on a socket while junk floods it.
type gate struct {
	raw     syscall.RawConn
	program []bpf.RawInstruction

	began time.Duration // of the present window; only the socket's goroutine knows
	junk  int           // in it
	drops uint32        // the kernel's count, which wraps, when last looked at; only the Front knows

	mu      sync.Mutex
	on      bool
	was     bool      // on, at the last turn
	trouble error     // why it can't be shut
	flood   time.Time // when the flood was last seen
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

// shut puts the filter on the socket fd; if that has failed once, no more.
func (g *gate) shut(fd int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.junk = 0
	if g.on || g.trouble != nil {
		return
	}
	g.trouble = attach(fd, g.program)
	g.on, g.flood = g.trouble == nil, time.Now()
}

// shutNow says whether the gate is shut.
func (g *gate) shutNow() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.on
}

// turn takes in how much the filter has dropped in the last second, and opens
// the gate when there has been no flood for a while. It says whether the gate
// has turned since the last time, or why it can't.
func (g *gate) turn(filtered uint64, now time.Time) (turned bool, trouble error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if filtered > gateAbove {
		g.flood = now
	}
	if g.on && now.Sub(g.flood) >= gateCalm {
		_ = g.raw.Control(func(fd uintptr) { g.on = detach(int(fd)) != nil }) // it fails on a closed socket alone
	}
	turned, g.was = g.on != g.was, g.on
	return turned, g.trouble
}

// dropped returns how many datagrams the kernel has dropped at the socket since
// the last time.
func (g *gate) dropped() (n uint64) {
	_ = g.raw.Control(func(fd uintptr) { // it fails on a closed socket alone
		if drops, err := kernelDrops(int(fd)); err == nil {
			n, g.drops = uint64(drops-g.drops), drops
		}
	})
	return n
}

// kernelDrops returns the kernel's count of datagrams dropped at a socket.
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
