package correlate

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/triaged-dev/triaged/triage"
)

// wordsFactor: rare words of the title or paths that the alert uses too. It can break a tie, no more.
func (m *ranking) wordsFactor(c *candidate) finding {
	if m.alertWords == nil {
		m.countWords()
	}
	var shared []string
	score := 0.0
	if len(m.alertWords) == 0 {
		return finding{}
	}
	for _, word := range c.words {
		if m.alertWords[word] {
			rarity := ln(float64(len(m.candidates)+1) / float64(m.wordCount[word]))
			if rarity > 0.5 {
				shared, score = append(shared, word), score+float64(0.1*rarity)
			}
		}
	}
	if len(shared) == 0 {
		return finding{}
	}
	return finding{nats: min(score, m.w.WordsMax), say: func() string {
		return fmt.Sprintf("its description shares %q with the alert", strings.Join(shared, " "))
	}}
}

func (m *ranking) countWords() {
	m.alertWords, m.wordCount = make(map[string]bool), make(map[string]int)
	text := m.alert.Name() + " " + m.alert.Annotations["summary"] + " " + m.alert.Annotations["description"]
	for _, w := range words(text) {
		m.alertWords[w] = true
	}
	for _, c := range m.candidates {
		c.words = m.titleWords(c.ch)
		for _, w := range c.words {
			m.wordCount[w]++
		}
	}
}

// titleWords are the words of a change without those of service names: topology weighs those.
func (m *ranking) titleWords(ch *triage.Change) []string {
	if ch.Title == "" && len(ch.Size.Paths) == 0 {
		return nil
	}
	own := words(ch.Service + " " + m.scope.Service)
	all := words(ch.Title + " " + strings.Join(ch.Size.Paths, " "))
	return slices.DeleteFunc(all, func(w string) bool { return slices.Contains(own, w) })
}

// words splits text at anything but letters and digits and at capitals, lower-cases, and drops the short and the usual.
func words(text string) []string {
	var out []string
	var b strings.Builder
	flush := func() {
		if w := b.String(); len(w) >= 4 && !slices.Contains(usualWords[:], w) && !slices.Contains(out, w) {
			out = append(out, w)
		}
		b.Reset()
	}
	prev := ' '
	for _, r := range text {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) || unicode.IsUpper(r) && unicode.IsLower(prev) {
			flush()
		}
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			b.WriteRune(unicode.ToLower(r))
		}
		prev = r
	}
	flush()
	return out
}

var usualWords = [...]string{
	"alert", "high", "service", "error", "errors", "rate", "update", "deploy", "release", "change", "config",
	"configuration", "feature", "flag", "flip", "roll", "rollout", "version", "with", "from", "that", "this",
	"outside", "objective", "latency", "availability", "main", "merge", "pull", "request", "requests",
}
