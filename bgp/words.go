package bgp

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"

	gobgplog "github.com/osrg/gobgp/v3/pkg/log"
)

// loggedNotification describes the NOTIFICATION that GoBGP logged with fields.
func loggedNotification(fields gobgplog.Fields) string {
	if err, ok := fields["Data"].(error); ok {
		// Of what it rejects itself, GoBGP logs a text instead of codes.
		return "a notification: " + err.Error()
	}
	code, _ := fields["Code"].(uint8)
	subcode, _ := fields["Subcode"].(uint8)
	return notification{code, subcode, text(fields["Communicated-Reason"])}.String()
}

// errorName is the name of a NOTIFICATION's error code.
func errorName(code uint8) string {
	return name(code, "error code",
		"Message Header Error",        // RFC 4271 section 6.1
		"OPEN Message Error",          // RFC 4271 section 6.2
		"UPDATE Message Error",        // RFC 4271 section 6.3
		"Hold Timer Expired",          // RFC 4271 section 6.5
		"Finite State Machine Error",  // RFC 4271 section 6.6
		"Cease",                       // RFC 4271 section 6.7
		"ROUTE-REFRESH Message Error", // RFC 7313 section 5
	)
}

// subcodeName is the name of a NOTIFICATION's subcode, "" for "unspecific".
func subcodeName(code, subcode uint8) string {
	if subcode == 0 {
		return ""
	}
	switch code {
	case 1: // RFC 4271 section 6.1
		return name(subcode, "subcode", "Connection Not Synchronized", "Bad Message Length", "Bad Message Type")
	case 2: // RFC 4271 section 6.2; 7 by RFC 5492 section 5
		return name(subcode, "subcode", "Unsupported Version Number", "Bad Peer AS", "Bad BGP Identifier",
			"Unsupported Optional Parameter", "Authentication Failure", "Unacceptable Hold Time", "Unsupported Capability")
	case 3: // RFC 4271 section 6.3
		return name(subcode, "subcode", "Malformed Attribute List", "Unrecognized Well-known Attribute",
			"Missing Well-known Attribute", "Attribute Flags Error", "Attribute Length Error", "Invalid ORIGIN Attribute",
			"AS Routing Loop", "Invalid NEXT_HOP Attribute", "Optional Attribute Error", "Invalid Network Field", "Malformed AS_PATH")
	case 5: // RFC 6608 section 3
		return name(subcode, "subcode", "Unexpected Message in OpenSent", "Unexpected Message in OpenConfirm",
			"Unexpected Message in Established")
	case 6: // RFC 4486 section 3; 9 by RFC 8538 section 3, 10 by RFC 9384 section 3
		return name(subcode, "subcode", "Maximum Number of Prefixes Reached", "Administrative Shutdown", "Peer De-configured",
			"Administrative Reset", "Connection Rejected", "Other Configuration Change", "Connection Collision Resolution",
			"Out of Resources", "Hard Reset", "BFD Down")
	}
	return name(subcode, "subcode")
}

// name is the n-th of names, counted from 1, or what it is and its number.
func name(n uint8, what string, names ...string) string {
	if n == 0 || int(n) > len(names) {
		return fmt.Sprintf("%s %d", what, n)
	}
	return names[n-1]
}

// stateName is RFC 4271's name (section 8.2.2) of one of GoBGP's states.
func stateName(gobgp string) string {
	switch gobgp = strings.TrimPrefix(gobgp, "BGP_FSM_"); gobgp {
	case "IDLE":
		return idle
	case "CONNECT":
		return "Connect"
	case "ACTIVE":
		return "Active"
	case "OPENSENT":
		return "OpenSent"
	case "OPENCONFIRM":
		return "OpenConfirm"
	case "ESTABLISHED":
		return established
	}
	return gobgp
}

// endReason is GoBGP's reason for a session's end in words; "" for one that is
// no error or that a notification tells better.
func endReason(gobgp string) string {
	switch gobgp {
	case "read-failed":
		return "connection closed by the neighbor"
	case "write-failed":
		return "connection lost while sending"
	case "hold-timer-expired":
		return "hold timer expired"
	case "invalid-msg":
		return "unexpected message from the neighbor"
	}
	return ""
}

// connectError is why a connection to a neighbor could not be made, without the
// addresses that its own says already.
func connectError(err error, neighbor string) string {
	var timeout net.Error
	switch _, zone, _ := strings.Cut(neighbor, "%"); {
	case errors.Is(err, syscall.EINVAL) && zone != "" && !isInterface(zone):
		return "interface " + zone + " does not exist"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route to the neighbor, or no answer on the link"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "the local address is not on this host"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer (unreachable, filtered, or TCP MD5 passwords that differ)"
	}
	return "connect: " + cause(err).Error()
}

// isInterface reports whether this host has an interface of that name.
func isInterface(name string) bool {
	_, err := net.InterfaceByName(name)
	return err == nil
}

// cause unwraps err to its innermost error.
func cause(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}
