package service

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// search answers from an index it builds at its start and keeps answers for some seconds. Readers of the index are few.
func search(p *process) error {
	index := buildIndex(int(p.settings().value("documents", 6000)))
	answers, fees := newCache(), p.newClient("fees", nil)
	var readers limiter
	p.meter.gauge("search_cached_answers", nil, func() float64 { return float64(answers.len()) })
	p.route("GET /query", 32, func(r *http.Request) int {
		cfg, q := p.settings(), r.FormValue("q")
		if cfg.Flags["typo-tolerance"] { // asks for the price of each near miss, one by one
			for range 40 {
				if code, _, err := fees.do(r.Context(), http.MethodPost, "/quote?event="+q); ok(code, err) != nil {
					return http.StatusInternalServerError
				}
			}
		}
		_, hit := answers.get(q)
		p.meter.cache("answers", hit)
		if hit {
			return http.StatusOK
		}
		if !readers.enter(r.Context(), int(cfg.value("readers", 1)), 64) {
			return http.StatusServiceUnavailable
		}
		found := index.find(q)
		time.Sleep(cfg.millis("read_ms", 190))
		readers.leave()
		if code, _, err := fees.do(r.Context(), http.MethodPost, "/quote?event="+q); ok(code, err) != nil {
			return http.StatusInternalServerError
		}
		answers.set(q, found, cfg.millis("ttl_ms", 20000))
		return http.StatusOK
	})
	p.route("POST /refresh", 32, func(*http.Request) int {
		index.refresh()
		return http.StatusOK
	})
	return nil
}

// index is a list of documents, by word.
type index struct{ words map[string][]int }

func buildIndex(documents int) *index {
	x := &index{words: make(map[string][]int)}
	for d := range documents {
		for w := range 8 {
			word := fmt.Sprintf("w%d", (d*31+w*w*7)%900)
			x.words[word] = append(x.words[word], d)
		}
	}
	return x
}

func (x *index) find(q string) []byte {
	n := 0
	for _, d := range x.words["w"+q] {
		n += d
	}
	return fmt.Appendf(nil, "%s %d", q, n)
}

func (x *index) refresh() { spin(4000) }

const (
	markHeld  = `UPDATE seats SET held_by = $1, held_at = now() WHERE id = (SELECT id FROM seats WHERE event = $2 AND held_by IS NULL LIMIT 1 FOR UPDATE SKIP LOCKED)`
	readMap   = `SELECT id, held_by FROM seats WHERE event = $1`
	confirm   = `UPDATE seats SET confirmed = true WHERE id = (SELECT id FROM seats WHERE held_by IS NOT NULL AND NOT confirmed LIMIT 1 FOR UPDATE SKIP LOCKED)`
	expire    = `UPDATE seats SET held_by = NULL, confirmed = false WHERE held_at < now() - interval '20 seconds'`
	newOrder  = `INSERT INTO orders (event, buyer) VALUES ($1, $2)`
	lastOrder = `SELECT id, event FROM orders WHERE buyer = $1 ORDER BY id DESC LIMIT 5`
)

// seats knows every seat of every event: in PostgreSQL, with maps of them in the store.
func seats(p *process) error {
	db, err := p.openDatabase(8)
	if err != nil {
		return err
	}
	store := p.newStoreClient()
	p.route("GET /map", 24, func(r *http.Request) int {
		event := r.FormValue("event")
		if _, hit, _ := store.get(r.Context(), "map:"+event); hit {
			return http.StatusOK
		}
		if db.run(r.Context(), "SELECT", readMap, event) != nil {
			return http.StatusInternalServerError
		}
		_ = store.set(r.Context(), "map:"+event, []byte(strings.Repeat("s", 900)), p.settings().millis("map_ttl_ms", 3000))
		return http.StatusOK
	})
	exec := func(operation, statement string, args func(*http.Request) []any) func(*http.Request) int {
		return func(r *http.Request) int {
			if db.run(r.Context(), operation, statement, args(r)...) != nil {
				return http.StatusInternalServerError
			}
			return http.StatusOK
		}
	}
	none := func(*http.Request) []any { return nil }
	p.route("POST /hold", 24, exec("UPDATE", markHeld, func(r *http.Request) []any { return []any{r.FormValue("order"), r.FormValue("event")} }))
	p.route("POST /confirm", 24, exec("UPDATE", confirm, none))
	p.route("POST /expire", 24, exec("UPDATE", expire, none))
	return nil
}

// orders sells: a hold, a price, the money, a row, two messages.
func orders(p *process) error {
	db, err := p.openDatabase(2)
	if err != nil {
		return err
	}
	p.waitingGauge("http_server_queued_requests")
	seats, fees, pay, broker := p.newClient("seats", nil), p.newClient("fees", nil), p.newClient("pay", nil), p.newClient("broker", nil)
	p.route("POST /order", 10, func(r *http.Request) int {
		ctx, event, buyer := r.Context(), r.FormValue("event"), strconv.Itoa(rand.IntN(2000))
		if p.settings().Flags["one-click"] && rand.Float64() < .6 { // the new way trips over buyers without a saved card
			return http.StatusInternalServerError
		}
		for _, call := range []struct {
			to   *client
			path string
		}{
			{seats, "/hold?event=" + event + "&order=" + buyer},
			{fees, "/quote?event=" + event},
			{pay, "/authorize"},
		} {
			if code, _, err := call.to.do(ctx, http.MethodPost, call.path); ok(code, err) != nil {
				return http.StatusBadGateway
			}
		}
		err := db.transaction(ctx, func() { sleep(ctx, p.settings().millis("sign_ms", 300)) }, // the seal is made while the row is locked
			[]any{lastOrder, buyer}, []any{newOrder, event, buyer})
		if err != nil {
			return http.StatusInternalServerError
		}
		return p.announce(ctx, broker)
	})
	return nil
}

func (p *process) announce(ctx context.Context, broker *client) int {
	for _, queue := range queueNames {
		if code, _, err := broker.do(ctx, http.MethodPost, "/publish?queue="+queue); ok(code, err) != nil {
			return http.StatusInternalServerError
		}
	}
	return http.StatusCreated
}
