package main

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// addressBlocks are where the proxies are whose word counts (--trusted_proxies).
type addressBlocks []netip.Prefix

func parseAddressBlocks(text string) (addressBlocks, error) {
	if text == "" {
		return nil, nil
	}
	var blocks addressBlocks
	for each := range strings.SplitSeq(text, ",") {
		block, err := netip.ParsePrefix(each)
		if err != nil {
			return nil, fmt.Errorf("%q is not a block of addresses such as 10.0.0.0/8 or fd00::/8", each)
		}
		if block != block.Masked() {
			return nil, fmt.Errorf("%q has an address that is not the first of its block: is %s meant?", each, block.Masked())
		}
		if block.Addr().Is4In6() {
			return nil, fmt.Errorf("%q is IPv4 written as IPv6: write it as IPv4", each)
		}
		blocks = append(blocks, block)
	}
	return blocks, nil
}

func (b addressBlocks) have(address netip.Addr) bool {
	for _, block := range b {
		if block.Contains(address) {
			return true
		}
	}
	return false
}

// clientAddress is where a request comes from: the address of its connection, or, where a trusted proxy is there, what
// that one wrote at the end of X-Forwarded-For, and so on to the first address that is no trusted proxy's. What stands
// before it anybody can have written. Empty where the connection has none.
func (b addressBlocks) clientAddress(r *http.Request) string {
	address, ok := parseAddress(r.RemoteAddr)
	if !ok {
		return ""
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && b.have(address); i-- {
		next, ok := parseAddress(strings.Trim(hops[i], " \t"))
		if !ok {
			break // Who this is, nobody says.
		}
		address = next
	}
	return address.String()
}

// parseAddress takes an address as proxies write it: with or without a port, IPv6 with or without brackets.
func parseAddress(text string) (netip.Addr, bool) {
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	if bare, found := strings.CutPrefix(text, "["); found {
		text = strings.TrimSuffix(bare, "]")
	}
	address, err := netip.ParseAddr(text)
	return address.Unmap().WithZone(""), err == nil
}
