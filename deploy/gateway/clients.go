package main

import (
	"container/list"
	"context"
	"log/slog"
	"net"
	"sync"
	"time"
)

// phase is what a connection waits for.
type phase int

const (
	sendingHeader phase = iota // its client, for the header of its first request
	sendingBody                // its client, for the rest of a body
	takingReply                // its client, to take a reply
	resting                    // its client, for another request
	waitingPhases
	served // us
	gone   // nothing any more: it is closed, or about to be
)

// clients are the connections of strangers and what is held for them, within bounds. Where there are too many, those
// give way that have kept us waiting longest: a client that means well needs a moment for a request, one that does not
// has to hold on to be a burden. A new connection is refused only when all the others are being served.
type clients struct {
	log           *slog.Logger
	most          int
	mostOfAddress int // 0: as many as there may be in all
	mostBytes     int64
	slots         chan struct{}
	networkSlots  chan struct{} // of requests that wait for a network
	eventSlots    chan struct{} // of requests that wait for an event

	mutex       sync.Mutex
	waiting     [waitingPhases]list.List // of *ownConn; the one that entered the phase first is the first
	connections int
	ofAddress   map[string]int
	bytes       int64
	crowd       crowd
	told        crowd // All that were told of.
}

// crowd is what is to be told in the log, once a while.
type crowd struct {
	cutOff, refused int
	told            time.Time
}

// standing is how many there are, and what there was since the start.
type standing struct {
	connections     int
	bytes           int64
	cutOff, refused int
}

const crowdInterval = 10 * time.Second

func newClients(c config, log *slog.Logger) *clients {
	return &clients{log: log, most: c.maxConnections, mostOfAddress: c.maxConnectionsPerAddress, mostBytes: int64(c.maxHeldMiB) << 20,
		slots: make(chan struct{}, c.maxRequests), networkSlots: make(chan struct{}, c.maxNetworkRequests),
		eventSlots: make(chan struct{}, c.maxWaitingRequests), ofAddress: map[string]int{}}
}

// add takes a new connection in, or says that it has to be refused.
func (k *clients) add(c *ownConn) bool {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if k.mostOfAddress > 0 && k.ofAddress[c.address] >= k.mostOfAddress || k.connections >= k.most && !k.makeRoom() {
		k.crowd.refused++
		k.tellOfCrowd()
		return false
	}
	k.connections++
	k.ofAddress[c.address]++
	k.enter(c, sendingHeader)
	return true
}

// One in the middle of a request counts as if it had waited so many times as long as one that rests: a request takes
// its client a moment, and resting does no harm.
const restWeighs = 10

func (k *clients) makeRoom() bool {
	var oldest *ownConn
	var waited time.Duration
	for phase := range waitingPhases {
		c := k.firstOf(phase, 0)
		if c == nil {
			continue
		}
		age := time.Since(c.since)
		if phase != resting {
			age *= restWeighs
		}
		if oldest == nil || age > waited {
			oldest, waited = c, age
		}
	}
	if oldest == nil {
		return false
	}
	k.cutOff(oldest)
	return true
}

// firstOf is the connection that has been in the phase longest, of those for which at least so many bytes are held.
func (k *clients) firstOf(phase phase, held int64) *ownConn {
	for place := k.waiting[phase].Front(); place != nil; place = place.Next() {
		if c := place.Value.(*ownConn); c.held >= held {
			return c
		}
	}
	return nil
}

// hold counts bytes that are kept in memory for the connection's request, until keep. Where there is no room for
// them, others that have bytes held are cut off, those first that have kept us waiting longest.
func (k *clients) hold(c *ownConn, bytes int64) bool {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if c.phase == gone || bytes > k.mostBytes {
		return false
	}
	for k.bytes+bytes > k.mostBytes {
		sender, taker := k.firstOf(sendingBody, 1), k.firstOf(takingReply, 1)
		switch {
		case sender == nil && taker == nil:
			return false
		case taker == nil || sender != nil && sender.since.Before(taker.since):
			k.cutOff(sender)
		default:
			k.cutOff(taker)
		}
	}
	k.bytes += bytes
	c.held += bytes
	return true
}

func (k *clients) keep(c *ownConn, bytes int64) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if beyond := c.held - bytes; beyond > 0 {
		k.bytes -= beyond
		c.held = bytes
	}
}

// cutOff ends a connection. One that sends a body is told so; another could not be told anything.
func (k *clients) cutOff(c *ownConn) {
	was := c.phase
	k.forget(c)
	k.crowd.cutOff++
	k.tellOfCrowd()
	if was == sendingBody {
		_ = c.raw.SetWriteDeadline(time.Now().Add(unreadBodyTime))
		_ = c.raw.SetReadDeadline(time.Unix(1, 0)) // Ends the reading.
		return
	}
	// What a client does not take has to leave the kernel too. One that rests gets a polite end.
	if socket, ok := c.raw.(*net.TCPConn); ok && was != resting {
		_ = socket.SetLinger(0)
	}
	_ = c.raw.Close()
}

func (k *clients) forget(c *ownConn) {
	if c.phase == gone {
		return
	}
	k.enter(c, gone)
	k.bytes -= c.held
	c.held = 0
	k.connections--
	if k.ofAddress[c.address]--; k.ofAddress[c.address] == 0 {
		delete(k.ofAddress, c.address)
	}
}

func (k *clients) enter(c *ownConn, next phase) {
	if c.place != nil {
		k.waiting[c.phase].Remove(c.place)
		c.place = nil
	}
	c.phase = next
	if next < waitingPhases {
		c.since = time.Now()
		c.place = k.waiting[next].PushBack(c)
	}
}

func (k *clients) tellOfCrowd() {
	if time.Since(k.crowd.told) < crowdInterval {
		return
	}
	k.log.Warn("crowded", "connections", k.connections, "held_bytes", k.bytes, "cut_off", k.crowd.cutOff, "refused", k.crowd.refused)
	k.told.cutOff += k.crowd.cutOff
	k.told.refused += k.crowd.refused
	k.crowd = crowd{told: time.Now()}
}

func (k *clients) standing() standing {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	return standing{k.connections, k.bytes, k.told.cutOff + k.crowd.cutOff, k.told.refused + k.crowd.refused}
}

// How long a request waits for others to be done with.
const slotPatience = 500 * time.Millisecond

// serve waits until there are few enough requests under way, and calls. Those that wait for a network, or for an event,
// take no place from the others.
func (k *clients) serve(ctx context.Context, route traits, call func()) bool {
	slots := k.slots
	switch {
	case route.asksNetwork:
		slots = k.networkSlots
	case route.waitsForEvents:
		slots = k.eventSlots
	}
	timer := time.NewTimer(slotPatience)
	defer timer.Stop()
	select {
	case slots <- struct{}{}:
	case <-timer.C:
		return false
	case <-ctx.Done():
		return false
	}
	defer func() { <-slots }()
	if e := exchangeOf(ctx); e != nil {
		e.waits = route.asksNetwork || route.waitsForEvents
	}
	call()
	return true
}
