package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/triaged-dev/triaged/configs"
)

// onFiles reloads when the files of teams or of the catalogue have changed, until ctx ends. Whoever puts them there, a Git checkout, a
// mounted ConfigMap, writes several one after the other: what is taken has stayed the same from one look to the next.
func (r *reloader) onFiles(ctx context.Context) error {
	taken := r.files()
	before := taken
	for {
		every := r.filesInterval()
		timer := time.NewTimer(max(every, time.Second))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		if every == 0 {
			continue // until a reload sets it
		}
		now := r.files()
		if now == before && now != taken {
			taken = now
			r.log.Info("files of teams or of the catalogue have changed")
			// The reason is logged and kept for /-/ready by reload itself.
			_ = r.reload(ctx)
		}
		before = now
	}
}

func (r *reloader) filesInterval() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Duration(r.running.TeamsRead)
}

// files is a sign of all the files there are: it changes with their names, sizes and times.
func (r *reloader) files() string {
	r.mu.Lock()
	patterns := r.running.TeamPaths()
	r.mu.Unlock()
	h := sha256.New()
	for _, pattern := range patterns {
		paths, err := filepath.Glob(pattern)
		fmt.Fprintln(h, pattern, err)
		for _, path := range paths {
			files, err := configs.Walk(path)
			fmt.Fprintln(h, path, err)
			for _, f := range files {
				if info, err := os.Stat(f); err == nil {
					fmt.Fprintln(h, f, info.Size(), info.ModTime().UnixNano())
				}
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
