package bgp

import "fmt"

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
