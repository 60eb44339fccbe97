package slack

import (
	"fmt"
	"strings"
	"unicode/utf8"

	slackapi "github.com/slack-go/slack"

	"github.com/triaged-dev/triaged/alerting/card"
)

// Slack's limits, in characters, and our own below them: the sum of a message's blocks is limited too, near 13 000.
const (
	maxSection = 3000
	maxContext = 2000
	maxURL     = 3000
	maxText    = 4000
	maxBlocks  = 50
	maxTotal   = 8000
)

// message is what is posted: blocks to look at, and text for notifications and for those who cannot see blocks.
type message struct {
	text   string
	blocks []slackapi.Block
}

// compose dresses a card in blocks. struck is an earlier statement that no longer stands; it is shown struck through.
func compose(c card.Card, struck string) message {
	b := builder{}
	b.section("*" + escape(c.Mark+" "+c.Headline) + "*")
	if struck != "" {
		b.section("~" + strings.ReplaceAll(escape(struck), "~", "∼") + "~")
	}
	var statement, small []string
	for _, l := range c.Lines {
		switch l.Word {
		case "NEXT", "BLIND", "NOTE", "OWNER":
			small = append(small, line(l))
		default:
			statement = append(statement, line(l))
		}
	}
	for _, s := range statement {
		b.section(s)
	}
	b.context(append(small, escape(c.Stamp)))
	b.buttons(c.Links)
	text := c.Mark + " " + c.Headline
	if len(c.Lines) > 0 {
		text += "\n" + c.Lines[0].Word + ": " + c.Lines[0].Text
	}
	return message{text: clip(escape(text), maxText), blocks: b.blocks}
}

// plain is the card as nothing but text: what is posted when Slack refuses the blocks.
func plain(c card.Card) message { return message{text: clip(escape(c.Text()), maxText)} }

func line(l card.Line) string {
	s := "*" + escape(l.Word) + "*"
	if l.Text != "" {
		s += "  " + escape(l.Text)
	}
	if l.URL != "" && len(l.URL) <= maxURL {
		s += "  <" + escape(l.URL) + "|open>"
	}
	var sSb68 strings.Builder
	for _, sub := range l.Sub {
		sSb68.WriteString("\n        " + escape(sub))
	}
	s += sSb68.String()
	return s
}

type builder struct {
	blocks []slackapi.Block
	total  int
}

func (b *builder) room(s string, limit int) string {
	s = clip(s, min(limit, maxTotal-b.total))
	b.total += utf8.RuneCountInString(s)
	return s
}

func (b *builder) section(s string) {
	if s = b.room(s, maxSection); s == "" || len(b.blocks) >= maxBlocks-2 {
		return
	}
	b.blocks = append(b.blocks, slackapi.NewSectionBlock(slackapi.NewTextBlockObject(slackapi.MarkdownType, s, false, true), nil, nil))
}

func (b *builder) context(lines []string) {
	s := b.room(strings.Join(lines, "\n"), maxContext)
	if s == "" {
		return
	}
	b.blocks = append(b.blocks, slackapi.NewContextBlock("", slackapi.NewTextBlockObject(slackapi.MarkdownType, s, false, true)))
}

// buttons are links only: pressing one opens a page, and only a form on that page acts.
func (b *builder) buttons(l card.Links) {
	var elements []slackapi.BlockElement
	for i, x := range []struct{ text, url string }{{"Open", l.Page}, {"It was this", l.Yes}, {"Not it", l.No}} {
		if x.url == "" || len(x.url) > maxURL {
			continue
		}
		e := slackapi.NewButtonBlockElement(fmt.Sprint("triaged_link_", i), "", slackapi.NewTextBlockObject(slackapi.PlainTextType, x.text, false, false))
		elements = append(elements, e.WithURL(x.url))
	}
	if len(elements) > 0 {
		b.blocks = append(b.blocks, slackapi.NewActionBlock("", elements...))
	}
}

// Slack knows three entities. The look-alikes keep asterisks and back quotes from pairing up as formatting.
var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "*", "∗", "`", "ˋ")

// escape makes a string plain to Slack: no links, no mentions, no formatting by accident.
func escape(s string) string {
	return escaper.Replace(s)
}

// clip cuts at n characters and leaves no half entity behind.
func clip(s string, n int) string {
	if n <= 0 {
		return ""
	}
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	s = string([]rune(s)[:n-1])
	if i := strings.LastIndexByte(s, '&'); i >= 0 && !strings.Contains(s[i:], ";") {
		s = s[:i]
	}
	return s + "…"
}
