package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// holder names the process that holds a UDP endpoint or the wildcard of its
// port; "" if that can't be seen, for which another user's process needs root.
func holder(at netip.AddrPort) string {
	inode := socketInode(at)
	if inode == "" {
		return ""
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err != nil || target != "socket:["+inode+"]" {
			continue
		}
		pid := strings.Split(fd, "/")[2]
		name, _ := os.ReadFile(filepath.Join("/proc", pid, "comm"))
		return fmt.Sprintf("%s (process %s)", strings.TrimSpace(string(name)), pid)
	}
	return ""
}

// socketInode returns the inode of the UDP socket that stands in the way of
// at, as /proc/net/udp and udp6 list it: bound to its port, and to its address
// or to none.
func socketInode(at netip.AddrPort) string {
	text, _ := os.ReadFile("/proc/net/udp6") // its wildcard may take IPv4, too
	if at.Addr().Is4() {
		udp4, _ := os.ReadFile("/proc/net/udp")
		text = append(udp4, text...)
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 10 {
			continue
		}
		addr, port, _ := strings.Cut(fields[1], ":")
		if port == fmt.Sprintf("%04X", at.Port()) && (addr == procAddr(at.Addr()) || strings.Trim(addr, "0") == "") {
			return fields[9]
		}
	}
	return ""
}

// procAddr is a as /proc/net/udp writes it: each group of four octets as a
// number of this machine, which is little-endian wherever we run.
func procAddr(a netip.Addr) string {
	var s strings.Builder
	b := a.AsSlice()
	for i := 0; i < len(b); i += 4 {
		fmt.Fprintf(&s, "%02X%02X%02X%02X", b[i+3], b[i+2], b[i+1], b[i])
	}
	return s.String()
}
