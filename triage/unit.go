package triage

import (
	"regexp"
	"slices"
	"strings"
)

// Unit is what a Series is measured in, in UCUM's letters where it has some. Empty is unknown, and said as a bare number:
// no unit is better than a wrong one.
type Unit string

// The units that are told apart.
const (
	UnitRatio        Unit = "1" // a share, 0 to 1
	UnitPercent      Unit = "%" // a share, 0 to 100
	UnitSeconds      Unit = "s"
	UnitMilliseconds Unit = "ms"
	UnitMicroseconds Unit = "us"
	UnitNanoseconds  Unit = "ns"
	UnitBytes        Unit = "By"
	UnitBytesRate    Unit = "By/s"
	UnitRate         Unit = "/s" // of whatever is counted
	UnitUnknown      Unit = "?"  // not what the name has: something was done with it
)

// Units lists every Unit.
func Units() []Unit {
	return []Unit{UnitRatio, UnitPercent, UnitSeconds, UnitMilliseconds, UnitMicroseconds, UnitNanoseconds, UnitBytes, UnitBytesRate, UnitRate, UnitUnknown}
}

// Share reports whether the unit is a part of a whole.
func (u Unit) Share() bool { return u == UnitRatio || u == UnitPercent }

// unitWords are the words that name a unit in a metric's name, by the conventions of Prometheus and of OpenTelemetry's names
// there. Words of two letters name too much else: they count only behind a word for time.
var unitWords = map[string]Unit{
	"ratio": UnitRatio, "percent": UnitPercent, "percentage": UnitPercent, "pct": UnitPercent,
	"seconds": UnitSeconds, "milliseconds": UnitMilliseconds, "millis": UnitMilliseconds, "msec": UnitMilliseconds,
	"microseconds": UnitMicroseconds, "micros": UnitMicroseconds, "usec": UnitMicroseconds, "nanoseconds": UnitNanoseconds, "nanos": UnitNanoseconds,
	"bytes": UnitBytes,
}

var shortUnits = map[string]Unit{"s": UnitSeconds, "ms": UnitMilliseconds, "us": UnitMicroseconds, "ns": UnitNanoseconds}

var timeWords = []string{"latency", "duration", "time", "delay", "lag"}

var (
	nameWords = regexp.MustCompile(`[A-Za-z0-9]+`)
	rateWord  = regexp.MustCompile(`^rate([0-9]+[smhd])?$`)
	quantile  = regexp.MustCompile(`^p[0-9]{2,4}$`)
)

// UnitOf is the unit of a metric, or a recording rule, by its name: a whole word of it, the last that names one.
//
// Worked examples: http_request_duration_seconds_bucket is in s, x_duration_milliseconds:p99_rate5m in ms,
// service:errors:ratio_rate5m a ratio, network_receive_bytes:rate in By/s; of x_seconds_count, a count, nothing is known.
func UnitOf(metric string) Unit {
	name, _, _ := strings.Cut(metric, "{")
	if IsLiveness(name) {
		return UnitRatio // 1 of 1 is there
	}
	words := nameWords.FindAllString(strings.ToLower(name), -1)
	var unit Unit
	timed, rated, ranked := false, false, false
	for _, w := range words {
		switch u := unitWords[w]; {
		case u != "":
			unit = u
		case timed && shortUnits[w] != "":
			unit = shortUnits[w]
		case w == "count":
			unit = ""
		case slices.Contains(timeWords, w):
			timed = true
		case rateWord.MatchString(w):
			rated = true
		case quantile.MatchString(w) || w == "avg" || w == "bucket":
			ranked = true
		}
	}
	if rated && !ranked {
		return unit.rated()
	}
	return unit
}

// rated is the unit of an increase per second of what u measures.
func (u Unit) rated() Unit {
	switch u {
	case UnitBytes:
		return UnitBytesRate
	case "":
		return UnitRate
	case UnitRatio, UnitPercent, UnitBytesRate, UnitRate, UnitUnknown: // a rule's ratio_rate5m is a ratio of rates
		return u
	case UnitSeconds, UnitMilliseconds, UnitMicroseconds, UnitNanoseconds:
	}
	return "" // seconds per second: busy cores, or nothing that people have a name for
}

// UnitOfRate is the unit of the increase per second of a counter.
func UnitOfRate(counter string) Unit { return UnitOf(counter).rated() }

// Measured is the unit of the samples as they are ranked and shown: of a counter, its increase per second.
func (s Series) Measured() Unit {
	switch {
	case s.Unit == UnitUnknown:
		return ""
	case s.Unit != "":
		return s.Unit
	case s.Kind == "counter":
		return UnitOfRate(s.Metric)
	}
	return UnitOf(s.Metric)
}
