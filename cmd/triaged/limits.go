package main

import (
	stdlog "log" //nolint:depguard // what net/http wants its errors in
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// memoryShare is how much of the memory that the cgroup allows the Go runtime is told to keep to; the rest is for what it does not
// count: SQLite's page caches of at most 48 MiB, mapped files, and the kernel's share.
const memoryShare = 0.85

// limitMemory tells the runtime what the cgroup allows, unless GOMEMLIMIT says so already. Near the limit it collects garbage more often
// and does not die.
func limitMemory(log *slog.Logger) {
	limit, err := memlimit.Set(memlimit.WithRatio(memoryShare), memlimit.WithProvider(memlimit.FromCgroup))
	switch {
	case err != nil:
		log.Debug("no memory limit of a cgroup", "reason", err)
	case limit > 0:
		log.Info("memory limit taken from the cgroup", "go_memory_limit_bytes", limit)
	}
}

// quietFor is how long the same sort of trouble with connections is only counted.
const quietFor = time.Minute

// connectionLog takes what net/http says of connections: a wrong certificate, a broken request. It warns once a minute, and says how
// many it left out: a port scan must not fill the log, and a client that cannot get in must not go unseen.
func connectionLog(log *slog.Logger) *stdlog.Logger {
	return stdlog.New(&sparse{log: log, now: time.Now}, "", 0)
}

type sparse struct {
	log *slog.Logger
	now func() time.Time

	mu    sync.Mutex
	until time.Time
	left  int
}

func (s *sparse) Write(p []byte) (int, error) {
	text := strings.TrimSpace(string(p))
	s.mu.Lock()
	now := s.now()
	say, left := !now.Before(s.until), s.left
	if say {
		s.until, s.left = now.Add(quietFor), 0
	} else {
		s.left++
	}
	s.mu.Unlock()
	if say {
		s.log.Warn("connection", "err", text, "more_since_last", left)
	} else {
		s.log.Debug("connection", "err", text)
	}
	return len(p), nil
}
