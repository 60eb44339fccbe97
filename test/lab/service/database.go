package service

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"sync"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// database is a process's pool of connections to PostgreSQL.
type database struct {
	p    *process
	pool *sql.DB

	mu     sync.Mutex
	leaked []*sql.Conn // held for ever by a build that leaks
}

func (p *process) openDatabase(size float64) (*database, error) {
	pool, err := sql.Open("pgx", p.settings().Database)
	if err != nil {
		return nil, err
	}
	pool.SetMaxIdleConns(4)
	pool.SetConnMaxIdleTime(5 * time.Second)
	d := &database{p: p, pool: pool}
	p.each(func(s *Settings) { pool.SetMaxOpenConns(int(s.value("pool_size", size))) })
	if p.meter.how == classic {
		p.meter.reg.MustRegister(collectors.NewDBStatsCollector(pool, "tickets"))
		return d, nil
	}
	for state, read := range map[string]func() float64{
		"idle": func() float64 { return float64(pool.Stats().Idle) },
		"used": func() float64 { return float64(pool.Stats().InUse) },
	} {
		p.meter.gauge("db_client_connection_count", prometheus.Labels{"db_client_connection_pool_name": "tickets", "db_client_connection_state": state}, read)
	}
	p.meter.gauge("db_client_connection_max", prometheus.Labels{"db_client_connection_pool_name": "tickets"}, func() float64 { return float64(pool.Stats().MaxOpenConnections) })
	waits := prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "db_client_connection_wait_seconds_total", Help: "Time spent waiting for a connection.", ConstLabels: prometheus.Labels{"db_client_connection_pool_name": "tickets"},
	}, func() float64 { return pool.Stats().WaitDuration.Seconds() })
	p.meter.reg.MustRegister(waits)
	return d, nil
}

// run runs one statement within a request. Waiting for a connection counts, as it does for the caller.
func (d *database) run(ctx context.Context, operation, statement string, args ...any) (err error) {
	ctx, cancel := context.WithTimeout(ctx, d.p.settings().millis("timeout_ms.database", 1200))
	defer cancel()
	b := d.p.settings().Build
	for range 1 + b.Queries {
		began := time.Now()
		err = d.drain(ctx, statement, args)
		d.p.meter.query("postgresql", "tickets-db", operation, err, time.Since(began))
		if err != nil {
			return err
		}
	}
	d.leak(ctx, b.LeakShare)
	return nil
}

// leak takes a connection for ever, in some requests.
func (d *database) leak(ctx context.Context, share float64) {
	if share == 0 || rand.Float64() >= share {
		return
	}
	if c, err := d.pool.Conn(ctx); err == nil {
		d.mu.Lock()
		d.leaked = append(d.leaked, c)
		d.mu.Unlock()
	}
}

// transaction runs statements on one connection and keeps it while the rest of the work is done.
func (d *database) transaction(ctx context.Context, work func(), statements ...[]any) (err error) {
	began := time.Now()
	defer func() { d.p.meter.query("postgresql", "tickets-db", "TRANSACTION", err, time.Since(began)) }()
	ctx, cancel := context.WithTimeout(ctx, d.p.settings().millis("timeout_ms.database", 1800))
	defer cancel()
	tx, err := d.pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	for _, s := range statements {
		if _, err = tx.ExecContext(ctx, s[0].(string), s[1:]...); err != nil {
			return err
		}
	}
	work()
	if err = tx.Commit(); err == nil {
		d.leak(ctx, d.p.settings().Build.LeakShare)
	}
	return err
}

// drain reads all rows of a statement.
func (d *database) drain(ctx context.Context, statement string, args []any) error {
	rows, err := d.pool.QueryContext(ctx, statement, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		continue
	}
	return rows.Err()
}
