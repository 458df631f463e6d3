package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// harden keeps API keys and secrets in this process: the kernel writes no core file of it, and no other process of the
// same user may read its memory.
func harden() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("can't forbid core files: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("can't forbid others to read the memory: %w", err)
	}
	return nil
}
