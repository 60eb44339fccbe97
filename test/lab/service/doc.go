// Package service is the lab's small ticket office: every service of it, as one process each.
//
//	gate ─┬─ search ── fees ── store
//	      ├─ seats ─┬─ store
//	      │         └─ PostgreSQL
//	      └─ orders ┬─ seats, fees, PostgreSQL
//	                ├─ pay ── acquirer (a vendor, over TLS)
//	                └─ broker ◂─┬─ issuer ── seats, store
//	                            └─ notify ── postbox (a vendor)
//	scheduler ── seats, search
//
// Nothing in it pretends: pools fill up, caches are cold after a restart, queues grow, timeouts fire, certificates run out. What
// is wrong with a process is either its build (Build), its configuration (Values) or a flag, as in life.
package service
