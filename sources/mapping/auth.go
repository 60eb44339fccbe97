package mapping

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // as a keyed hash it still holds, and some senders know no other
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Scheme is one way in which a sender proves that it knows the secret.
type Scheme struct {
	// Scheme is one of
	//
	//	hmac-sha256, hmac-sha512  hex HMAC of the raw body
	//	hmac-sha1                 the same, for senders that sign in no better way
	//	hmac-named                the same as <sha224|sha256|sha384|sha512>=<hex>, as Flux signs
	//	jws-sha256                a JWS signed with the secret (HS256) whose claim sha256 is that of the body, as Netlify signs
	//	sns                       Amazon SNS' own signature; the secret is the ARN of the topic
	//	token                     the secret itself
	//	bearer                    the secret as Authorization: Bearer
	//	basic                     the secret, written user:password, as Authorization: Basic
	Scheme string `yaml:"scheme" json:"scheme"`
	Header string `yaml:"header" json:"header,omitempty"` // bearer and basic: Authorization unless given
	Prefix string `yaml:"prefix" json:"prefix,omitempty"` // before the hex digits, as in "sha256="
	// Payload is what is signed where it is not the body alone: {body}, and {Header-Name} for the value of a header. At least one
	// header in it should be a time, which is then checked to be within five minutes of ours.
	Payload string `yaml:"payload" json:"payload,omitempty"`
	// List allows several signatures separated by commas, of which one must fit: keys are being rotated.
	List bool `yaml:"list" json:"list,omitempty"`
}

// ErrUnauthenticated is what every refusal of Verify wraps. Nothing in it helps to guess.
var ErrUnauthenticated = errors.New("sender is not authenticated")

const (
	schemeSHA256 = "hmac-sha256"
	schemeSHA512 = "hmac-sha512"
	schemeSHA1   = "hmac-sha1"
	schemeJWS    = "jws-sha256"
	schemeSNS    = "sns"
	schemeNamed  = "hmac-named"
	schemeToken  = "token"
	schemeBearer = "bearer"
	schemeBasic  = "basic"
)

var namedHashes = map[string]func() hash.Hash{
	"sha224": sha256.New224, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New,
}

func (s Scheme) check() error {
	switch s.Scheme {
	case schemeSHA256, schemeSHA512, schemeSHA1, schemeNamed, schemeToken, schemeJWS:
		if s.Header == "" {
			return errors.New("needs header: the one the sender signs in")
		}
	case schemeBearer, schemeBasic, schemeSNS:
	default:
		return fmt.Errorf("use one of %s", strings.Join([]string{schemeSHA256, schemeSHA512, schemeSHA1, schemeNamed, schemeJWS, schemeSNS, schemeToken, schemeBearer, schemeBasic}, ", "))
	}
	return nil
}

// header is where the proof stands.
func (s Scheme) header() string {
	switch {
	case s.Header != "":
		return s.Header
	case s.Scheme == schemeSNS:
		return "X-Amz-Sns-Message-Type"
	}
	return "Authorization"
}

// Verify checks that the request was made by somebody who knows the secret, by the first of the schemes whose header is
// there. body is the raw body, bounded by the caller. It compares in constant time; an empty secret lets nobody in. Every
// error wraps ErrUnauthenticated and names headers only.
func Verify(schemes []Scheme, secret string, header http.Header, body []byte) error {
	if secret == "" {
		return fmt.Errorf("%w: no secret is configured", ErrUnauthenticated)
	}
	if len(schemes) == 0 {
		schemes = []Scheme{{Scheme: schemeBearer}}
	}
	var wanted []string
	for _, s := range schemes {
		h := s.header()
		given := header.Get(h)
		if given == "" || !s.speaks(given) {
			wanted = append(wanted, h+" ("+s.Scheme+")")
			continue
		}
		if !s.fits(given, secret, header, body) {
			return fmt.Errorf("%w: %s does not fit", ErrUnauthenticated, h)
		}
		return nil
	}
	return fmt.Errorf("%w: want header %s", ErrUnauthenticated, strings.Join(wanted, " or "))
}

// Announces checks what can be known before the body is read: that the proof is there, and is right where it does not depend on
// the body, or has the form of a signature where it does. It is no substitute for Verify.
func Announces(schemes []Scheme, secret string, header http.Header) error {
	if len(schemes) == 0 {
		schemes = []Scheme{{Scheme: schemeBearer}}
	}
	for _, s := range schemes {
		given := header.Get(s.header())
		if given == "" || !s.speaks(given) {
			continue
		}
		switch s.Scheme {
		case schemeToken, schemeBearer, schemeBasic:
			return Verify(schemes, secret, header, nil)
		case schemeJWS:
			if strings.Count(given, ".") == 2 {
				return nil
			}
			return fmt.Errorf("%w: %s does not fit", ErrUnauthenticated, s.header())
		case schemeSNS:
			return nil // its proof is in the body
		}
		candidates := []string{given}
		if s.List {
			candidates = strings.Split(given, ",")
		}
		if slices.ContainsFunc(candidates, func(c string) bool { _, _, ok := s.parse(strings.TrimSpace(c)); return ok }) {
			return nil
		}
		return fmt.Errorf("%w: %s does not fit", ErrUnauthenticated, s.header())
	}
	return Verify(schemes, secret, header, nil) // names what is missing
}

// speaks reports whether the header's value is of this scheme at all: several may share Authorization.
func (s Scheme) speaks(given string) bool {
	switch s.Scheme {
	case schemeBearer:
		return hasPrefixFold(given, "Bearer ")
	case schemeBasic:
		return hasPrefixFold(given, "Basic ")
	}
	return true
}

func (s Scheme) fits(given, secret string, header http.Header, body []byte) bool {
	switch s.Scheme {
	case schemeJWS:
		return jwsFits(given, secret, body)
	case schemeSNS:
		return snsFits(secret, body)
	case schemeToken:
		return equal(given, secret)
	case schemeBearer:
		return equal(strings.TrimSpace(given[len("Bearer "):]), secret)
	case schemeBasic:
		raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(given[len("Basic "):]))
		return err == nil && equal(string(raw), secret)
	}
	body, fresh := s.signedBody(header, body, time.Now())
	if !fresh {
		return false
	}
	candidates := []string{given}
	if s.List {
		candidates = strings.Split(given, ",")
	}
	return slices.ContainsFunc(candidates, func(c string) bool { return s.signed(strings.TrimSpace(c), secret, body) })
}

// signed checks one signature.
func (s Scheme) signed(given, secret string, body []byte) bool {
	newHash, want, ok := s.parse(given)
	if !ok {
		return false
	}
	mac := hmac.New(newHash, []byte(secret))
	mac.Write(body)
	return hmac.Equal(mac.Sum(nil), want)
}

// parse reads a signature: its hash and its bytes, as many as the hash has.
func (s Scheme) parse(given string) (newHash func() hash.Hash, sum []byte, ok bool) {
	given, ok = strings.CutPrefix(given, s.Prefix)
	if !ok {
		return nil, nil, false
	}
	newHash = sha256.New
	switch s.Scheme {
	case schemeSHA512:
		newHash = sha512.New
	case schemeSHA1:
		newHash = sha1.New
	case schemeNamed:
		name, digits, found := strings.Cut(given, "=")
		if newHash = namedHashes[name]; !found || newHash == nil {
			return nil, nil, false
		}
		given = digits
	}
	sum, err := hex.DecodeString(given)
	return newHash, sum, err == nil && len(sum) == newHash().Size()
}

// equal compares without telling by its time how much of the secret was right, nor how long it is.
func equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
