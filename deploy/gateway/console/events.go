package console

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"authurl/deploy/gateway/gen/authurlv1"
)

const (
	// How many events a page lists.
	eventsPageSize = 50
	// How many a page looks through where only some of them are wanted, as ListEvents does itself.
	eventsLookedAt = 1000
)

type eventFilter struct{ kind, account, tenant string }

func (f eventFilter) isSet() bool { return f != eventFilter{} }

// eventsFound are events, the newest first.
type eventsFound struct {
	Events     []*authurlv1.Event
	Unreadable int32
	// Where older ones are to be looked for; empty where there are none.
	Before string
}

// The ids of an organisation's events are numbers that follow each other (storage/event_store.h): so the newest are found,
// though ListEvents goes from the oldest on. There is a gap where the database was restored from an older copy.
func numberOf(id string) (int64, bool) {
	digits, found := strings.CutPrefix(id, "ev_")
	number, err := strconv.ParseInt(digits, 16, 64)
	return number, found && err == nil && number >= 0
}

func idOf(number int64) string { return fmt.Sprintf("ev_%016x", number) }

func (v *visit) listFrom(after string, limit int32, f eventFilter) (*authurlv1.ListEventsResponse, error) {
	request := &authurlv1.ListEventsRequest{After: after, PageSize: limit}
	if f.account != "" {
		request.AccountId = &f.account
	}
	if f.tenant != "" {
		request.TenantId = &f.tenant
	}
	if f.kind != "" {
		request.Types = []string{f.kind}
	}
	return v.events.ListEvents(v.ctx(), request)
}

// lastEvent is the number of the newest event; 0 where there is none. It takes one call for up to a thousand events, and
// some fifteen for a million; as many again for each gap.
func (v *visit) lastEvent() (int64, error) {
	reply, err := v.listFrom("", eventsLookedAt, eventFilter{})
	for {
		if err != nil {
			return 0, err
		}
		low, ok := numberOf(reply.GetNextAfter())
		if !ok || !reply.GetHasMore() {
			return low, nil
		}
		if low, err = v.nearEnd(low); err == nil {
			reply, err = v.listFrom(idOf(low), eventsLookedAt, eventFilter{})
		}
	}
}

// nearEnd is a number behind which one call lists to the end, or to a gap and beyond. There are events behind `low`.
func (v *visit) nearEnd(low int64) (int64, error) {
	// By how much there are is tried in steps, then halved until one call tells the rest.
	isAbove := func(number int64) (bool, error) {
		reply, err := v.listFrom(idOf(number), 1, eventFilter{})
		if status.Code(err) == codes.OutOfRange {
			return false, nil // Beyond the last one, or in a gap.
		}
		return len(reply.GetEvents()) > 0 || reply.GetUnreadable() > 0, err
	}
	high := low
	for step := int64(eventsLookedAt); high == low; step *= 8 {
		above, err := isAbove(low + step)
		if err != nil {
			return 0, err
		}
		if above {
			low += step
			high = low
		} else {
			high = low + step
		}
	}
	for high-low > eventsLookedAt {
		middle := low + (high-low)/2
		above, err := isAbove(middle)
		if err != nil {
			return 0, err
		}
		if above {
			low = middle
		} else {
			high = middle
		}
	}
	return low, nil
}

// startOf is the number behind which those before `end` begin that follow each other: `after`, or one above it.
func (v *visit) startOf(after, end int64) (int64, error) {
	for low, high := after, end-1; ; {
		if high-low <= 1 {
			return high, nil
		}
		middle := low + (high-low)/2
		switch _, err := v.listFrom(idOf(middle), 1, eventFilter{}); {
		case status.Code(err) == codes.OutOfRange:
			low = middle
		case err != nil:
			return 0, err
		default:
			high = middle
		}
	}
}

// recentEvents are those before an event, or the newest ones.
func (v *visit) recentEvents(f eventFilter, before string) (eventsFound, error) {
	end, ok := numberOf(before)
	if !ok {
		last, err := v.lastEvent()
		if err != nil || last == 0 {
			return eventsFound{}, err
		}
		end = last + 1
	}
	limit := int64(eventsPageSize)
	if f.isSet() {
		limit = eventsLookedAt
	}
	after := max(end-1-limit, 0)
	cursor := ""
	if after > 0 {
		cursor = idOf(after)
	}
	reply, err := v.listFrom(cursor, int32(limit), f)
	if status.Code(err) == codes.OutOfRange {
		// Some of these are no longer kept: the oldest that are.
		if reply, err = v.listFrom("", int32(limit), f); err != nil {
			return eventsFound{}, err
		}
		start := after
		after = 0
		if reached, _ := numberOf(reply.GetNextAfter()); reached < end-1 {
			// Or they were lost with the database that was restored.
			if start, err = v.startOf(start, end); err == nil && start < end-1 {
				after = start
				reply, err = v.listFrom(idOf(after), int32(limit), f)
			}
		}
	}
	if err != nil {
		return eventsFound{}, err
	}
	found := eventsFound{Unreadable: reply.GetUnreadable()}
	for _, event := range slices.Backward(reply.GetEvents()) {
		if number, ok := numberOf(event.GetId()); !ok || number < end {
			found.Events = append(found.Events, event)
		}
	}
	if after > 0 {
		found.Before = idOf(after + 1)
	}
	return found, nil
}

type eventsPage struct {
	Kind, Tenant string
	Rows         []eventRow
	Unreadable   int32
	Kinds        []option
	// The queries of older and of the newest ones; the first is empty where there are none.
	Older, Newest string
	IsFirst       bool
	IsFiltered    bool
}

func (v *visit) listEvents() {
	given := v.query()
	f := eventFilter{kind: given.Get("type"), tenant: strings.TrimSpace(given.Get("tenant"))}
	p := eventsPage{Kind: f.kind, Tenant: f.tenant, IsFirst: given.Get("before") == "", IsFiltered: f.isSet()}
	for kind, sentence := range eventSentences {
		p.Kinds = append(p.Kinds, option{kind, sentence})
	}
	slices.SortFunc(p.Kinds, func(a, b option) int { return strings.Compare(a.Value, b.Value) })
	found, err := v.recentEvents(f, given.Get("before"))
	if err != nil {
		problem, ok := v.explain(err)
		if !ok {
			return
		}
		v.show(problem.Status, "events", page{Title: "Events", Section: "events", Problem: &problem, Body: p})
		return
	}
	known := v.catalog()
	if known == nil {
		return
	}
	p.Rows, p.Unreadable = known.eventRows(found.Events), found.Unreadable
	p.Newest = query("type", f.kind, "tenant", f.tenant)
	if found.Before != "" {
		p.Older = query("type", f.kind, "tenant", f.tenant, "before", found.Before)
	}
	v.show(http.StatusOK, "events", page{Title: "Events", Section: "events", Body: p})
}
