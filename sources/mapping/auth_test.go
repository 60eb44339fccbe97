package mapping

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"net/http"
	"strings"
	"testing"
)

func sign(h func() hash.Hash, secret, body string) string {
	mac := hmac.New(h, []byte(secret))
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}

func TestVerify(t *testing.T) {
	const secret, body = "s3cret-of-the-hook", `{"a":1}`
	s256, s512 := sign(sha256.New, secret, body), sign(sha512.New, secret, body)
	gitHub := []Scheme{{Scheme: "hmac-sha256", Header: "X-Hub-Signature-256", Prefix: "sha256="}}
	flux := []Scheme{{Scheme: "hmac-named", Header: "X-Signature"}, {Scheme: "bearer"}}
	pagerDuty := []Scheme{{Scheme: "hmac-sha256", Header: "X-PagerDuty-Signature", Prefix: "v1=", List: true}}
	either := []Scheme{{Scheme: "bearer"}, {Scheme: "basic"}}
	basic := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	for name, tc := range map[string]struct {
		schemes       []Scheme
		header, value string
		ok            bool
	}{
		"hmac":                   {gitHub, "X-Hub-Signature-256", "sha256=" + s256, true},
		"hmac, upper case":       {gitHub, "X-Hub-Signature-256", "sha256=" + strings.ToUpper(s256), true},
		"hmac, no prefix":        {gitHub, "X-Hub-Signature-256", s256, false},
		"hmac, other body":       {gitHub, "X-Hub-Signature-256", "sha256=" + sign(sha256.New, secret, "{}"), false},
		"hmac, other key":        {gitHub, "X-Hub-Signature-256", "sha256=" + sign(sha256.New, "x", body), false},
		"hmac, empty":            {gitHub, "X-Hub-Signature-256", "sha256=", false},
		"hmac, cut":              {gitHub, "X-Hub-Signature-256", "sha256=" + s256[:10], false},
		"hmac, not hex":          {gitHub, "X-Hub-Signature-256", "sha256=zz", false},
		"hmac, absent":           {gitHub, "X-Other", "x", false},
		"hmac, bearer instead":   {gitHub, "Authorization", "Bearer " + secret, false},
		"sha512":                 {[]Scheme{{Scheme: "hmac-sha512", Header: "X-TFE-Notification-Signature"}}, "X-TFE-Notification-Signature", s512, true},
		"sha512 with sha256":     {[]Scheme{{Scheme: "hmac-sha512", Header: "X-TFE-Notification-Signature"}}, "X-TFE-Notification-Signature", s256, false},
		"named sha512":           {flux, "X-Signature", "sha512=" + s512, true},
		"named sha224":           {flux, "X-Signature", "sha224=" + sign(sha256.New224, secret, body), true},
		"named md5":              {flux, "X-Signature", "md5=abcd", false},
		"named, mislabelled":     {flux, "X-Signature", "sha256=" + s512, false},
		"second scheme":          {flux, "Authorization", "Bearer " + secret, true},
		"list, second fits":      {pagerDuty, "X-PagerDuty-Signature", "v1=" + sign(sha256.New, "old", body) + ", v1=" + s256, true},
		"list, none fits":        {pagerDuty, "X-PagerDuty-Signature", "v1=00,v2=" + s256, false},
		"token":                  {[]Scheme{{Scheme: "token", Header: "X-Gitlab-Token"}}, "X-Gitlab-Token", secret, true},
		"token, wrong":           {[]Scheme{{Scheme: "token", Header: "X-Gitlab-Token"}}, "X-Gitlab-Token", secret + "x", false},
		"bearer":                 {either, "Authorization", "bearer " + secret, true},
		"bearer, wrong":          {either, "Authorization", "Bearer x", false},
		"basic":                  {either, "Authorization", basic(secret), true},
		"basic, wrong":           {either, "Authorization", basic("a:b"), false},
		"basic, broken":          {either, "Authorization", "Basic !!", false},
		"no scheme known":        {nil, "Authorization", "Bearer " + secret, true},
		"no scheme known, wrong": {nil, "Authorization", "Bearer", false},
	} {
		t.Run(name, func(t *testing.T) {
			err := Verify(tc.schemes, secret, http.Header{http.CanonicalHeaderKey(tc.header): {tc.value}}, []byte(body))
			if (err == nil) != tc.ok {
				t.Fatalf("want accepted %v, got %v", tc.ok, err)
			}
			if err != nil && (!errors.Is(err, ErrUnauthenticated) || strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), s256)) {
				t.Errorf("error %v", err)
			}
		})
	}
	// A secret that was never set must not mean that everybody may enter, whatever is signed with it.
	for name, h := range map[string]http.Header{
		"bearer": {"Authorization": {"Bearer "}}, "hmac": {"X-Hub-Signature-256": {"sha256=" + sign(sha256.New, "", body)}}, "nothing": {},
	} {
		if err := Verify(append(gitHub, either...), "", h, []byte(body)); !errors.Is(err, ErrUnauthenticated) {
			t.Errorf("empty secret, %s: got %v", name, err)
		}
	}
}

// Every shipped mapping says how its sender proves itself.
func TestShippedMappingsHaveAuth(t *testing.T) {
	for name, m := range shipped(t) {
		if len(m.Auth()) == 0 || m.Description() == "" || m.Name() != name {
			t.Errorf("%s: auth %v, description %q", name, m.Auth(), m.Description())
		}
	}
}
