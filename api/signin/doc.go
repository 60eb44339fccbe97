// Package signin says which person a browser belongs to: one who has signed in at the company's OpenID provider, by a session in a
// sealed cookie, or one whom a trusted proxy in front names in a header.
//
// It only says who. What they may do is the API's to decide, from the groups they are in; it keeps no password and no token of theirs.
package signin
