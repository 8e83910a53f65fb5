package main

import (
	"os"
	"testing"

	"github.com/anycastd/anycastd/ikefront"
)

func TestUDPErrorsAreReadFromTheKernelsTables(t *testing.T) {
	want := ikefront.UDPErrors{QueueFull: 7, BadChecksum: 3}
	snmp := "Ip: Forwarding\nIp: 1\nUdp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors\nUdp: 9 8 10 6 7 5 3\nUdpLite: RcvbufErrors\nUdpLite: 99\n"
	if got := udpErrors4(snmp); got != want {
		t.Errorf("IPv4: want %v, got %v", want, got)
	}
	snmp6 := "Ip6InReceives                   \t1\nUdp6RcvbufErrors                \t7\nUdp6InCsumErrors                \t3\nUdpLite6RcvbufErrors            \t99\n"
	if got := udpErrors6(snmp6); got != want {
		t.Errorf("IPv6: want %v, got %v", want, got)
	}
	for _, bad := range []string{"", "Udp:", "Udp: RcvbufErrors\nUdp: many\n", "Udp6RcvbufErrors many\n", "Udp6RcvbufErrors"} {
		if got := udpErrors4(bad); got != (ikefront.UDPErrors{}) {
			t.Errorf("%q: got %v", bad, got)
		}
		if got := udpErrors6(bad); got != (ikefront.UDPErrors{}) {
			t.Errorf("%q: got %v", bad, got)
		}
	}
	if _, err := os.Stat("/proc/net/snmp"); err == nil {
		udpErrors()
	}
}
