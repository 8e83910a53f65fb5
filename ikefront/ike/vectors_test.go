package ike

import (
	"bytes"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// vectors returns the datagrams of real peers in a folder of testdata, by
// peer, version and case.
func vectors(t testing.TB, folder string) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", folder, "*.bin"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors in %s: %v", folder, err)
	}
	found := map[string][]byte{}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found[strings.TrimSuffix(filepath.Base(file), ".bin")] = b
	}
	return found
}

// unmark cuts off the non-ESP marker, if there is one.
func unmark(b []byte) (message []byte, marked bool) {
	return bytes.CutPrefix(b, make([]byte, MarkerLen))
}

// checkNames wants a row of the table for each vector, and no others.
func checkNames[V any](t *testing.T, rows map[string]V, found map[string][]byte) {
	t.Helper()
	if diff := cmp.Diff(slices.Sorted(maps.Keys(rows)), slices.Sorted(maps.Keys(found))); diff != "" {
		t.Fatalf("vectors (-rows +files):\n%s", diff)
	}
}

func TestParseRequestReadsRealClients(t *testing.T) {
	type row struct {
		Octets            int // of the datagram
		Marked, Supported bool
		From              string // of REDIRECTED_FROM
		Cookie            int    // octets
	}
	rows := map[string]row{
		"strongswan-5.9.8-ipv4":                   {Octets: 940, Supported: true},
		"strongswan-5.9.8-ipv6":                   {Octets: 940, Supported: true},
		"strongswan-5.9.8-redirected-ipv4":        {Octets: 946, Supported: true, From: "203.0.113.1"},
		"strongswan-5.9.8-redirected-ipv6":        {Octets: 958, Supported: true, From: "2001:db8:a::1"},
		"strongswan-5.9.8-cookie":                 {Octets: 980, Supported: true, Cookie: 32},
		"strongswan-5.9.8-redirected-with-cookie": {Octets: 986, Supported: true, From: "203.0.113.1", Cookie: 32},
		"strongswan-5.9.8-port-4500":              {Octets: 940, Supported: true},
		"strongswan-5.9.8-port-4500-marker":       {Octets: 944, Marked: true, Supported: true},
		"strongswan-5.9.8-one-proposal":           {Octets: 240, Supported: true},
		"strongswan-5.9.8-no-redirect":            {Octets: 932},
		"strongswan-5.9.8-modp2048":               {Octets: 1164, Supported: true},
		"libreswan-4.10-ipv4":                     {Octets: 836, Supported: true},
		"libreswan-4.10-ipv6":                     {Octets: 836, Supported: true},
		"libreswan-4.10-redirected-ipv4":          {Octets: 842, Supported: true, From: "203.0.113.1"},
		"libreswan-4.10-redirected-ipv6":          {Octets: 854, Supported: true, From: "2001:db8:a::1"},
		"libreswan-4.10-redirected-curve25519":    {Octets: 618, Supported: true, From: "203.0.113.1"},
		"libreswan-4.10-cookie":                   {Octets: 876, Supported: true, Cookie: 32},
		"libreswan-4.10-cookie-of-strongswan":     {Octets: 868, Supported: true, Cookie: 24},
		"libreswan-4.10-port-4500-marker":         {Octets: 840, Marked: true, Supported: true},
		"libreswan-4.10-one-proposal":             {Octets: 256, Supported: true},
		"libreswan-4.10-no-redirect":              {Octets: 828},
	}
	found := vectors(t, "requests")
	checkNames(t, rows, found)
	for name, want := range rows {
		t.Run(name, func(t *testing.T) {
			message, marked := unmark(found[name])
			r, err := ParseRequest(message)
			if err != nil {
				t.Fatal(err)
			}
			got := row{len(found[name]), marked, r.Supported, "", len(r.Cookie)}
			if r.From.IsValid() {
				got.From = r.From.String()
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
			if len(r.Nonce) != 32 {
				t.Errorf("want a nonce of 32 octets, got %x", r.Nonce)
			}
		})
	}
}

func TestParseResponseReadsRealPeers(t *testing.T) {
	type row struct {
		Octets       int // of the datagram
		Marked, SPIr bool
		Payloads     []uint8
		First        NotifyType
		To           GatewayID // of REDIRECT
	}
	accepted := []uint8{PayloadSA, PayloadKE, PayloadNonce, PayloadNotify, PayloadNotify, PayloadNotify, PayloadNotify, PayloadNotify, PayloadNotify}
	alone := accepted[3:4]
	gw4, gw6 := GatewayID{Addr: netip.MustParseAddr("198.51.100.2")}, GatewayID{Addr: netip.MustParseAddr("2001:db8:61::2")}
	rows := map[string]row{
		"strongswan-5.9.8-accepted":                     {248, false, true, accepted, natDetectionSource, GatewayID{}},
		"strongswan-5.9.8-invalid-ke-payload":           {38, false, false, alone, InvalidKEPayload, GatewayID{}},
		"strongswan-5.9.8-cookie":                       {60, false, false, alone, Cookie, GatewayID{}},
		"strongswan-5.9.8-no-proposal-chosen":           {36, false, false, alone, NoProposalChosen, GatewayID{}},
		"strongswan-5.9.8-invalid-syntax":               {36, false, true, alone, InvalidSyntax, GatewayID{}},
		"strongswan-5.9.8-invalid-major-version":        {36, false, false, alone, InvalidMajorVersion, GatewayID{}},
		"strongswan-5.9.8-unsupported-critical-payload": {37, false, true, alone, UnsupportedCriticalPayload, GatewayID{}},
		"libreswan-4.10-accepted":                       {440, false, true, accepted[:7], fragmentationSupported, GatewayID{}},
		"libreswan-4.10-invalid-ke-payload":             {38, false, true, alone, InvalidKEPayload, GatewayID{}},
		"libreswan-4.10-cookie":                         {68, false, false, alone, Cookie, GatewayID{}},
		"libreswan-4.10-no-proposal-chosen":             {36, false, true, alone, NoProposalChosen, GatewayID{}},
		"libreswan-4.10-invalid-syntax":                 {36, false, false, alone, InvalidSyntax, GatewayID{}},
		"libreswan-4.10-invalid-major-version":          {36, false, false, alone, InvalidMajorVersion, GatewayID{}},
		"libreswan-4.10-unsupported-critical-payload":   {37, false, false, alone, UnsupportedCriticalPayload, GatewayID{}},
		"libreswan-4.10-redirect-ipv4":                  {74, false, false, alone, Redirect, gw4},
		"libreswan-4.10-redirect-ipv6":                  {86, false, false, alone, Redirect, gw6},
		"libreswan-4.10-redirect-fqdn":                  {89, false, false, alone, Redirect, GatewayID{FQDN: "gw1.gw.example.test"}},
		"libreswan-4.10-redirect-port-4500-marker":      {78, true, false, alone, Redirect, gw4},
		"libreswan-4.10-redirect-to-strongswan":         {74, false, false, alone, Redirect, gw4},
		"libreswan-4.10-redirect-after-cookie":          {74, false, false, alone, Redirect, gw4},
	}
	found := vectors(t, "responses")
	checkNames(t, rows, found)
	for name, want := range rows {
		t.Run(name, func(t *testing.T) {
			r, marked := parseVector(t, found[name])
			to, _, _ := r.Redirect()
			got := row{len(found[name]), marked, r.SPIr != 0, r.Payloads, r.Notifies[0].Type, to}
			if diff := cmp.Diff(want, got, addrs); diff != "" {
				t.Errorf("response (-want +got):\n%s", diff)
			}
		})
	}
}

// Notify types of the gateways' answers that the package itself has no use for.
const (
	natDetectionSource     NotifyType = 16388 // RFC 7296 section 2.23
	fragmentationSupported NotifyType = 16430 // RFC 7383 section 2.3
)

// parseVector reads a response, by the initiator's SPI that it has.
func parseVector(t *testing.T, datagram []byte) (Response, bool) {
	t.Helper()
	message, marked := unmark(datagram)
	h, _ := ParseHeader(message)
	r, err := ParseResponse(message, h.SPIi)
	if err != nil {
		t.Fatal(err)
	}
	return r, marked
}

// TestARealFrontEndAndItsClientsAgreeWithUs: what libreswan echoes is what we
// read of the request, and the REDIRECT is ours octet by octet.
func TestARealFrontEndAndItsClientsAgreeWithUs(t *testing.T) {
	requests, responses := vectors(t, "requests"), vectors(t, "responses")
	for request, response := range map[string]string{
		"strongswan-5.9.8-ipv4":           "libreswan-4.10-redirect-to-strongswan",
		"libreswan-4.10-ipv4":             "libreswan-4.10-redirect-ipv4",
		"libreswan-4.10-ipv6":             "libreswan-4.10-redirect-ipv6",
		"libreswan-4.10-cookie":           "libreswan-4.10-redirect-after-cookie",
		"libreswan-4.10-port-4500-marker": "libreswan-4.10-redirect-port-4500-marker",
	} {
		in, _ := unmark(requests[request])
		want, _ := unmark(responses[response])
		r, err := ParseRequest(in)
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := parseVector(t, want)
		to, _, _ := answer.Redirect()
		if got := AppendRedirect(nil, &r, to); !bytes.Equal(want, got) {
			t.Errorf("%s: want %x, got %x", request, want, got)
		}
	}
	for request, response := range map[string]string{
		"libreswan-4.10-cookie":               "libreswan-4.10-cookie",
		"libreswan-4.10-cookie-of-strongswan": "strongswan-5.9.8-cookie",
	} {
		want, _ := parseVector(t, responses[response])
		if r, err := ParseRequest(requests[request]); err != nil || !bytes.Equal(want.Notifies[0].Data, r.Cookie) {
			t.Errorf("%s: want cookie %x, got %x, %v", request, want.Notifies[0].Data, r.Cookie, err)
		}
	}
}
