package github

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/config"

	"github.com/triaged-dev/triaged/triage"
)

// appServer issues installation tokens to whoever proves to be App 17, and passes the rest to the fake.
type appServer struct {
	hub    *fakeGitHub
	key    *rsa.PublicKey
	issued atomic.Int64
	status int
}

func (a *appServer) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if apiPath(req) != "app/installations/99/access_tokens" {
		a.hub.ServeHTTP(w, req)
		return
	}
	if a.status != 0 {
		w.WriteHeader(a.status)
		return
	}
	if err := a.verify(strings.TrimPrefix(req.Header.Get("Authorization"), "Bearer ")); err != nil || req.Method != http.MethodPost {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	n := a.issued.Add(1)
	a.hub.mu.Lock()
	a.hub.token = fmt.Sprintf("installation-%d", n)
	a.hub.mu.Unlock()
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{"token": fmt.Sprintf("installation-%d", n), "expires_at": a.hub.now().Add(time.Hour)})
}

func (a *appServer) verify(jwt string) error {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return fmt.Errorf("%d parts", len(parts))
	}
	sig, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if err := rsa.VerifyPKCS1v15(a.key, crypto.SHA256, sum[:], sig); err != nil {
		return err
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return err
	}
	var claims struct {
		Iat, Exp int64
		Iss      string
	}
	if err := json.Unmarshal(raw, &claims); err != nil {
		return err
	}
	now := a.hub.now().Unix()
	if claims.Iss != "17" || claims.Iat > now || claims.Exp <= now || claims.Exp-claims.Iat > 600 {
		return fmt.Errorf("claims %+v", claims)
	}
	return nil
}

func appKey(t *testing.T, pkcs8 bool) (*rsa.PrivateKey, string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	if pkcs8 {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		block = &pem.Block{Type: "PRIVATE KEY", Bytes: der}
	}
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	return key, file
}

// An Enterprise Server over a real connection, by App: the token is fetched once, renewed before it ends, and again when revoked.
func TestAppOnEnterpriseServer(t *testing.T) {
	for _, pkcs8 := range []bool{false, true} {
		key, file := appKey(t, pkcs8)
		at := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
		hub := newFake(func() time.Time { return at })
		app := &appServer{hub: hub, key: &key.PublicKey}
		srv := httptest.NewServer(app)
		t.Cleanup(srv.Close)
		cfg := DefaultConfig()
		cfg.APIURL = srv.URL
		cfg.App = &App{ID: 17, InstallationID: 99, PrivateKeyFile: file}
		cfg.Repositories = []Repository{{Name: repoName1}}
		s := newTestSource(t, Options{Config: cfg, Now: func() time.Time { return at }})
		hub.set(deploys, []any{})
		rec := &recorder{}
		poll := func(d time.Duration) {
			at = at.Add(d)
			s.round(t.Context(), rec.emit)
		}
		poll(0)
		poll(time.Minute)
		if st := s.Status(); st.State != triage.SourceOK || app.issued.Load() != 1 {
			t.Fatalf("want ok with one token, got %+v and %d", st, app.issued.Load())
		}
		poll(56 * time.Minute)
		if app.issued.Load() != 2 {
			t.Errorf("want a new token before the old one ends, got %d", app.issued.Load())
		}
		hub.mu.Lock()
		hub.token = "revoked"
		hub.mu.Unlock()
		poll(time.Minute)
		poll(time.Hour)
		if st := s.Status(); st.State != triage.SourceOK || app.issued.Load() != 3 {
			t.Errorf("after a revocation: want ok with a third token, got %+v and %d", st, app.issued.Load())
		}
		app.status = http.StatusNotFound
		poll(2 * time.Hour)
		if st := s.Status(); st.State != triage.SourceDown || !strings.Contains(st.Detail, "check installation_id") {
			t.Errorf("uninstalled: want down with the fix, got %+v", st)
		}
	}
}

func TestTokenFileOnEnterpriseServer(t *testing.T) {
	hub := newFake(time.Now)
	srv := httptest.NewServer(hub)
	defer srv.Close()
	hub.set(deploys, []any{})
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("t0ken\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, set := range map[string]func(*Config){
		"token":      func(c *Config) { c.Token = "t0ken" },
		"token_file": func(c *Config) { c.TokenFile = file },
		"http_config": func(c *Config) {
			c.HTTPConfig.Authorization = &config.Authorization{Type: "Bearer", Credentials: "t0ken"}
		},
	} {
		cfg := DefaultConfig()
		cfg.APIURL = srv.URL
		cfg.Repositories = []Repository{{Name: repoName1}}
		set(&cfg)
		s := newTestSource(t, Options{Config: cfg})
		s.round(t.Context(), (&recorder{}).emit)
		if st := s.Status(); st.State != triage.SourceOK {
			t.Errorf("%s: want ok, got %+v", name, st)
		}
	}
}

func TestKeyFilesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	for want, file := range map[string]string{
		"no such file":        filepath.Join(dir, "missing"),
		"holds no PEM block":  write("text", "hello"),
		"no PKCS#1 or PKCS#8": write("junk", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("junk")}))),
	} {
		cfg := DefaultConfig()
		cfg.App = &App{ID: 17, InstallationID: 99, PrivateKeyFile: file}
		cfg.Repositories = []Repository{{Name: repoName1}}
		if _, err := New(Options{Config: cfg}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
