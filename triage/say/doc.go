// Package say puts values into words: a change, a place, a time, a quantity reads the same on card, page, time axis,
// post-mortem, chat and terminal because all of them ask here.
//
// It decides nothing, ranks nothing and reads no clock. Sentences are made here and parsed nowhere: who needs a fact takes
// the value it was made from.
package say
