package main

import (
	"os"
	"strconv"
	"strings"

	"github.com/anycastd/anycastd/ikefront"
)

// udpErrors reads why the kernel has dropped datagrams at this network
// namespace's sockets; zeros if it does not tell.
func udpErrors() (ipv4, ipv6 ikefront.UDPErrors) {
	snmp, _ := os.ReadFile("/proc/net/snmp")
	snmp6, _ := os.ReadFile("/proc/net/snmp6")
	return udpErrors4(string(snmp)), udpErrors6(string(snmp6))
}

// udpErrors4 reads /proc/net/snmp: a line of names, then one of numbers.
func udpErrors4(text string) (e ikefront.UDPErrors) {
	var names []string
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] != "Udp:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		for i := range min(len(names), len(fields)) {
			countUDP(&e, names[i], fields[i])
		}
	}
	return e
}

// udpErrors6 reads /proc/net/snmp6: a name and a number on each line.
func udpErrors6(text string) (e ikefront.UDPErrors) {
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) == 2 && strings.HasPrefix(fields[0], "Udp6") {
			countUDP(&e, strings.TrimPrefix(fields[0], "Udp6"), fields[1])
		}
	}
	return e
}

// countUDP reads a counter into e, if it has it.
func countUDP(e *ikefront.UDPErrors, name, number string) {
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return
	}
	switch name {
	case "RcvbufErrors":
		e.QueueFull = n
	case "InCsumErrors":
		e.BadChecksum = n
	}
}
