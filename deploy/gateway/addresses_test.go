package main

import (
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"authurl/deploy/gateway/gen/authurlv1"
)

func TestTheClientsAddressIsNobodysInvention(t *testing.T) {
	some, err := parseAddressBlocks("10.0.0.0/8,192.0.2.7/32,fd00::/8,::1/128")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		blocks            addressBlocks
		remote, forwarded string
		want              string
	}{
		{nil, "203.0.113.9:1234", "6.6.6.6", "203.0.113.9"},
		{nil, "10.0.0.1:1234", "6.6.6.6", "10.0.0.1"},
		{some, "203.0.113.9:1234", "6.6.6.6", "203.0.113.9"},
		{some, "10.0.0.1:1234", "", "10.0.0.1"},
		{some, "10.0.0.1:1234", "203.0.113.9", "203.0.113.9"},
		{some, "10.0.0.1:1234", "6.6.6.6, 203.0.113.9", "203.0.113.9"},
		{some, "10.0.0.1:1234", "6.6.6.6, 203.0.113.9 , 10.1.2.3,192.0.2.7", "203.0.113.9"},
		{some, "10.0.0.1:1234", "6.6.6.6,192.0.2.8", "192.0.2.8"},
		{some, "10.0.0.1:1234", "10.9.9.9", "10.9.9.9"},
		{some, "10.0.0.1:1234", "10.9.9.9, 10.0.0.2", "10.9.9.9"},
		// What can't be read ends it: who stands before it nobody has vouched for.
		{some, "10.0.0.1:1234", "6.6.6.6, unknown", "10.0.0.1"},
		{some, "10.0.0.1:1234", "6.6.6.6, <script>, 10.0.0.2", "10.0.0.2"},
		{some, "10.0.0.1:1234", "6.6.6.6,", "10.0.0.1"},
		{some, "10.0.0.1:1234", "6.6.6.6 7.7.7.7", "10.0.0.1"},
		{some, "10.0.0.1:1234", "010.0.0.1", "10.0.0.1"},
		{some, "10.0.0.1:1234", "203.0.113.9:443", "203.0.113.9"},
		{some, "10.0.0.1:1234", "2001:db8::1", "2001:db8::1"},
		{some, "10.0.0.1:1234", "[2001:db8::1]:443", "2001:db8::1"},
		{some, "10.0.0.1:1234", "[2001:DB8:0::1]", "2001:db8::1"},
		{some, "10.0.0.1:1234", "6.6.6.6, ::ffff:10.0.0.2", "6.6.6.6"},
		{some, "10.0.0.1:1234", "::ffff:203.0.113.9", "203.0.113.9"},
		{some, "[fd00::1%eth0]:1234", "fe80::1%eth0", "fe80::1"},
		{some, "[::1]:1234", "203.0.113.9", "203.0.113.9"},
		{some, "[::ffff:10.0.0.1]:1234", "203.0.113.9", "203.0.113.9"},
		{some, "@", "203.0.113.9", ""},
		{some, "", "203.0.113.9", ""},
	} {
		r := &http.Request{RemoteAddr: test.remote, Header: http.Header{}}
		if test.forwarded != "" {
			r.Header.Set("X-Forwarded-For", test.forwarded)
		}
		if got := test.blocks.clientAddress(r); got != test.want {
			t.Errorf("%s, %q: %s", test.remote, test.forwarded, got)
		}
	}
	// Several lines are one list.
	r := &http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{"X-Forwarded-For": {"6.6.6.6", "203.0.113.9, 10.0.0.2", "10.0.0.3"}}}
	if got := some.clientAddress(r); got != "203.0.113.9" {
		t.Error(got)
	}

	server := &fakeServer{}
	address := server.start(t)
	server.answerSocial(&hostedReply{Outcome: authurlv1.CompleteHostedAuthResponse_OUTCOME_CONNECTED}, nil)
	for flag, want := range map[string]string{"--trusted_proxies=": "127.0.0.1", "--trusted_proxies=10.0.0.0/8": "127.0.0.1", "--trusted_proxies=fd00::/8,127.0.0.0/8": "203.0.113.9"} {
		g := startGateway(t, "--upstream="+address, flag)
		comeBack(t, g, "GET", hostedPath, "", "X-Forwarded-For", "6.6.6.6", "X-Forwarded-For", "203.0.113.9", "Forwarded", "for=7.7.7.7", "X-Real-Ip", "8.8.8.8")
		if got, _ := server.last(); got.(*authurlv1.CompleteHostedAuthRequest).GetClientAddress() != want {
			t.Errorf("%s: %v", flag, got)
		}
	}
}

func TestBlocksOfAddressesAreWrittenRight(t *testing.T) {
	none := func(string) (string, bool) { return "", false }
	for argument, want := range map[string]string{
		"--trusted_proxies=10.0.0.1":             `"10.0.0.1" is not a block of addresses such as 10.0.0.0/8`,
		"--trusted_proxies=10.0.0.0/8, fd00::/8": `" fd00::/8" is not a block of addresses`,
		"--trusted_proxies=10.1.2.3/8":           `"10.1.2.3/8" has an address that is not the first of its block: is 10.0.0.0/8 meant?`,
		"--trusted_proxies=::ffff:10.0.0.0/104":  `is IPv4 written as IPv6`,
		"--trusted_proxies=10.0.0.0/8,":          `"" is not a block of addresses`,
		"--trusted_proxies=*":                    `"*" is not a block of addresses`,
	} {
		if _, err := readConfig([]string{argument}, none, io.Discard); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", argument, err)
		}
	}
	environment := func(name string) (string, bool) {
		return "10.0.0.0/8,fd00::/8", name == "AUTHURL_GATEWAY_TRUSTED_PROXIES"
	}
	if c, err := readConfig(nil, environment, io.Discard); err != nil ||
		!slices.Equal(c.trustedProxies, addressBlocks{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}) {
		t.Error(err, c.trustedProxies)
	}
}
