package github

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// appAuth signs requests as an installation of a GitHub App. Installation tokens last an hour and are renewed before they end.
type appAuth struct {
	next   http.RoundTripper
	app    App
	key    *rsa.PrivateKey
	base   *url.URL // API root, with trailing slash
	now    func() time.Time
	flight singleflight.Group

	mu      sync.Mutex
	token   string
	expires time.Time
}

const (
	renewBefore = 5 * time.Minute
	jwtLife     = 9 * time.Minute // GitHub allows ten
	jwtSkew     = time.Minute     // our clock may be ahead
)

func newAppAuth(next http.RoundTripper, app App, base *url.URL, now func() time.Time) (*appAuth, error) {
	data, err := os.ReadFile(app.PrivateKeyFile)
	if err != nil {
		return nil, fmt.Errorf("app.private_key_file: %w", err)
	}
	key, err := parseKey(data)
	if err != nil {
		return nil, fmt.Errorf("app.private_key_file %s: %w", app.PrivateKeyFile, err)
	}
	return &appAuth{next: next, app: app, key: key, base: base, now: now}, nil
}

func parseKey(data []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("holds no PEM block; generate a private key on the App's settings page")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("holds no PKCS#1 or PKCS#8 private key")
	}
	key, ok := k.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("holds a %T; GitHub Apps use RSA", k)
	}
	return key, nil
}

// RoundTrip implements http.RoundTripper. The token is sent to the API's own host only.
func (a *appAuth) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host != a.base.Host || req.URL.Scheme != a.base.Scheme {
		return a.next.RoundTrip(req)
	}
	token, err := a.current(req.Context())
	if err != nil {
		return nil, err
	}
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := a.next.RoundTrip(req)
	if err == nil && resp.StatusCode == http.StatusUnauthorized {
		a.forget(token) // revoked early, or the App was re-installed: the next request fetches a new one
	}
	return resp, err
}

func (a *appAuth) forget(token string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.token == token {
		a.token = ""
	}
}

func (a *appAuth) cached() (string, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.token, a.token != "" && a.now().Before(a.expires.Add(-renewBefore))
}

// current is a token that is still good for a while; only one caller at a time fetches a new one.
func (a *appAuth) current(ctx context.Context) (string, error) {
	if t, ok := a.cached(); ok {
		return t, nil
	}
	ch := a.flight.DoChan("token", func() (any, error) {
		// Detached from the first caller: its cancelling must not fail the others. fetchTimeout bounds it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
		defer cancel()
		token, expires, err := a.fetch(ctx)
		if err != nil {
			return "", err
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.token, a.expires = token, expires
		return token, nil
	})
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case r := <-ch:
		if r.Err != nil {
			return "", fmt.Errorf("get installation token of App %d: %w", a.app.ID, r.Err)
		}
		return r.Val.(string), nil
	}
}

func (a *appAuth) fetch(ctx context.Context) (string, time.Time, error) {
	jwt, err := a.jwt()
	if err != nil {
		return "", time.Time{}, err
	}
	u := a.base.JoinPath("app/installations", strconv.FormatInt(a.app.InstallationID, 10), "access_tokens")
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), nil)
	if err != nil {
		return "", time.Time{}, err
	}
	req.Header.Set("Authorization", "Bearer "+jwt)
	req.Header.Set("Accept", "application/vnd.github+json")
	resp, err := a.next.RoundTrip(req)
	if err != nil {
		return "", time.Time{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		return "", time.Time{}, &statusError{Status: resp.StatusCode, Fix: appFix(resp.StatusCode)}
	}
	var body struct {
		Token     string    `json:"token"`
		ExpiresAt time.Time `json:"expires_at"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxErrorBody)).Decode(&body); err != nil {
		return "", time.Time{}, fmt.Errorf("decode installation token: %w", err)
	}
	if body.Token == "" {
		return "", time.Time{}, errors.New("decode installation token: it is empty")
	}
	return body.Token, body.ExpiresAt, nil
}

func appFix(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "check app_id, private_key_file and this machine's clock"
	case http.StatusNotFound:
		return "check installation_id; the App may have been uninstalled"
	}
	return ""
}

// jwt is the App's own proof: an RS256 token over issue time, expiry and App number.
func (a *appAuth) jwt() (string, error) {
	now := a.now()
	claims, err := json.Marshal(map[string]any{
		"iat": now.Add(-jwtSkew).Unix(), "exp": now.Add(jwtLife).Unix(), "iss": strconv.FormatInt(a.app.ID, 10),
	})
	if err != nil {
		return "", err
	}
	enc := base64.RawURLEncoding
	signed := enc.EncodeToString([]byte(`{"alg":"RS256","typ":"JWT"}`)) + "." + enc.EncodeToString(claims)
	sum := sha256.Sum256([]byte(signed))
	sig, err := rsa.SignPKCS1v15(rand.Reader, a.key, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("sign App token: %w", err)
	}
	return strings.Join([]string{signed, enc.EncodeToString(sig)}, "."), nil
}
