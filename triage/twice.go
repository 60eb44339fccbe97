package triage

import (
	"bytes"
	"encoding/json"
	"sync"
)

// twice finds a key that stands twice in one object of valid JSON, "" where there is none. Of two values the decoder takes the last, and
// whoever looked at the first, a proxy, a policy, a person, has approved of something else. At most maxTwice keys of an object are
// compared one by one; beyond that they are kept in a map.
func twice(data []byte) string {
	room, _ := rooms.Get().(*[]object)
	open := (*room)[:0] // of braces and brackets; a list has no keys
	defer func() {
		if cap(open) > 64 { // a deep one keeps nothing
			open = nil
		}
		for i := range open[:cap(open)] {
			keys := open[:cap(open)][i].keys
			clear(keys[:cap(keys)]) // they are parts of the record
		}
		*room = open[:0]
		rooms.Put(room)
	}()
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '{', '[':
			if len(open) == maxDepth {
				return "" // the decoder refuses it
			}
			if len(open) < cap(open) { // the room of one that was closed
				open = open[:len(open)+1]
				o := &open[len(open)-1]
				o.keys, o.seen = o.keys[:0], nil
			} else {
				open = append(open, object{})
			}
		case '}', ']':
			if len(open) > 0 {
				open = open[:len(open)-1]
			}
		case '"':
			end := closing(data, i+1)
			if end < 0 {
				return ""
			}
			text := data[i : end+1]
			i = end
			if rest := bytes.TrimLeft(data[end+1:min(len(data), end+65)], " \t\r\n"); len(rest) == 0 || rest[0] != ':' || len(open) == 0 {
				continue // a value
			}
			key := text[1 : len(text)-1]
			if bytes.IndexByte(key, '\\') >= 0 {
				var s string
				if json.Unmarshal(text, &s) == nil {
					key = []byte(s)
				}
			}
			o := &open[len(open)-1]
			if len(o.keys) == maxTwice && o.seen == nil {
				o.seen = make(map[string]bool)
				for _, k := range o.keys {
					o.seen[string(k)] = true
				}
			}
			if o.seen != nil {
				if o.seen[string(key)] {
					return string(key)
				}
				o.seen[string(key)] = true
				continue
			}
			for _, k := range o.keys {
				if bytes.Equal(k, key) {
					return string(key)
				}
			}
			o.keys = append(o.keys, key)
		}
	}
	return ""
}

// object is what is open: its keys so far.
type object struct {
	keys [][]byte
	seen map[string]bool
}

// rooms are used again: nearly every record that comes in is looked through.
var rooms = sync.Pool{New: func() any { return new([]object) }}

// closing is where the string ends that begins at from, -1 where it does not.
func closing(data []byte, from int) int {
	for {
		n := bytes.IndexByte(data[from:], '"')
		if n < 0 {
			return -1
		}
		slashes := 0
		for slashes < n && data[from+n-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return from + n
		}
		from += n + 1
	}
}

const (
	maxTwice = 32
	maxDepth = 10_000 // as encoding/json has it
)
