package web

import (
	"fmt"
	"html/template"
	"regexp"
	"strings"
	"time"

	"github.com/triaged-dev/triaged/triage/say"
)

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

// zoneWord is the zone behind a time of day. It changes with the time, or the page would call local time UTC.
const zoneWord = ` <span class="zone-word">UTC</span>`

// timed escapes a sentence from outside and makes the times of day in it into time elements, so that they can be shown in
// local time. A time of day without a date is the one nearest to ref.
func timed(sentence string, ref time.Time) template.HTML {
	sentence = say.Clean(sentence, 400)
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
		if after, said := strings.CutPrefix(rest, " UTC"); said {
			b.WriteString(zoneWord)
			rest = after
		}
	}
	b.WriteString(template.HTMLEscapeString(rest))
	return template.HTML(b.String())
}
