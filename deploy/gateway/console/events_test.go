package console

import (
	"net/http/httptest"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"authurl/deploy/gateway/gen/authurlv1"
)

// numbers are those of events that follow each other.
type numbers struct{ first, last int64 }

// withEvents is a server that has events of these numbers, and answers as it does.
func withEvents(there ...numbers) *fakeServer {
	server := &fakeServer{}
	// The first one from a number on, and whether it has that number.
	next := func(from int64) (number int64, is, any bool) {
		for _, n := range there {
			if from <= n.last && n.first <= n.last {
				return max(from, n.first), from >= n.first, true
			}
		}
		return 0, false, false
	}
	server.answers = map[string]func(proto.Message) (proto.Message, error){"ListEvents": func(given proto.Message) (proto.Message, error) {
		request := given.(*authurlv1.ListEventsRequest)
		after, _ := numberOf(request.GetAfter())
		_, isSeen, _ := next(after)
		if _, follows, _ := next(after + 1); after > 0 && !isSeen && !follows {
			return nil, failed(codes.OutOfRange, "EVENTS_EXPIRED", "x")
		}
		reply := &authurlv1.ListEventsResponse{NextAfter: request.GetAfter()}
		for looked := int32(0); looked < request.GetPageSize(); looked++ {
			number, _, any := next(after + 1)
			if !any {
				break
			}
			after = number
			reply.NextAfter = idOf(number)
			if len(request.GetTypes()) == 0 || number%100 == 0 {
				reply.Events = append(reply.Events, &authurlv1.Event{Id: idOf(number), Type: "account.updated"})
			}
		}
		_, _, reply.HasMore = next(after + 1)
		return reply, nil
	}}
	return server
}

func visitOf(t *testing.T, server *fakeServer) *visit {
	return &visit{Handler: newTestHandler(t, server), w: httptest.NewRecorder(), r: httptest.NewRequest("GET", "/console/events", nil), session: &session{Key: testKey}}
}

func TestTheNewestEventsComeFirst(t *testing.T) {
	for _, c := range []numbers{{1, 0}, {1, 1}, {1, 49}, {1, 50}, {1, 51}, {1, 1000}, {1, 1001}, {1, 1002}, {700, 5003}, {5000, 5000},
		{123_456, 1_123_456}, {1 << 40, 1<<40 + 9001}} {
		server := withEvents(c)
		v := visitOf(t, server)
		found, err := v.recentEvents(eventFilter{}, "")
		if err != nil || int64(len(found.Events)) != min(eventsPageSize, c.last-c.first+1) {
			t.Fatalf("%v: %v, %d events", c, err, len(found.Events))
		}
		if len(server.calls) > 25 || c.last-c.first < 1000 && len(server.calls) > 3 {
			t.Errorf("%v: %d calls", c, len(server.calls))
		}
		// On to older ones, none left out and none twice.
		want := c.last
		for pages := 0; pages < 100; pages++ {
			for _, event := range found.Events {
				if event.GetId() != idOf(want) {
					t.Fatalf("%v: %s instead of %s", c, event.GetId(), idOf(want))
				}
				want--
			}
			if found.Before == "" {
				break
			}
			if found, err = v.recentEvents(eventFilter{}, found.Before); err != nil {
				t.Fatal(err)
			}
		}
		if found.Before == "" && want != c.first-1 {
			t.Errorf("%v: ends at %d", c, want)
		}
	}
}

// As a restore leaves them.
func TestTheNewestEventsComeFirstBeyondAGap(t *testing.T) {
	for _, there := range [][]numbers{
		{{1, 3}, {1 << 40, 1<<40 + 1}},
		{{1, 1000}, {5000, 5000}},
		{{1, 5000}, {1 << 40, 1<<40 + 3000}, {1 << 41, 1<<41 + 70}},
		{{700, 2000}, {3000, 4000}},
	} {
		server := withEvents(there...)
		v := visitOf(t, server)
		newest := there[len(there)-1]
		before, want := "", newest.last
		for want >= newest.first {
			found, err := v.recentEvents(eventFilter{}, before)
			if err != nil || len(found.Events) == 0 {
				t.Fatalf("%v: %v, %d events", there, err, len(found.Events))
			}
			for _, event := range found.Events {
				// A page may go on with those before the gap.
				if number, _ := numberOf(event.GetId()); number != want && want >= newest.first {
					t.Fatalf("%v: %d instead of %d", there, number, want)
				}
				want--
			}
			before = found.Before
		}
	}
}

// Where few are wanted, a page looks through a thousand, whatever it finds.
func TestFilteredEvents(t *testing.T) {
	server := withEvents(numbers{1, 2500})
	v := visitOf(t, server)
	found, err := v.recentEvents(eventFilter{kind: "account.updated"}, "")
	if err != nil || len(found.Events) != 10 || found.Events[0].GetId() != idOf(2500) || found.Before != idOf(1501) {
		t.Error(err, len(found.Events), found.Before)
	}
	if found, err = v.recentEvents(eventFilter{kind: "account.updated"}, idOf(501)); err != nil || len(found.Events) != 5 || found.Before != "" {
		t.Error(err, len(found.Events), found.Before)
	}
}

func TestEventNumbers(t *testing.T) {
	for id, want := range map[string]bool{"ev_0000000000000001": true, "": false, "ev_": false, "ev_xyz": false, "ev_-1": false, "wh_01": false, "ev_ffffffffffffffffff": false} {
		if _, ok := numberOf(id); ok != want {
			t.Errorf("%q: %v", id, ok)
		}
	}
}
