package bgp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"

	gobgplog "github.com/osrg/gobgp/v3/pkg/log"
)

func TestNotificationIsToldInWords(t *testing.T) {
	for want, fields := range map[string]gobgplog.Fields{
		"Cease, Administrative Shutdown":                  {"Code": uint8(6), "Subcode": uint8(2), "Data": []byte(nil)},
		`Cease, Administrative Reset: "back in 5"`:        {"Code": uint8(6), "Subcode": uint8(4), "Communicated-Reason": "back in 5"},
		`Cease, Administrative Shutdown: "\x1b[2J\xff\n"`: {"Code": uint8(6), "Subcode": uint8(2), "Communicated-Reason": "\x1b[2J\xff\n"},
		"Cease":                                   {"Code": uint8(6), "Subcode": uint8(0)},
		"Cease, BFD Down":                         {"Code": uint8(6), "Subcode": uint8(10)},
		"Cease, subcode 99":                       {"Code": uint8(6), "Subcode": uint8(99)},
		"OPEN Message Error, Bad Peer AS":         {"Code": uint8(2), "Subcode": uint8(2)},
		"UPDATE Message Error, Malformed AS_PATH": {"Code": uint8(3), "Subcode": uint8(11)},
		"Message Header Error, Bad Message Type":  {"Code": uint8(1), "Subcode": uint8(3)},
		"Finite State Machine Error, Unexpected Message in Established": {"Code": uint8(5), "Subcode": uint8(3)},
		"Hold Timer Expired":                     {"Code": uint8(4), "Subcode": uint8(0)},
		"ROUTE-REFRESH Message Error, subcode 1": {"Code": uint8(7), "Subcode": uint8(1)},
		"error code 0":                           {},
		"error code 200, subcode 7":              {"Code": uint8(200), "Subcode": uint8(7)},
		"a notification: as number mismatch":     {"Data": errors.New("as number mismatch")},
	} {
		if got := loggedNotification(fields); got != want {
			t.Errorf("%v: want %q, got %q", fields, want, got)
		}
	}
}

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
		{dial(syscall.EINVAL), "192.0.2.2", "connect: invalid argument"},
		{dial(syscall.EINVAL), "fe80::1%lo", "connect: invalid argument"},
		{dial(syscall.EINVAL), "fe80::1%nosuch0", "interface nosuch0 does not exist"},
		{dial(syscall.ECONNREFUSED), "fe80::1%nosuch0", "connection refused"},
	} {
		if got := connectError(tc.err, tc.neighbor); got != tc.want {
			t.Errorf("%v: want %q, got %q", tc.err, tc.want, got)
		}
	}
}
