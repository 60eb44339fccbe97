package say

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// Quantity says a measured value in a unit that a person reads at once: 14 %, 71.6 ms, 2.4 s, 1.5 GiB, 340/s.
func Quantity(v float64, u triage.Unit) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "–"
	}
	switch u {
	case triage.UnitRatio:
		return share(100 * v)
	case triage.UnitPercent:
		return share(v)
	case triage.UnitSeconds:
		return seconds(v)
	case triage.UnitMilliseconds:
		return seconds(v / 1e3)
	case triage.UnitMicroseconds:
		return seconds(v / 1e6)
	case triage.UnitNanoseconds:
		return seconds(v / 1e9)
	case triage.UnitBytes:
		return scaled(v, 1024, "B", "KiB", "MiB", "GiB", "TiB")
	case triage.UnitBytesRate:
		return scaled(v, 1024, "B", "KiB", "MiB", "GiB", "TiB") + "/s"
	case triage.UnitRate:
		return Number(v) + "/s"
	default: // unknown: a bare number
		return Number(v)
	}
}

// Shift says from what to what a quantity went.
func Shift(before, after float64, u triage.Unit) string {
	return Quantity(before, u) + " → " + Quantity(after, u)
}

// share says per cent. Near both ends a decimal more is kept: 99.97 % is not 100 %, and 0.02 % is not nothing.
func share(x float64) string {
	if x > 99 && x < 100 {
		return trimmed(min(x, 99.99), 2) + " %"
	}
	return digits(x) + " %"
}

// seconds scales a time. From ten minutes on it is said as people say spans.
func seconds(v float64) string {
	switch a := math.Abs(v); {
	case a == 0:
		return "0 s"
	case a < 1e-3:
		return digits(v*1e6) + " µs"
	case a < 1:
		return digits(v*1e3) + " ms"
	case a >= 600 && a < 1e9 && v > 0:
		return Span(time.Duration(v * float64(time.Second)))
	}
	return digits(v) + " s"
}

// Number says a bare figure with two or three digits that count.
func Number(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return "–"
	}
	if math.Abs(v) >= 10000 {
		return strings.TrimSpace(scaled(v, 1000, "", "k", "M", "G", "T"))
	}
	return digits(v)
}

func scaled(v, base float64, units ...string) string {
	i := 0
	for math.Abs(v) >= base && i < len(units)-1 {
		v, i = v/base, i+1
	}
	return digits(v) + " " + units[i]
}

// digits keeps one decimal from 1 on and two significant digits below, without trailing zeros: 145, 14.5, 1.5, 0.2, 0.058.
func digits(v float64) string {
	size := math.Abs(v)
	switch {
	case size == 0:
		return "0"
	case size >= 100:
		return trimmed(v, 0)
	case size >= 1:
		return trimmed(v, 1)
	case size < 1e-6:
		return strconv.FormatFloat(v, 'g', 2, 64)
	}
	return trimmed(v, 1-int(math.Floor(math.Log10(size))))
}

func trimmed(v float64, decimals int) string {
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	if s == "-0" {
		return "0"
	}
	return s
}

// Percent says a probability. The ends are never claimed: what is not certain is not said to be.
func Percent(p float64) string {
	switch {
	case p > 0.99 && p < 1:
		return "> 99 %"
	case p > 0 && p < 0.01:
		return "< 1 %"
	}
	return fmt.Sprintf("%.0f %%", 100*p)
}

// Plural counts: one is the word for one, with its article left out.
func Plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// Count is Plural for words that take an s.
func Count(n int, one string) string { return Plural(n, one, one+"s") }

// Times says how often.
func Times(n int) string {
	switch n {
	case 0:
		return "never"
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return fmt.Sprintf("%d times", n)
}
