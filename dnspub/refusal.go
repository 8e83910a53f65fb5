package dnspub

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	miekgdns "github.com/miekg/dns"
)

// tsigError returns the error field of an answer's TSIG (RFC 8945 section 4.2).
func tsigError(r *miekgdns.Msg) uint16 {
	if t := r.IsTsig(); t != nil {
		return t.Error
	}
	return 0
}

// refusal says in an operator's words why a server did not do what it was
// asked to, in a message signed at the given time.
func refusal(r *miekgdns.Msg, key TSIG, signed time.Time) error {
	switch tsigError(r) {
	case miekgdns.RcodeBadSig: // RFC 8945 section 5.2.2
		return fmt.Errorf("the secret of key %s is not the one that the server has (BADSIG)", key.Name)
	case miekgdns.RcodeBadKey: // RFC 8945 section 5.2.1
		return fmt.Errorf("the server does not know key %s with algorithm %s (BADKEY)", key.Name, strings.TrimSuffix(key.Algorithm, "."))
	case miekgdns.RcodeBadTime: // RFC 8945 section 5.2.3
		return badTime(r.IsTsig(), signed)
	case miekgdns.RcodeBadTrunc: // RFC 8945 section 5.2.4
		return fmt.Errorf("the server wants longer signatures of key %s (BADTRUNC)", key.Name)
	}
	if r.Opcode == miekgdns.OpcodeUpdate {
		return updateRefusal(r.Rcode, key)
	}
	switch r.Rcode {
	case miekgdns.RcodeRefused:
		return errors.New("the server does not answer us questions about this zone (REFUSED)")
	case miekgdns.RcodeServerFailure:
		return errors.New("the server cannot answer (SERVFAIL): has it loaded the zone?")
	case miekgdns.RcodeNotAuth:
		return errors.New("the server does not have this zone (NOTAUTH)")
	}
	return other(r.Rcode)
}

// badTime tells the difference of the clocks. The server's is in the other data,
// 48 bits of seconds.
func badTime(t *miekgdns.TSIG, signed time.Time) error {
	server, err := strconv.ParseInt(t.OtherData, 16, 64)
	if err != nil {
		return errors.New("the clocks of this host and of the server differ too much (BADTIME)")
	}
	ahead := time.Duration(signed.Unix()-server) * time.Second
	if ahead < 0 {
		return fmt.Errorf("the clocks differ by %v, this host's is behind; %d s are allowed (BADTIME)", -ahead, fudge)
	}
	return fmt.Errorf("the clocks differ by %v, this host's is ahead; %d s are allowed (BADTIME)", ahead, fudge)
}

// updateRefusal tells what a response code to an update means (RFC 2136
// section 2.2).
func updateRefusal(rcode int, key TSIG) error {
	switch {
	case rcode == miekgdns.RcodeRefused && key.Name == "":
		return errors.New("the server takes no updates of this without a key (REFUSED)")
	case rcode == miekgdns.RcodeRefused:
		return fmt.Errorf("the server does not grant key %s this update (REFUSED): see its update-policy or ACL", key.Name)
	case rcode == miekgdns.RcodeNotAuth && key.Name == "":
		return errors.New("the server is not the primary of this zone, or wants a key (NOTAUTH)")
	case rcode == miekgdns.RcodeNotAuth:
		return errors.New("the server is not the primary of this zone (NOTAUTH)")
	case rcode == miekgdns.RcodeNotZone:
		return errors.New("the name is not in the zone as the server has it (NOTZONE)")
	case rcode == miekgdns.RcodeNotImplemented:
		return errors.New("the server does no dynamic updates (NOTIMP)")
	case rcode == miekgdns.RcodeServerFailure:
		return errors.New("the server could not do it (SERVFAIL); its log tells why: a journal that it cannot write, or too many records of one name and type")
	}
	return other(rcode)
}

func other(rcode int) error {
	if name, ok := miekgdns.RcodeToString[rcode]; ok {
		return fmt.Errorf("the server answered %s", name)
	}
	return fmt.Errorf("the server answered with code %d", rcode)
}
