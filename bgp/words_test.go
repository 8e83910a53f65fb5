package bgp

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
)

func TestConnectErrorIsToldInWords(t *testing.T) {
	dial := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", err)}
	}
	for _, tc := range []struct {
		err      error
		neighbor string
		want     string
	}{
		{dial(syscall.ECONNREFUSED), "192.0.2.2", "connection refused"},
		{dial(syscall.EHOSTUNREACH), "192.0.2.2", "no route to the neighbor, or no answer on the link"},
		{dial(syscall.ENETUNREACH), "192.0.2.2", "no route to the neighbor, or no answer on the link"},
		{dial(syscall.EADDRNOTAVAIL), "192.0.2.2", "the local address is not on this host"},
		{&net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}, "192.0.2.2", "no answer (unreachable, filtered, or TCP MD5 passwords that differ)"},
		{fmt.Errorf("x: %w", dial(syscall.ENOPROTOOPT)), "192.0.2.2", "connect: protocol not available"},
		{&net.OpError{Op: "dial", Err: fmt.Errorf("set the TCP MD5 key: %w", syscall.ENOPROTOOPT)}, "192.0.2.2", "set the TCP MD5 key: protocol not available"},
		{dial(syscall.EINVAL), "fe80::1%lo", "connect: invalid argument"},
		{dial(syscall.EINVAL), "fe80::1%nosuch0", "interface nosuch0 does not exist"},
		{io.ErrUnexpectedEOF, "192.0.2.2", "unexpected EOF"},
	} {
		s := session{Neighbor: Neighbor{Address: netip.MustParseAddr(tc.neighbor)}}
		if got := s.connectError(tc.err); got != tc.want {
			t.Errorf("%v: want %q, got %q", tc.err, tc.want, got)
		}
	}
}

func TestEndOfAConnectionIsToldInWords(t *testing.T) {
	lost := func(err error) error {
		return &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", err)}
	}
	for _, tc := range []struct {
		cause error
		want  string
	}{
		{refuse(openError, badPeerAS, nil, "its OPEN names AS 2, not 1"), "its OPEN names AS 2, not 1: we sent OPEN Message Error, Bad Peer AS"},
		{told{Code: ceaseError, Subcode: adminShutdown, Text: "bye"}, `neighbor sent Cease, Administrative Shutdown: "bye"`},
		{io.EOF, "connection closed by the neighbor"},
		{io.ErrUnexpectedEOF, "connection closed by the neighbor"},
		{lost(syscall.ECONNRESET), "connection closed by the neighbor"},
		{lost(syscall.EPIPE), "connection closed by the neighbor"},
		{lost(syscall.EHOSTUNREACH), "connection lost: read: no route to host"},
		{&net.OpError{Op: "write", Err: os.ErrDeadlineExceeded}, "the neighbor takes no more octets"},
	} {
		if got := endReason(tc.cause); got != tc.want {
			t.Errorf("%v: want %q, got %q", tc.cause, tc.want, got)
		}
	}
}
