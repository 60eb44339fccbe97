package api_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// idp is an OpenID provider that does as its test says: right unless told otherwise.
type idp struct {
	*httptest.Server
	t testing.TB

	mu       sync.Mutex
	down     bool
	issuer   string // in its configuration; empty: its address
	key      *ecdsa.PrivateKey
	kid      string
	claims   map[string]any       // of the id_token, over the usual ones
	info     map[string]any       // of the person, where asked
	sign     func([]byte) string  // in place of the right signature
	deny     string               // an error in place of a code
	extra    url.Values           // besides code and state
	noToken  bool                 // answers without an id_token
	codes    map[string]codeGiven // once each
	secret   string
	asked    int // how often its configuration was asked for
	infoRead int
}

type codeGiven struct{ nonce, challenge, redirect string }

const clientID, clientSecret = "triaged-web", "a-secret-of-the-client"

func newIDP(t testing.TB) *idp {
	p := &idp{t: t, codes: make(map[string]codeGiven), secret: clientSecret}
	p.rotate("first")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.configuration)
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	mux.HandleFunc("GET /keys", p.keys)
	mux.HandleFunc("GET /userinfo", p.userinfo)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.down {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

// set changes what the provider does.
func (p *idp) set(change func(*idp)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

func (p *idp) rotate(kid string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	p.key, p.kid = key, kid
}

func (p *idp) answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		p.t.Error(err)
	}
}

func (p *idp) configuration(w http.ResponseWriter, _ *http.Request) {
	p.asked++
	issuer := p.issuer
	if issuer == "" {
		issuer = p.URL
	}
	p.answer(w, map[string]any{
		"issuer": issuer, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
		"userinfo_endpoint": p.URL + "/userinfo", "id_token_signing_alg_values_supported": []string{"ES256", "none", "HS256"},
	})
}

// authorize lets everybody in and sends them back with a code.
func (p *idp) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("response_type") != "code" || q.Get("client_id") != clientID || q.Get("code_challenge_method") != "S256" || len(q.Get("nonce")) < 16 || len(q.Get("state")) < 16 {
		p.t.Errorf("not how one asks for a code: %v", q)
	}
	back := url.Values{"state": {q.Get("state")}}
	if p.deny != "" {
		back.Set("error", p.deny)
	} else {
		code := rand.Text()
		p.codes[code] = codeGiven{q.Get("nonce"), q.Get("code_challenge"), q.Get("redirect_uri")}
		back.Set("code", code)
	}
	maps.Copy(back, p.extra)
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
}

func (p *idp) token(w http.ResponseWriter, r *http.Request) {
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	given, known := p.codes[r.PostFormValue("code")]
	delete(p.codes, r.PostFormValue("code"))
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if !known || id != clientID || secret != p.secret || given.redirect != r.PostFormValue("redirect_uri") ||
		base64.RawURLEncoding.EncodeToString(sum[:]) != given.challenge {
		w.WriteHeader(http.StatusBadRequest)
		p.answer(w, map[string]string{"error": "invalid_grant", "error_description": "code " + r.PostFormValue("code")})
		return
	}
	answer := map[string]any{"access_token": "access-" + rand.Text(), "token_type": "Bearer", "expires_in": 300}
	if !p.noToken {
		answer["id_token"] = p.idToken(given.nonce)
	}
	p.answer(w, answer)
}

// idToken makes the token of a person, with what the test wants wrong about it. A claim that is nil is left out.
func (p *idp) idToken(nonce string) string {
	said := map[string]any{
		"iss": p.URL, "aud": clientID, "sub": "u-17", "nonce": nonce, "iat": now.Unix(), "exp": now.Unix() + 300,
		"preferred_username": "kim", "groups": []string{"team-pricing", "engineering"},
	}
	for k, v := range p.claims {
		said[k] = v
		if v == nil {
			delete(said, k)
		}
	}
	payload, err := json.Marshal(said)
	if err != nil {
		p.t.Error(err)
	}
	if p.sign != nil {
		return p.sign(payload)
	}
	return signed(p.t, jose.ES256, p.key, p.kid, payload)
}

func signed(t testing.TB, alg jose.SignatureAlgorithm, key any, kid string, payload []byte) string {
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", kid))
	if err != nil {
		t.Error(err)
		return ""
	}
	token, err := s.Sign(payload)
	if err != nil {
		t.Error(err)
		return ""
	}
	compact, err := token.CompactSerialize()
	if err != nil {
		t.Error(err)
	}
	return compact
}

func (p *idp) keys(w http.ResponseWriter, _ *http.Request) {
	p.answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: p.kid, Algorithm: "ES256", Use: "sig"}}})
}

func (p *idp) userinfo(w http.ResponseWriter, _ *http.Request) {
	p.infoRead++
	p.answer(w, p.info)
}
