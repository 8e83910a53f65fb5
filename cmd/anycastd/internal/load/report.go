package load

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// SignatureHeader holds a report's HMAC-SHA256 (RFC 2104) in hexadecimal.
const SignatureHeader = "Anycastd-Signature"

// reportPath is where reports are posted.
const reportPath = "/v1/report"

// maxReport is the length of a report in octets.
const maxReport = 4096

// Report is what a gateway says of itself.
type Report struct {
	Gateway  string
	Sessions int     // IKE SAs, half-open ones included
	Capacity int     // sessions; 0: that of the front-end's configuration
	CPU      float64 // share in use, 0 to 1; below 0: unknown
	Draining bool    // no newcomers, please
	Seq      int64   // Unix time in milliseconds, by the gateway's clock
}

// Append appends r's JSON form to dst.
func (r *Report) Append(dst []byte) []byte {
	wire := struct {
		Gateway  string   `json:"gateway"`
		Sessions int      `json:"sessions"`
		Capacity int      `json:"capacity,omitempty"`
		CPU      *float64 `json:"cpu,omitempty"`
		Draining bool     `json:"draining,omitempty"`
		Seq      int64    `json:"seq"`
	}{Gateway: r.Gateway, Sessions: r.Sessions, Capacity: r.Capacity, Draining: r.Draining, Seq: r.Seq}
	if r.CPU >= 0 {
		wire.CPU = &r.CPU
	}
	text, _ := json.Marshal(wire) // fails for no share of a CPU
	return append(dst, text...)
}

// sign returns body's HMAC-SHA256.
func sign(secret, body []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return mac.Sum(nil)
}

// parseReport reads a report. Unknown members are ignored, so that newer
// gateways can report to older front-ends.
func parseReport(body []byte) (r Report, no *refusal) {
	members, err := parseObject(body)
	if err != nil {
		return r, &refusal{Syntax, err.Error()}
	}
	r.Gateway, err = parseName(members["gateway"])
	errs := []error{err}
	r.Sessions, err = parseCount(members, "sessions", true)
	errs = append(errs, err)
	r.Capacity, err = parseCount(members, "capacity", false)
	errs = append(errs, err)
	r.CPU, err = parseShare(members["cpu"])
	errs = append(errs, err)
	r.Draining, err = parseBool(members["draining"])
	errs = append(errs, err)
	r.Seq, err = parseSeq(members["seq"])
	for _, err := range append(errs, err) {
		if err != nil {
			return Report{}, &refusal{Figures, err.Error()}
		}
	}
	return r, nil
}

// parseObject returns the members of body's one JSON object (RFC 8259 section 4).
func parseObject(body []byte) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("the body is not a JSON object: it begins with %s", quote(string(body)))
	}
	members := map[string]json.RawMessage{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, misread(dec, err)
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, misread(dec, err)
		}
		key, _ := name.(string) // Token takes nothing else here
		if members[key] != nil {
			return nil, fmt.Errorf("%s stands there twice", quote(key))
		}
		members[key] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, misread(dec, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("there is more behind the JSON object, from octet %d", dec.InputOffset())
	}
	return members, nil
}

// misread says where the JSON goes wrong.
func misread(dec *json.Decoder, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the body ends too early")
	}
	return fmt.Errorf("the body is not JSON, behind octet %d: %w", dec.InputOffset(), err)
}

// parseName reads the gateway's name.
func parseName(value json.RawMessage) (name string, err error) {
	if value == nil {
		return "", errors.New("gateway is missing")
	}
	if json.Unmarshal(value, &name) != nil || name == "" {
		return "", fmt.Errorf("gateway: %s is no name", quote(string(value)))
	}
	return name, nil
}

// parseCount reads a number of sessions; 0 if it is absent and may be.
func parseCount(members map[string]json.RawMessage, name string, needed bool) (int, error) {
	value := members[name]
	if value == nil && needed {
		return 0, fmt.Errorf("%s is missing", name)
	}
	if value == nil {
		return 0, nil
	}
	n, err := strconv.ParseUint(string(value), 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%s: %s is not a whole number from 0 to %d", name, quote(string(value)), maxFigure)
	}
	return int(n), nil
}

// parseShare reads the share of the CPU in use; -1 if it is absent.
func parseShare(value json.RawMessage) (float64, error) {
	if value == nil {
		return -1, nil
	}
	share, err := strconv.ParseFloat(string(value), 64)
	if err != nil || !(share >= 0 && share <= 1) {
		return 0, fmt.Errorf("cpu: %s is not a number from 0 to 1", quote(string(value)))
	}
	return share, nil
}

// parseBool reads whether the gateway is draining; absent means it is not.
func parseBool(value json.RawMessage) (bool, error) {
	switch string(value) {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	}
	return false, fmt.Errorf("draining: %s is neither true nor false", quote(string(value)))
}

// parseSeq reads the sender's time.
func parseSeq(value json.RawMessage) (int64, error) {
	if value == nil {
		return 0, errors.New("seq is missing")
	}
	n, err := strconv.ParseUint(string(value), 10, 53) // what every JSON parser keeps exactly
	if err != nil {
		return 0, fmt.Errorf("seq: %s is not the Unix time in milliseconds", quote(string(value)))
	}
	return int64(n), nil
}
