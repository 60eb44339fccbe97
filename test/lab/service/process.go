package service

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// process is one running instance of one service.
type process struct {
	name     string
	file     *settingsFile
	registry *registryFile
	meter    *meter
	started  time.Time
	mux      *http.ServeMux
	in       limiter
	wanted   []func(*Settings) // called with new settings
	runners  []func(context.Context)
}

func (p *process) settings() *Settings { return p.file.now.Load() }

// each calls f with the settings, now and after every change of them.
func (p *process) each(f func(*Settings)) {
	f(p.settings())
	p.wanted = append(p.wanted, f)
}

// Run is one service until ctx ends. It writes one line to out when it listens: its two addresses, for requests and for metrics.
func Run(ctx context.Context, settings string, out io.Writer) error {
	file, err := openSettings(settings)
	if err != nil {
		return err
	}
	s := file.now.Load()
	role, known := roles[s.Name]
	if !known {
		return fmt.Errorf("no service is called %q", s.Name)
	}
	registry, err := openRegistry(s.Registry)
	if err != nil {
		return err
	}
	p := &process{name: s.Name, file: file, registry: registry, meter: newMeter(s, role.metrics), started: time.Now(), mux: http.NewServeMux()}
	listener, err := net.Listen("tcp", s.Listen)
	if err != nil {
		return err
	}
	metrics := listener
	if role.tcp {
		if metrics, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return err
		}
	}
	if role.setup != nil {
		if err := role.setup(p); err != nil {
			return err
		}
	}
	p.mux.Handle("GET /metrics", promhttp.HandlerFor(p.meter.reg, promhttp.HandlerOpts{}))
	p.mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	server := &http.Server{Handler: p.mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 30 * time.Second}
	if role.tls {
		server.TLSConfig = &tls.Config{GetCertificate: p.certificate}
		server.IdleTimeout = 500 * time.Millisecond // so that a certificate is seen soon
		metrics = tls.NewListener(metrics, server.TLSConfig)
	}
	for _, run := range p.runners {
		go run(ctx)
	}
	go p.follow(ctx)
	if role.tcp {
		go func() { _ = p.serveStore(ctx, listener) }()
	}
	if _, err := fmt.Fprintln(out, listener.Addr(), metrics.Addr()); err != nil {
		return err
	}
	go func() {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		_ = server.Shutdown(grace)
	}()
	if err := server.Serve(metrics); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// follow takes in new settings and addresses, and ends the process where its build is one that crashes.
func (p *process) follow(ctx context.Context) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		before := p.settings()
		_ = errors.Join(p.file.read(), p.registry.read()) // half a file is read again in a moment
		if s := p.settings(); s != before {
			for _, f := range p.wanted {
				f(s)
			}
		}
		if after := p.settings().Build.CrashAfterS; after > 0 && time.Since(p.started).Seconds() > after {
			panic("index out of range [7] with length 7")
		}
	}
}

func (p *process) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	file := p.settings().Certificate
	c, err := tls.LoadX509KeyPair(file, file)
	return &c, err
}

// route serves one path: within the process's slots, measured, with what its build does wrong.
func (p *process) route(pattern string, slots float64, handle func(*http.Request) int) {
	p.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		began, code := time.Now(), http.StatusServiceUnavailable
		if p.in.enter(r.Context(), int(p.settings().value("slots", slots)), int(p.settings().value("backlog", 64))) {
			if code = http.StatusInternalServerError; p.misbehave(r.Context()) == nil {
				code = handle(r)
			}
			p.in.leave()
		}
		w.WriteHeader(code)
		p.meter.request(r.URL.Path, r.Method, code, time.Since(began))
	})
}

// misbehave is what a bad build does to every request and job.
func (p *process) misbehave(ctx context.Context) error {
	b := p.settings().Build
	if b.DelayMS > 0 {
		sleep(ctx, time.Duration(b.DelayMS*(.5+rand.Float64())*float64(time.Millisecond)))
	}
	quiet := b.BurstS > 0 && int(time.Since(p.started).Seconds()/b.BurstS)%2 == 1
	if b.ErrorShare > 0 && !quiet && rand.Float64() < b.ErrorShare {
		return errors.New("nil map")
	}
	return nil
}

// waitingGauge shows how many requests stand in line, as a good framework does.
func (p *process) waitingGauge(name string) {
	p.meter.gauge(name, prometheus.Labels{}, func() float64 { return float64(p.in.waiting()) })
}
