// attack does to a server and a gateway of its own what was once seen to hurt them, and says whether it still does.
// README.md has the table and the commands.
package main

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"
)

// attack is one of them. It prints what it measured and returns what missed its bar.
type attack struct {
	what string
	run  func(length time.Duration) ([]string, error)
}

var attacks = map[string]attack{
	"faulty_bodies":   {"64 KiB of JSON with 32,000 faults, with and without a key, 8 at a time", faultyBodies},
	"held_memory":     {"8,000 bodies of 63 KiB that never end, 2,000 readers that never read", heldMemory},
	"half_handshakes": {"6,000 connections to the server's mTLS port that begin no handshake, or half of one", halfHandshakes},
	"long_scopes":     {"25 callers with one MINT key and the longest scopes that are taken, for a network whose states are stored", longScopes},
	"reply_bytes":     {"10,000 requests whose replies quote what net/http might write itself, to the gateway and through nginx", replyBytes},
}

func main() {
	length := flag.Duration("length", 10*time.Second, "how long each attack goes on")
	flag.BoolVar(&lenient, "lenient", false, "for machines that do other work too: what honest traffic keeps may be half of its bar")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: attack [-length 10s] [NAME...]; without a name all of them:")
		for _, name := range slices.Sorted(maps.Keys(attacks)) {
			fmt.Fprintf(os.Stderr, "  %-16s %s\n", name, attacks[name].what)
		}
	}
	flag.Parse()
	names := flag.Args()
	if len(names) == 0 {
		names = slices.Sorted(maps.Keys(attacks))
	}
	code := 0
	for _, name := range names {
		a, found := attacks[name]
		if !found {
			fmt.Fprintf(os.Stderr, "attack: there is no attack %q; see --help\n", name)
			os.Exit(2)
		}
		fmt.Printf("%s: %s\n", name, a.what)
		missed, err := a.run(*length)
		if errors.Is(err, errTooBusy) {
			fmt.Println("SKIPPED:", err)
			os.Exit(77)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "attack:", err)
			os.Exit(2)
		}
		for _, problem := range missed {
			fmt.Printf("  MISSED: %s\n", problem)
			code = 1
		}
	}
	os.Exit(code)
}

// Where other programs need the machine as well, honest traffic keeps less whatever the attack does. What hurts it does so
// by far more than half; bars of bytes are as they are.
var lenient bool

func bar(share float64) float64 {
	if lenient {
		return share / 2
	}
	return share
}

// Other programs need the machine: what an attack does can't be told from what they do.
var errTooBusy = errors.New("the machine is too busy to serve honest traffic even without an attack; try again when it is not")

// measured is what an attack did to honest traffic and to the program that it was on.
type measured struct {
	before, during sample
	kept           float64
	rssBefore      int
	rssMost        int
	recovery       time.Duration
}

// measure runs an attack beside honest traffic. `begin` starts it and returns how to end it.
func measure(h *house, victim *program, length time.Duration, begin func() (end func())) (measured, error) {
	traffic := startHonest(h)
	defer traffic.stop()
	var m measured
	for try := 0; m.before.perSecond < 0.9*honestRate; try++ {
		if try == 5 && !lenient {
			return m, errTooBusy
		}
		if try == 5 {
			break
		}
		traffic.during(500 * time.Millisecond)
		m.before = traffic.during(min(length, 3*time.Second))
	}
	m.rssBefore, _ = victim.rssMiB()
	end := begin()
	m.during = traffic.during(length)
	end()
	m.recovery = traffic.untilWell(20 * time.Second)
	_, m.rssMost = victim.rssMiB()
	m.kept = m.during.perSecond / m.before.perSecond
	fmt.Printf("  honest calls/s %.0f before, %.0f during: kept %.2f; failed %d; slowest %s before, %s during\n",
		m.before.perSecond, m.during.perSecond, m.kept, m.during.failed, m.before.worst.Round(time.Millisecond), m.during.worst.Round(time.Millisecond))
	fmt.Printf("  fresh connections served within %s: %d of %d; recovery %s\n", honestPatience, m.during.fresh, m.during.tried, m.recovery.Round(time.Millisecond))
	fmt.Printf("  RSS of the %s: %d MiB before, %d MiB at most\n", victim.name, m.rssBefore, m.rssMost)
	return m, nil
}

// misses collects what missed its bar.
type misses []string

func (m *misses) unless(reached bool, format string, arguments ...any) {
	if !reached {
		*m = append(*m, fmt.Sprintf(format, arguments...))
	}
}

// Of every attack: honest traffic goes on, new connections are served, and it is over when the attack is.
func (m *misses) unlessKept(r measured) {
	m.unless(r.kept >= bar(0.8), "kept is %.2f; the bar is %.2f", r.kept, bar(0.8))
	m.unless(float64(r.during.fresh) >= bar(0.9)*float64(r.during.tried), "%d of %d fresh connections; the bar is %.2f of them",
		r.during.fresh, r.during.tried, bar(0.9))
	m.unless(r.recovery <= 2*time.Second || lenient, "recovery took %s; the bar is 2 s", r.recovery)
}
