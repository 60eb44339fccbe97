package signin

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/prometheus/common/config"
	"golang.org/x/oauth2"
	"golang.org/x/sync/singleflight"
)

const (
	discoverAgain = time.Hour
	askTimeout    = 8 * time.Second // below what the API gives a request
	maxAnswer     = 1 << 20         // bytes of one answer of the provider
)

// provider is the OpenID provider: found when it is first needed, so that a daemon starts while it is away.
type provider struct {
	cfg      OIDC
	secret   string
	redirect string // our callback, as the provider knows it
	client   *http.Client
	now      func() time.Time
	once     singleflight.Group
	found    atomic.Pointer[discovered]
}

type discovered struct {
	*oidc.Provider
	at time.Time
}

func newProvider(cfg OIDC, redirect string, now func() time.Time) (*provider, error) {
	secret, err := cfg.secret()
	if err != nil {
		return nil, err
	}
	hc := config.DefaultHTTPClientConfig
	if cfg.HTTPConfig != nil {
		hc = *cfg.HTTPConfig
	}
	client, err := config.NewClientFromConfig(hc, "oidc")
	if err != nil {
		return nil, fmt.Errorf("auth.oidc.http_config: %w", err)
	}
	client.Timeout = askTimeout
	client.Transport = &bounded{client.Transport}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &provider{cfg: cfg, secret: secret, redirect: redirect, client: client, now: now}, nil
}

// bounded cuts answers: the library reads them whole.
type bounded struct{ next http.RoundTripper }

func (b *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err == nil {
		body := resp.Body
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(body, maxAnswer), body}
	}
	return resp, err
}

// discover asks the provider where its doors are, at most once an hour; an older answer is used while it does not answer.
func (p *provider) discover(ctx context.Context) (*discovered, error) {
	old := p.found.Load()
	if old != nil && p.now().Sub(old.at) < discoverAgain {
		return old, nil
	}
	v, err, _ := p.once.Do("", func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTimeout)
		defer cancel()
		// The library keeps the client, and nothing else of this context, for the keys it asks for later.
		found, err := oidc.NewProvider(oidc.ClientContext(ctx, p.client), p.cfg.Issuer)
		if err != nil {
			return nil, err
		}
		d := &discovered{found, p.now()}
		p.found.Store(d)
		return d, nil
	})
	switch {
	case err == nil:
		return v.(*discovered), nil
	case old != nil:
		return old, nil
	}
	return nil, fmt.Errorf("ask the provider for its configuration: %w", err)
}

func (p *provider) oauth(d *discovered) *oauth2.Config {
	return &oauth2.Config{ClientID: p.cfg.ClientID, ClientSecret: p.secret, Endpoint: d.Endpoint(), RedirectURL: p.redirect, Scopes: p.cfg.Scopes}
}

// address is where a browser is sent to sign in.
func (p *provider) address(ctx context.Context, f flow) (string, error) {
	d, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	return p.oauth(d).AuthCodeURL(f.State, oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)), nil
}

// redeem turns the code into a person. Whatever does not fit exactly is an error: nobody is signed in by halves.
func (p *provider) redeem(ctx context.Context, f flow, code string) (Person, error) {
	d, err := p.discover(ctx)
	if err != nil {
		return Person{}, err
	}
	ctx = oidc.ClientContext(ctx, p.client)
	token, err := p.oauth(d).Exchange(ctx, code, oauth2.VerifierOption(f.Verifier))
	if err != nil {
		return Person{}, fmt.Errorf("redeem the code: %w", hideBody(err))
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return Person{}, errors.New("the provider sent no id_token; is openid among auth.oidc.scopes?")
	}
	skew := time.Duration(p.cfg.ClockSkew)
	id, err := d.VerifierContext(ctx, &oidc.Config{ClientID: p.cfg.ClientID, Now: func() time.Time { return p.now().Add(-skew) }}).Verify(ctx, raw)
	if err != nil {
		return Person{}, fmt.Errorf("check the id_token: %w", err)
	}
	said := claims{}
	if err := id.Claims(&said); err != nil {
		return Person{}, fmt.Errorf("read the id_token: %w", err)
	}
	if err := p.check(id, said, f); err != nil {
		return Person{}, fmt.Errorf("check the id_token: %w", err)
	}
	if id.AccessTokenHash != "" {
		if err := id.VerifyAccessToken(token.AccessToken); err != nil {
			return Person{}, fmt.Errorf("check the id_token: %w", err)
		}
	}
	groups, told := said.groups(p.cfg.GroupsClaim)
	name := said.name(p.cfg.NameClaim)
	if d.UserInfoEndpoint() != "" && (!told || said.text(p.cfg.NameClaim) == "") {
		more, err := p.userInfo(ctx, d, token, id.Subject)
		if err != nil {
			return Person{}, err
		}
		if !told {
			groups, _ = more.groups(p.cfg.GroupsClaim)
		}
		name = cmp.Or(clean(said.text(p.cfg.NameClaim)), more.name(p.cfg.NameClaim), name)
	}
	subject := clean(id.Subject)
	if subject == "" || name == "" {
		return Person{}, errors.New("the provider sent no subject that can be printed")
	}
	return Person{Name: name, Subject: subject, Via: ViaOIDC, Groups: groups}, nil
}

// check is what the library leaves to us.
func (p *provider) check(id *oidc.IDToken, said claims, f flow) error {
	skew := time.Duration(p.cfg.ClockSkew)
	switch azp := said.text("azp"); {
	case subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(f.Nonce)) != 1:
		return errors.New("its nonce is not that of this sign-in: it was made for another one")
	case len(id.Audience) > 1 && azp == "", azp != "" && azp != p.cfg.ClientID:
		return errors.New("it was made for another client (azp)")
	case !slices.Contains(id.Audience, p.cfg.ClientID):
		return errors.New("it was made for another client (aud)")
	case id.IssuedAt.After(p.now().Add(skew)):
		return fmt.Errorf("it comes from the future (%s); do the clocks agree?", id.IssuedAt.UTC().Format(time.RFC3339))
	}
	return nil
}

// userInfo asks for what the id_token did not say. An answer about somebody else is refused.
func (p *provider) userInfo(ctx context.Context, d *discovered, token *oauth2.Token, subject string) (claims, error) {
	info, err := d.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return nil, fmt.Errorf("ask the provider about the person: %w", err)
	}
	if info.Subject != subject {
		return nil, errors.New("the provider told of another person than the one who signed in")
	}
	said := claims{}
	if err := info.Claims(&said); err != nil {
		return nil, fmt.Errorf("read what the provider says of the person: %w", err)
	}
	return said, nil
}

// hideBody keeps the provider's answer out of the log: it may hold tokens.
func hideBody(err error) error {
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return fmt.Errorf("the provider refused it: %s", cmp.Or(clean(e.ErrorCode), fmt.Sprintf("status %d", e.Response.StatusCode)))
	}
	return err
}
