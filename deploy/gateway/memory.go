package main

import (
	"log/slog"
	"os"
	"runtime/debug"
	"syscall"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// What the gateway needs besides what its bounds allow, and for each connection.
const (
	baseMiB       = 64
	connectionKiB = 24
)

// limitMemory tells Go's collector how much memory the process should take, and returns that in MiB: what the bounds add
// up to, and no more than 80% of what the container has. GOMEMLIMIT and GOGC in the environment win.
func limitMemory(c config) int64 {
	// What lives is a few megabytes most of the time, so Go's default would collect garbage every few hundred requests.
	// Near the limit it is collected as often as it takes.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimitMiB(c, memlimit.FromCgroup) << 20)
	}
	return debug.SetMemoryLimit(-1) >> 20
}

func memoryLimitMiB(c config, ofContainer func() (uint64, error)) int64 {
	if c.memoryLimitMiB > 0 {
		return int64(c.memoryLimitMiB)
	}
	// A body or reply is in memory twice: as it travels, and as the message that it is.
	limit := int64(baseMiB + 2*c.maxHeldMiB + c.maxConnections*connectionKiB/1024)
	if most, err := ofContainer(); err == nil {
		limit = min(limit, int64(most>>20)*8/10)
	}
	return limit
}

// Descriptors for what is no connection of a client.
const ownDescriptors = 64

// withinDescriptors has no more connections than the process may have files open: else the kernel would refuse new ones,
// and none of those that are there would give way.
func withinDescriptors(c config, log *slog.Logger) config {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur >= uint64(c.maxConnections+ownDescriptors) {
		return c
	}
	c.maxConnections = max(16, int(limit.Cur)-ownDescriptors)
	log.Warn("few_descriptors", "connections", c.maxConnections,
		"message", "the process may not open enough files for --max_connections: raise its limit (ulimit -n, LimitNOFILE)")
	return c
}
