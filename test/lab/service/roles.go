package service

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// role is what distinguishes one service from another.
type role struct {
	metrics convention
	tcp     bool // speaks the store's protocol; its metrics have a port of their own
	tls     bool
	setup   func(*process) error
}

var roles = map[string]role{
	"gate":      {metrics: otel, setup: gate},
	"search":    {metrics: classic, setup: search},
	"seats":     {metrics: otel, setup: seats},
	"orders":    {metrics: otel, setup: orders},
	"fees":      {metrics: classic, setup: fees},
	"pay":       {metrics: classic, setup: pay},
	"broker":    {metrics: classic, setup: brokerRole},
	"issuer":    {metrics: classic, setup: issuer},
	"notify":    {metrics: otel, setup: notify},
	"scheduler": {metrics: classic, setup: scheduler},
	"store":     {metrics: bare, tcp: true},
	"acquirer":  {metrics: classic, tls: true, setup: acquirer},
	"postbox":   {metrics: classic, setup: postbox},
}

// gate is what visitors reach. It passes errors on as a gateway does.
func gate(p *process) error {
	p.waitingGauge("http_server_queued_requests")
	routes := sync.OnceValue(compileRoutes)
	pass := func(to *client, method, path string) func(*http.Request) int {
		return func(r *http.Request) int {
			for _, rule := range routes() {
				if rule.MatchString(r.URL.Path) {
					break
				}
			}
			switch code, _, err := to.do(r.Context(), method, path+"?"+r.URL.RawQuery); {
			case err == nil && code < 500:
				return code
			case err == nil:
				return http.StatusBadGateway
			default:
				return http.StatusGatewayTimeout
			}
		}
	}
	p.route("GET /find", 48, pass(p.newClient("search", nil), http.MethodGet, "/query"))
	p.route("GET /map", 48, pass(p.newClient("seats", nil), http.MethodGet, "/map"))
	p.route("POST /buy", 48, pass(p.newClient("orders", nil), http.MethodPost, "/order"))
	return nil
}

// compileRoutes is a first request's work: some tens of milliseconds of processor time.
func compileRoutes() []*regexp.Regexp {
	rules := make([]*regexp.Regexp, 0, 300)
	for i := range 300 {
		rules = append(rules, regexp.MustCompile(fmt.Sprintf(`^/(partner|b2b)/%d/([a-z]{1,40}|[0-9]{1,12})/(find|map|buy)/?$`, i)))
	}
	return rules
}

// fees says what a ticket costs. The rates come from the store and are kept for some seconds.
func fees(p *process) error {
	rates, store := newCache(), p.newStoreClient()
	p.route("POST /quote", 6, func(r *http.Request) int {
		cfg := p.settings()
		key := "rates:" + r.FormValue("event")
		if _, ok := rates.get(key); !ok {
			value, hit, _ := store.get(r.Context(), key) // without the store they are worked out
			if !hit {
				time.Sleep(cfg.millis("rates_ms", 12))
				value = []byte(strings.Repeat("r", 200))
				_ = store.set(r.Context(), key, value, 30*time.Second)
			}
			rates.set(key, value, cfg.millis("ttl_ms", 4000))
		}
		spin(2500)
		time.Sleep(time.Duration(7+rand.IntN(5)) * time.Millisecond)
		return http.StatusOK
	})
	return nil
}

// spin uses the processor: about a microsecond for every ten rounds.
func spin(rounds int) {
	n := uint64(0)
	for i := range rounds * 20 {
		n = n*6364136223846793005 + uint64(i)
	}
	spun.Store(n)
}

// spun keeps the compiler from leaving the work out.
var spun atomic.Uint64

// pay takes the money, at a vendor's over TLS.
func pay(p *process) error {
	pem, err := os.ReadFile(p.settings().Authority)
	if err != nil {
		return err
	}
	trust := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "acquirer"}
	if !trust.RootCAs.AppendCertsFromPEM(pem) {
		return errors.New("no certificate in the authority's file")
	}
	acquirer := p.newClient("acquirer", trust)
	p.route("POST /authorize", 8, func(r *http.Request) int {
		if code, _, err := acquirer.do(r.Context(), http.MethodPost, "/charge"); ok(code, err) != nil {
			return http.StatusBadGateway
		}
		return http.StatusOK
	})
	return nil
}

func brokerRole(p *process) error {
	b := p.newBroker()
	p.route("POST /publish", 200, b.publish)
	p.mux.HandleFunc("POST /take", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(b.take(r)) })
	return nil
}

// acquirer and postbox are vendors: nobody here sees their metrics.
func acquirer(p *process) error {
	p.route("POST /charge", 64, func(r *http.Request) int {
		sleep(r.Context(), time.Duration(20+rand.IntN(25))*time.Millisecond+p.settings().millis("delay_ms", 0))
		if rand.Float64() < p.settings().value("fail_share", 0) {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	return nil
}

func postbox(p *process) error {
	p.route("POST /send", 64, func(r *http.Request) int {
		sleep(r.Context(), time.Duration(15+rand.IntN(20))*time.Millisecond+p.settings().millis("delay_ms", 0))
		return http.StatusAccepted
	})
	return nil
}

// issuer makes the tickets of paid orders.
func issuer(p *process) error {
	seats, store := p.newClient("seats", nil), p.newStoreClient()
	p.runners = append(p.runners, func(ctx context.Context) {
		p.consume(ctx, "issue", 2, func(ctx context.Context) error {
			spin(8000)
			sleep(ctx, time.Duration(20+rand.IntN(20))*time.Millisecond)
			code, _, err := seats.do(ctx, http.MethodPost, "/confirm")
			_ = store.set(ctx, fmt.Sprintf("ticket:%d", rand.IntN(500)), []byte(strings.Repeat("t", 400)), time.Minute)
			return ok(code, err)
		})
	})
	return nil
}

// notify tells buyers and organisers: one message becomes several.
func notify(p *process) error {
	postbox := p.newClient("postbox", nil)
	p.runners = append(p.runners, func(ctx context.Context) {
		p.consume(ctx, "notify", 3, func(ctx context.Context) (err error) {
			for range int(p.settings().value("fan_out", 2)) {
				code, _, failed := postbox.do(ctx, http.MethodPost, "/send")
				err = errors.Join(err, ok(code, failed))
			}
			return err
		})
	})
	return nil
}

// scheduler does what the clock demands.
func scheduler(p *process) error {
	every := func(kind string, key string, period float64, to *client, path string) func(context.Context) {
		return func(ctx context.Context) {
			for ctx.Err() == nil {
				sleep(ctx, p.settings().millis(key, period))
				began := time.Now()
				err := p.misbehave(ctx)
				if err == nil {
					var code int
					code, _, err = to.do(ctx, http.MethodPost, path)
					err = ok(code, err)
				}
				p.meter.worked(kind, err, time.Since(began))
			}
		}
	}
	p.runners = append(p.runners,
		every("expire-holds", "expire_ms", 2000, p.newClient("seats", nil), "/expire"),
		every("refresh-index", "refresh_ms", 5000, p.newClient("search", nil), "/refresh"))
	return nil
}
