package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"authurl/deploy/gateway/gen/authurlv1"
)

// client is one connection by hand.
type client struct {
	net.Conn
	in *bufio.Reader
}

func connect(t *testing.T, g *gateway) client {
	t.Helper()
	connection, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	_ = connection.SetDeadline(time.Now().Add(time.Minute))
	return client{connection, bufio.NewReader(connection)}
}

func (c client) write(text string) { _, _ = io.WriteString(c, text) }

// reply reads one; without any it is status 0.
func (c client) reply() reply {
	response, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return reply{}
	}
	body, _ := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, string(body)}
}

func (c client) use() reply {
	c.write("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
	return c.reply()
}

// isClosed tells whether the connection ends within a moment.
func (c client) isClosed() bool {
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	defer c.SetReadDeadline(time.Now().Add(time.Minute))
	_, err := c.in.Peek(1)
	var timeout net.Error
	return err != nil && !(errors.As(err, &timeout) && timeout.Timeout())
}

func withheldBody(bytes int) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		authURLPath, authorization, bytes, strings.Repeat(" ", bytes-1))
}

func TestOfTooManyConnectionsTheOldestUnfinishedGiveWay(t *testing.T) {
	g := startGateway(t, "--upstream="+new(fakeServer).start(t), "--max_connections=16")
	resting := connect(t, g)
	if r := resting.use(); r.status != 200 {
		t.Fatal(r)
	}
	var silent []client
	for range 15 {
		silent = append(silent, connect(t, g))
	}
	silent[0].write("GET /healthz HTTP/1.1\r\nHo")
	eventually(t, "all are in", func() bool { return connectionsOf(g) == 16 })
	for range 5 {
		if r := connect(t, g).use(); r.status != 200 {
			t.Fatal(r)
		}
	}
	for i, c := range silent {
		if c.isClosed() != (i < 5) {
			t.Errorf("silent connection %d: closed is %v", i, c.isClosed())
		}
	}
	if r := resting.use(); r.status != 200 {
		t.Error("the one that rested did not stay")
	}
	if told := g.log.events("crowded"); len(told) != 1 || told[0]["cut_off"] != 1.0 {
		t.Error(told)
	}
}

func connectionsOf(g *gateway) int {
	g.clients.mutex.Lock()
	defer g.clients.mutex.Unlock()
	return g.clients.connections
}

func TestOneThatHasRestedLongGivesWayToYoungOnes(t *testing.T) {
	g := startGateway(t, "--upstream="+new(fakeServer).start(t), "--max_connections=16")
	resting := connect(t, g)
	resting.use()
	time.Sleep(2 * time.Second)
	var silent []client
	for range 16 {
		silent = append(silent, connect(t, g))
	}
	eventually(t, "the one that rests is closed", resting.isClosed)
	for i, c := range silent {
		if r := c.use(); r.status != 200 {
			t.Errorf("%d: %v", i, r)
		}
	}
}

func TestConnectionsOfOneAddressHaveABound(t *testing.T) {
	g := startGateway(t, "--upstream="+new(fakeServer).start(t), "--max_connections_per_address=3")
	var first []client
	for range 3 {
		first = append(first, connect(t, g))
	}
	eventually(t, "all are in", func() bool { return connectionsOf(g) == 3 })
	if r := connect(t, g).use(); r.status != 0 {
		t.Error(r)
	}
	other := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	connection, err := other.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if r := (client{connection, bufio.NewReader(connection)}).use(); r.status != 200 {
		t.Error(r)
	}
	if r := first[0].use(); r.status != 200 {
		t.Error(r)
	}
	first[1].Close()
	eventually(t, "there is room again", func() bool { return connect(t, g).use().status == 200 })
}

func TestOfTooManyBodiesTheOldestGiveWayAndAreToldSo(t *testing.T) {
	g := startGateway(t, "--upstream="+new(fakeServer).start(t), "--max_held_mib=16", "--read_timeout=1m", "--write_timeout=2m")
	const size, room = 60_000, 16 << 20 / 60_000
	var held []client
	for i := range room + 20 {
		held = append(held, connect(t, g))
		held[i].write(withheldBody(size))
	}
	// Somebody with a whole request.
	honest := connect(t, g)
	honest.write(withheldBody(size) + " ")
	if r := honest.reply(); r.status != 200 {
		t.Error(r)
	}
	cutOff := 0
	for _, c := range held {
		if c.isClosed() {
			t.Error("a connection was closed without a word")
			continue
		}
		if c.in.Buffered() > 0 {
			r := c.reply()
			if r.status != 429 || r.header.Get("Retry-After") != "1" || !strings.Contains(r.body, `"code":"OVERLOADED"`) || !c.isClosed() {
				t.Error(r)
			}
			cutOff++
		}
	}
	if cutOff < 20 || cutOff > 22 {
		t.Errorf("%d were cut off", cutOff)
	}
	// The others go on.
	last := held[len(held)-1]
	last.write(" ")
	if r := last.reply(); r.status != 200 {
		t.Error(r)
	}
	for _, c := range held {
		c.Close()
	}
	eventually(t, "nothing is held any more", func() bool {
		g.clients.mutex.Lock()
		defer g.clients.mutex.Unlock()
		return g.clients.bytes == 0
	})
}

func TestRepliesThatNobodyTakesGiveWay(t *testing.T) {
	server := &fakeServer{results: []*authurlv1.BatchGetAuthUrlsResponse_Result{
		batchURL("x", "", &authurlv1.GetAuthUrlResponse{AuthUrl: strings.Repeat("a", 6<<20)}),
	}}
	g := startGateway(t, "--upstream="+server.start(t), "--max_held_mib=16", "--write_timeout=1m")
	request := "POST " + batchPath + " HTTP/1.1\r\nHost: x\r\n" + authorization + "Content-Length: 0\r\n\r\n"
	for i := range 10 {
		c := connect(t, g)
		_ = c.Conn.(*net.TCPConn).SetReadBuffer(4096)
		c.write(request)
		if i < 2 {
			if _, err := c.in.Peek(1); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, "a reader gets its reply all the same", func() bool {
		c := connect(t, g)
		c.write(request)
		r := c.reply()
		return r.status == 200 && len(r.body) > 6<<20
	})
	g.clients.mutex.Lock()
	defer g.clients.mutex.Unlock()
	if g.clients.bytes > 16<<20 {
		t.Errorf("%d bytes are held", g.clients.bytes)
	}
}

func TestOfTooManyRequestsSomeAreToldToComeBack(t *testing.T) {
	release := make(chan struct{})
	server := &fakeServer{answer: func(context.Context, *authurlv1.GetAuthUrlRequest) (*authurlv1.GetAuthUrlResponse, error) {
		<-release
		return &authurlv1.GetAuthUrlResponse{}, nil
	}}
	g := startGateway(t, "--upstream="+server.start(t), "--max_requests=1")
	first := make(chan reply)
	go func() { first <- send(t, "POST", g.url+authURLPath, "") }()
	eventually(t, "the first is under way", func() bool { return server.seen() == 1 })
	if r := send(t, "POST", g.url+authURLPath, ""); r.status != 429 || r.header.Get("Retry-After") != "1" || !strings.Contains(r.body, `"code":"OVERLOADED"`) {
		t.Error(r)
	}
	// One that is short enough is waited for.
	second := make(chan reply)
	go func() { second <- send(t, "POST", g.url+authURLPath, "") }()
	time.Sleep(slotPatience / 10)
	close(release)
	for _, answered := range []chan reply{first, second} {
		if r := <-answered; r.status != 200 {
			t.Error(r)
		}
	}
}

func TestABodyOfUnknownLengthHoldsNoMoreThanItIs(t *testing.T) {
	g := &gateway{}
	held := int64(-1)
	server := &fakeServer{answer: func(context.Context, *authurlv1.GetAuthUrlRequest) (*authurlv1.GetAuthUrlResponse, error) {
		g.clients.mutex.Lock()
		defer g.clients.mutex.Unlock()
		held = g.clients.bytes
		return &authurlv1.GetAuthUrlResponse{}, nil
	}}
	g = startGateway(t, "--upstream="+server.start(t))
	c := connect(t, g)
	c.write("POST " + authURLPath + " HTTP/1.1\r\nHost: x\r\n" + authorization + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
	if r := c.reply(); r.status != 200 || held != 2 {
		t.Error(r, held)
	}
}

func TestConnectionsAreNoMoreThanFilesThatMayBeOpen(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	log := &logBuffer{}
	most := int(limit.Cur) - ownDescriptors
	for given, want := range map[int]int{most: most, most + 1: most} {
		if got := withinDescriptors(config{maxConnections: given}, newLog(log, 0)).maxConnections; got != want {
			t.Errorf("%d: %d", given, got)
		}
	}
	if len(log.events("few_descriptors")) != 1 {
		t.Error(log)
	}
}

func TestTheMemoryLimitIsWhatTheBoundsAddUpTo(t *testing.T) {
	none := func() (uint64, error) { return 0, errors.New("no container") }
	for _, test := range []struct {
		c         config
		container func() (uint64, error)
		want      int64
	}{
		{config{maxConnections: 2048, maxHeldMiB: 24}, none, 160},
		{config{maxConnections: 2048, maxHeldMiB: 24}, func() (uint64, error) { return 100 << 20, nil }, 80},
		{config{maxConnections: 2048, maxHeldMiB: 24}, func() (uint64, error) { return 1 << 40, nil }, 160},
		{config{maxConnections: 2048, maxHeldMiB: 24, memoryLimitMiB: 300}, none, 300},
	} {
		if got := memoryLimitMiB(test.c, test.container); got != test.want {
			t.Errorf("%v: %d", test, got)
		}
	}
}
