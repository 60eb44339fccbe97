// Package card words a report for on-call: one screen, plain text, every line single and bounded, and says what in it is news.
//
// It dresses nothing and posts nothing: that is the notifiers', who do not reword it.
package card
