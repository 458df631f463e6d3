package main

import "strings"

// fault is what is wrong with one field of a request. The form of `Field` is google.rpc.BadRequest's: "scopes[3]",
// "extra_params.state", "" for the whole body.
type fault struct{ Field, Text string }

func (f fault) Error() string { return f.Field + ": " + f.Text }

// faults is a list of them as an error. grpc-gateway's generated code keeps only the text of an error that a decoder
// returns; so the text is what the reply is to show, with a mark before it that no other error has.
type faults []fault

const shownAsDetails = "details: "

func (f faults) Error() string { return string(newDetails(f).appendJSON([]byte(shownAsDetails))) }

// What is told of one request. A stranger's request of 64 KiB could have tens of thousands of faults.
const (
	maxFaults     = 32
	maxFaultBytes = 4 << 10
)

// faultList collects faults until there are enough; then whoever looks for them can stop.
type faultList struct {
	found faults
	bytes int
	full  bool
}

func (l *faultList) add(field, text string) {
	if l.full {
		return
	}
	l.bytes += len(field) + len(text)
	if len(l.found) == maxFaults || l.bytes > maxFaultBytes && len(l.found) > 0 {
		l.full = true
		field, text = "", "More faults are not shown; correct these first"
	}
	l.found = append(l.found, fault{field, text})
}

// err is nil where nothing was found.
func (l *faultList) err() error {
	if len(l.found) == 0 {
		return nil
	}
	return l.found
}

// details is the nested form in which they are shown: {"scopes":{"3":{"_errors":["…"]}}}. Fields stay in the order in
// which they were added.
type details struct {
	errors   []string
	names    []string
	children map[string]*details
}

func newDetails(list faults) *details {
	root := &details{}
	for _, each := range list {
		node := root
		for _, name := range splitFieldPath(each.Field) {
			node = node.child(name)
		}
		node.errors = append(node.errors, each.Text)
	}
	return root
}

func (d *details) child(name string) *details {
	// A map key of the caller's may be "_errors": it can't be nested, so its faults are its parent's.
	if name == "_errors" {
		return d
	}
	if found := d.children[name]; found != nil {
		return found
	}
	if d.children == nil {
		d.children = map[string]*details{}
	}
	child := &details{}
	d.children[name] = child
	d.names = append(d.names, name)
	return child
}

func (d *details) appendJSON(out []byte) []byte {
	out = append(out, '{')
	if len(d.errors) > 0 {
		out = append(out, `"_errors":[`...)
		for i, text := range d.errors {
			if i > 0 {
				out = append(out, ',')
			}
			out = appendJSONString(out, text)
		}
		out = append(out, ']')
	}
	for i, name := range d.names {
		if i > 0 || len(d.errors) > 0 {
			out = append(out, ',')
		}
		out = append(appendJSONString(out, name), ':')
		out = d.children[name].appendJSON(out)
	}
	return append(out, '}')
}

// splitFieldPath turns `a.b[3]` into a, b, 3. No deeper than any field of ours is: parts of a path may be a caller's
// own words.
func splitFieldPath(path string) []string {
	const most = 8
	parts := strings.FieldsFunc(path, func(c rune) bool { return c == '.' || c == '[' || c == ']' })
	if len(parts) > most {
		parts = append(parts[:most-1], strings.Join(parts[most-1:], "."))
	}
	return parts
}
