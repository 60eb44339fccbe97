package mapping

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// maxAge is how old a signed time may be, and how far ahead: an old request that somebody has kept is not let in again.
const maxAge = 5 * time.Minute

var payloadPart = regexp.MustCompile(`\{[A-Za-z][A-Za-z0-9-]*\}`)

// signedBody is what the sender signed. fresh is false where a time in it is not near ours.
func (s Scheme) signedBody(header http.Header, body []byte, now time.Time) (signed []byte, fresh bool) {
	if s.Payload == "" {
		return body, true
	}
	fresh = true
	out := payloadPart.ReplaceAllStringFunc(s.Payload, func(part string) string {
		name := strings.Trim(part, "{}")
		if name == "body" {
			return string(body)
		}
		v := header.Get(name)
		if strings.Contains(strings.ToLower(name), "timestamp") {
			fresh = fresh && near(v, now)
		}
		return v
	})
	return []byte(out), fresh
}

// near reports whether a Unix time, in seconds or milliseconds, is within maxAge of now.
func near(unix string, now time.Time) bool {
	n, err := strconv.ParseInt(unix, 10, 64)
	if err != nil || n <= 0 {
		return false
	}
	at := time.Unix(n, 0)
	if n > 1e11 {
		at = time.UnixMilli(n)
	}
	return now.Sub(at).Abs() <= maxAge
}

// jwsFits checks a compact JWS: HS256 with the secret, and a claim sha256 that is the body's. No other algorithm is taken, least of
// all none.
func jwsFits(token, secret string, body []byte) bool {
	head, rest, _ := strings.Cut(token, ".")
	claims, signature, ok := strings.Cut(rest, ".")
	if !ok {
		return false
	}
	decode := base64.RawURLEncoding.DecodeString
	rawHead, err1 := decode(head)
	rawClaims, err2 := decode(claims)
	given, err3 := decode(signature)
	if err1 != nil || err2 != nil || err3 != nil {
		return false
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(head + "." + claims))
	if !hmac.Equal(mac.Sum(nil), given) {
		return false
	}
	var h struct {
		Alg string `json:"alg"`
	}
	var c struct {
		SHA256 string `json:"sha256"`
	}
	if json.Unmarshal(rawHead, &h) != nil || json.Unmarshal(rawClaims, &c) != nil || h.Alg != "HS256" {
		return false
	}
	want, err := hex.DecodeString(c.SHA256)
	sum := sha256.Sum256(body)
	return err == nil && hmac.Equal(want, sum[:])
}
