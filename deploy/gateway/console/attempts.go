package console

import (
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// attempts bounds how often one address may try to sign in. A key can't be guessed; this is so that nobody keeps the
// server busy with trying.
type attempts struct {
	mutex    sync.Mutex
	limiters map[string]*rate.Limiter
}

const (
	attemptsAtOnce  = 10
	attemptInterval = 6 * time.Second
	// Of addresses that are remembered.
	maxAddresses = 10_000
)

func newAttempts() *attempts { return &attempts{limiters: map[string]*rate.Limiter{}} }

// allow counts an attempt from the address; or it says how long to wait.
func (a *attempts) allow(address string, now time.Time) (time.Duration, bool) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	network := networkOf(address)
	limiter := a.limiters[network]
	if limiter == nil {
		a.makeRoom(now)
		limiter = rate.NewLimiter(rate.Every(attemptInterval), attemptsAtOnce)
		a.limiters[network] = limiter
	}
	reservation := limiter.ReserveN(now, 1)
	if wait := reservation.DelayFrom(now); wait > 0 {
		reservation.CancelAt(now)
		return wait, false
	}
	return 0, true
}

// makeRoom forgets those that have all their attempts again; where that is nobody, everybody. Whoever has ten thousand
// addresses is not held up by this anyway.
func (a *attempts) makeRoom(now time.Time) {
	if len(a.limiters) < maxAddresses {
		return
	}
	for network, limiter := range a.limiters {
		if limiter.TokensAt(now) >= attemptsAtOnce {
			delete(a.limiters, network)
		}
	}
	if len(a.limiters) >= maxAddresses {
		clear(a.limiters)
	}
}

// networkOf is what one person has: an IPv4 address, or an IPv6 network of 64 bits.
func networkOf(address string) string {
	parsed, err := netip.ParseAddr(address)
	if err != nil || parsed.Is4() {
		return address
	}
	block, err := parsed.Prefix(64)
	if err != nil {
		return address
	}
	return block.String()
}
