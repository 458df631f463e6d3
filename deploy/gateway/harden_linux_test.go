package main

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestNobodyElseMayReadTheMemory(t *testing.T) {
	if err := harden(); err != nil {
		t.Fatal(err)
	}
	if dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); dumpable != 0 || err != nil {
		t.Error(dumpable, err)
	}
}
