package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver
)

// postgres is a database server of our own in a temporary directory, run by somebody without privileges.
type postgres struct {
	dsn   string
	child *child
	admin *sql.DB
}

const schema = `
CREATE TABLE seats (id serial PRIMARY KEY, event text NOT NULL, held_by text, held_at timestamptz, confirmed boolean NOT NULL DEFAULT false);
INSERT INTO seats (event) SELECT (n % 40)::text FROM generate_series(1, 12000) n;
CREATE INDEX ON seats (event) WHERE held_by IS NULL;
CREATE INDEX ON seats (event);
CREATE INDEX ON seats (held_at) WHERE held_at IS NOT NULL;
CREATE TABLE orders (id serial PRIMARY KEY, event text NOT NULL, buyer text NOT NULL);
CREATE INDEX ON orders (buyer, id);
ANALYZE;`

func startPostgres(ctx context.Context, dir string) (*postgres, error) {
	initdb, err := postgresProgram("initdb")
	if err != nil {
		return nil, err
	}
	server, err := postgresProgram("postgres")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	as, err := unprivileged()
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "postgres")
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, err
	}
	if as != nil {
		if err := os.Chown(data, int(as.Uid), int(as.Gid)); err != nil {
			return nil, err
		}
	}
	command := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(name, args...)
		cmd.Dir, cmd.SysProcAttr = data, &syscall.SysProcAttr{Credential: as}
		cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
		return cmd
	}
	if said, err := command(initdb, "-D", filepath.Join(data, "db"), "-U", "lab", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, said)
	}
	_, port, _ := strings.Cut(address, ":")
	c, err := spawn("postgres", command(server, "-D", filepath.Join(data, "db"), "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
		"-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "shared_buffers=16MB", "-c", "max_connections=80", "-c", "autovacuum_naptime=5min"), false)
	if err != nil {
		return nil, err
	}
	p := &postgres{dsn: "postgres://lab@" + address + "/postgres?sslmode=disable", child: c}
	if p.admin, err = sql.Open("pgx", p.dsn); err != nil {
		return nil, err
	}
	if err := eventually(ctx, 20*time.Second, "PostgreSQL answers", func() error { return p.admin.PingContext(ctx) }); err != nil {
		p.close()
		return nil, fmt.Errorf("%w: %s", err, c.said())
	}
	if _, err := p.admin.ExecContext(ctx, schema); err != nil {
		p.close()
		return nil, fmt.Errorf("create the tables: %w", err)
	}
	return p, nil
}

func (p *postgres) close() {
	p.admin.Close()
	p.child.stop(syscall.SIGINT) // fast: clients are not waited for
}

// postgresProgram looks where Debian keeps what is not for everybody's path.
func postgresProgram(name string) (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name) // the pattern is good
	return peer(append([]string{name}, found...)...)
}

// unprivileged is whom the server runs as: PostgreSQL refuses root. Nil is who we are.
func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

// lock takes a table away from everybody, as a migration that rewrites it does, until the returned function is called.
func (p *postgres) lock(ctx context.Context, table string) (release func(), err error) {
	tx, err := p.admin.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return nil, err
	}
	if _, err := tx.ExecContext(ctx, "LOCK TABLE "+table+" IN ACCESS EXCLUSIVE MODE"); err != nil {
		_ = tx.Rollback()
		return nil, err
	}
	return func() { _ = tx.Rollback() }, nil
}

// eventually asks until it is so.
func eventually(ctx context.Context, limit time.Duration, what string, f func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := f()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case time.Now().After(deadline):
			return fmt.Errorf("%s: not within %s: %w", what, limit, err)
		}
		sleep(ctx, 50*time.Millisecond)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
