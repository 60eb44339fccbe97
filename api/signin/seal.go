package signin

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// State keeps small values over restarts. State returns an error for which notFound is true where there is none.
type State interface {
	State(ctx context.Context, key string) ([]byte, error)
	SetState(ctx context.Context, key string, value []byte) error
}

// sealer seals what is kept in cookies: who has them can neither read nor change it.
type sealer struct{ aead cipher.AEAD }

const keyState = "signin-key"

// Key reads the key of cookies from the store, or makes one at the first start. Where it is lost everybody signs in again.
func Key(ctx context.Context, store State, notFound func(error) bool) ([]byte, error) {
	key, err := store.State(ctx, keyState)
	switch {
	case err != nil && !notFound(err):
		return nil, fmt.Errorf("read the key of sessions: %w", err)
	case err != nil || len(key) != sha256.Size:
		key = make([]byte, sha256.Size)
		if _, err := rand.Read(key); err != nil {
			return nil, fmt.Errorf("make a key for sessions: %w", err)
		}
		if err := store.SetState(ctx, keyState, key); err != nil {
			return nil, fmt.Errorf("keep the key of sessions: %w", err)
		}
	}
	return key, nil
}

// newSealer derives a key for one purpose, so that what was sealed for one is void for another.
func newSealer(key []byte, purpose string) (*sealer, error) {
	derived, err := hkdf.Key(sha256.New, key, nil, "triaged "+purpose, 32)
	if err != nil {
		return nil, fmt.Errorf("derive the key of %s: %w", purpose, err)
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, fmt.Errorf("derive the key of %s: %w", purpose, err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("derive the key of %s: %w", purpose, err)
	}
	return &sealer{aead}, nil
}

func (s *sealer) seal(v any) (string, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, plain, nil)), nil
}

var errSeal = errors.New("was not sealed here")

func (s *sealer) open(text string, v any) error {
	if len(text) > maxCookie {
		return errSeal
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return errSeal
	}
	plain, err := s.aead.Open(nil, nil, sealed, nil)
	if err != nil {
		return errSeal
	}
	return json.Unmarshal(plain, v)
}
