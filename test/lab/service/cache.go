package service

import (
	"sync"
	"time"
)

// cacheEntries bounds a process's own cache: at most that many answers of a few hundred bytes.
const cacheEntries = 4096

// cache is a process's own: empty after every start.
type cache struct {
	mu sync.Mutex
	m  map[string]cached
}

type cached struct {
	value   []byte
	expires time.Time
}

func newCache() *cache { return &cache{m: make(map[string]cached)} }

func (c *cache) get(key string) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.m[key]
	if !ok || time.Now().After(e.expires) {
		delete(c.m, key)
		return nil, false
	}
	return e.value, true
}

func (c *cache) set(key string, value []byte, ttl time.Duration) {
	if ttl <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.m) >= cacheEntries {
		clear(c.m)
	}
	c.m[key] = cached{value, time.Now().Add(ttl)}
}

func (c *cache) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.m)
}
