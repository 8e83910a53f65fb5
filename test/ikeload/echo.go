package main

import (
	"fmt"
	"net/netip"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// serveEcho sends the first n octets of every datagram back, for ever: the
// least that any program does with two system calls per batch. It leaves Go's
// scheduler and poller out of it, so it keeps a thread for itself and can't be
// stopped but by a signal that ends the process.
func serveEcho(at netip.AddrPort, n int) error {
	fd, err := listenEcho(at)
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	b := newBatch(true)
	for i := range batchLen {
		b.headers[i].hdr.Control = nil
	}
	for {
		for i := range batchLen {
			b.vectors[i].SetLen(datagramLen)
			b.headers[i].hdr.Namelen = unix.SizeofSockaddrInet6
		}
		got, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.headers[0])), batchLen, unix.MSG_WAITFORONE, 0, 0)
		if errno != 0 && errno != unix.EINTR {
			return fmt.Errorf("recvmmsg: %w", errno)
		}
		if errno != 0 {
			continue
		}
		for i := range int(got) {
			b.vectors[i].SetLen(min(n, int(b.headers[i].len)))
		}
		unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.headers[0])), got, 0, 0, 0)
	}
}

// listenEcho opens the socket.
func listenEcho(at netip.AddrPort) (int, error) {
	family, local := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()})
	if at.Addr().Is6() {
		family, local = unix.AF_INET6, &unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20) // as anycastd has it
	if err := unix.Bind(fd, local); err != nil {
		return 0, fmt.Errorf("%s: %w", at, err)
	}
	return fd, nil
}
