// Package words has every case at hand said in every room — card, pages, API, chat, logs, graphs, digest — and holds what they say
// against each other: one name for one change, nothing said twice, no unit or direction that is wrong, one form for spans and
// moments. It is tests only.
package words
