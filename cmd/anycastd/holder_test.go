package main

import (
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
)

func TestTheHolderOfAPortIsNamed(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0", "0.0.0.0:0"} {
		conn, err := net.ListenPacket("udp", addr)
		if err != nil {
			t.Skipf("no %s here: %v", addr, err)
		}
		at := conn.LocalAddr().(*net.UDPAddr).AddrPort()
		if want, got := fmt.Sprintf("(process %d)", os.Getpid()), holder(at); !strings.Contains(got, want) && !at.Addr().IsUnspecified() {
			t.Errorf("%s: want %s, got %q", at, want, got)
		}
		conn.Close()
		if got := holder(at); got != "" {
			t.Errorf("%s, closed: got %q", at, got)
		}
	}
}
