package web

import (
	"fmt"
	"html/template"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/triaged-dev/triaged/triage"
)

// clean makes a string from outside fit to stand on a line: no control or direction characters, at most n characters.
// It does not escape; templates and the SVG writer do.
func clean(s string, n int) string {
	s = strings.ToValidUTF8(s, "")
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Co, r):
			return -1
		}
		return r
	}, s)
	s = strings.Join(strings.Fields(s), " ")
	if runes := []rune(s); len(runes) > n {
		s = strings.TrimRight(string(runes[:n-1]), " ,;:·") + "…"
	}
	return s
}

// safeURL keeps absolute http and https addresses; anything else is dropped.
func safeURL(s string) string {
	if len(s) > triage.MaxURL || (!strings.HasPrefix(s, "https://") && !strings.HasPrefix(s, "http://")) {
		return ""
	}
	if strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune("<>|\"`", r)
	}) {
		return ""
	}
	return s
}

// span says a duration as a person does: 40 s, 12 min, 3 h 20 min, 5 days.
func span(d time.Duration) string {
	d = d.Abs()
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Round(time.Second)/time.Second))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Round(time.Minute)/time.Minute))
	case d < 48*time.Hour:
		d = d.Round(time.Minute)
		if m := d % time.Hour / time.Minute; m != 0 {
			return fmt.Sprintf("%d h %d min", d/time.Hour, m)
		}
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

// unit is how the values of a series are said.
type unit int

const (
	unitPlain unit = iota
	unitRatio      // 0–1, said in per cent
	unitSeconds
	unitBytes
)

// unitOf guesses from the name of the metric, as conventions have it, and from the values.
func unitOf(metric string, signal triage.Signal, highest float64) unit {
	switch {
	case strings.Contains(metric, "ratio") || strings.Contains(metric, "percent") && highest <= 1.5:
		return unitRatio
	case strings.Contains(metric, "seconds"):
		return unitSeconds
	case strings.Contains(metric, "bytes"):
		return unitBytes
	case signal == triage.SignalErrors && highest <= 1 && highest > 0:
		return unitRatio
	}
	return unitPlain
}

// quantity says a value in its unit with at most three digits.
func quantity(v float64, u unit) string {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "–"
	case u == unitRatio:
		return digits(100*v) + " %"
	case u == unitSeconds && math.Abs(v) < 1:
		return digits(1000*v) + " ms"
	case u == unitSeconds:
		return digits(v) + " s"
	case u == unitBytes:
		return scaled(v, 1024, "B", "KiB", "MiB", "GiB", "TiB")
	case math.Abs(v) >= 10000:
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

// digits keeps one decimal above 1 and two significant digits below, without trailing zeros: 145, 14.5, 1.5, 0.2, 0.058.
func digits(v float64) string {
	if v == 0 {
		return "0"
	}
	d := 0
	if size := math.Abs(v); size < 100 {
		d = max(1, 1-int(math.Floor(math.Log10(size))))
	}
	s := strconv.FormatFloat(v, 'f', min(d, 6), 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// percent says a probability. The ends are never claimed: what is not certain is not said to be.
func percent(p float64) string {
	switch {
	case p > 0.99 && p < 1:
		return "> 99 %"
	case p > 0 && p < 0.01:
		return "< 1 %"
	}
	return fmt.Sprintf("%.0f %%", 100*p)
}

// plural counts in words.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// The layouts of a time on a page. The script knows them by the same names when it turns them into local time.
var layouts = map[string]string{
	"s":    "15:04:05",
	"m":    "15:04",
	"d":    "2 Jan",
	"ds":   "2 Jan 15:04:05",
	"full": "2006-01-02 15:04:05",
}

// timeTag writes a time element in UTC. Nothing in it comes from outside but the time itself.
func timeTag(t time.Time, layout string) template.HTML {
	if t.IsZero() {
		return "–"
	}
	t = t.UTC()
	return template.HTML(fmt.Sprintf(`<time datetime="%s" data-f="%s">%s</time>`, t.Format("2006-01-02T15:04:05Z"), layout, t.Format(layouts[layout])))
}

// near writes the time of day, with the date where it is not the day of ref.
func near(t, ref time.Time) template.HTML {
	if t.UTC().Format(time.DateOnly) == ref.UTC().Format(time.DateOnly) {
		return timeTag(t, "s")
	}
	return timeTag(t, "ds")
}

// clockWords finds times of day inside sentences.
var clockWords = regexp.MustCompile(`\b([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?\b`)

// timed escapes a sentence from outside and makes the times of day in it into time elements, so that they can be shown in
// local time. A time of day without a date is the one nearest to ref.
func timed(sentence string, ref time.Time) template.HTML {
	sentence = clean(sentence, 400)
	if ref.IsZero() {
		return template.HTML(template.HTMLEscapeString(sentence))
	}
	ref = ref.UTC()
	var b strings.Builder
	rest := sentence
	for {
		at := clockWords.FindStringIndex(rest)
		if at == nil {
			break
		}
		word := rest[at[0]:at[1]]
		layout := "m"
		if len(word) == 8 {
			layout = "s"
		}
		day, err := time.Parse("2006-01-02 "+layouts[layout], ref.Format(time.DateOnly)+" "+word)
		if err != nil {
			break
		}
		if gap := day.Sub(ref); gap > 12*time.Hour {
			day = day.AddDate(0, 0, -1)
		} else if gap < -12*time.Hour {
			day = day.AddDate(0, 0, 1)
		}
		b.WriteString(template.HTMLEscapeString(rest[:at[0]]))
		b.WriteString(string(timeTag(day, layout)))
		rest = rest[at[1]:]
	}
	b.WriteString(template.HTMLEscapeString(rest))
	return template.HTML(b.String())
}
