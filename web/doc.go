// Package web serves the pages people look at during and after an incident, and the picture of its time axis.
//
// It shows what is stored and decides nothing: no query is made at render time but to the journal, no ranking is redone,
// and every string that came from outside is escaped. Pages are complete without JavaScript and load nothing from
// another origin.
package web
