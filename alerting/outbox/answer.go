package outbox

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

var errOtherHost = errors.New("was redirected to another host; give the final address in the configuration")

// SameHost is a CheckRedirect that follows no redirect to another host or to an unencrypted scheme: tokens and reports stay where they were sent.
func SameHost(req *http.Request, via []*http.Request) error {
	if req.URL.Host != via[0].URL.Host || (via[0].URL.Scheme == "https" && req.URL.Scheme != "https") {
		return errOtherHost
	}
	if len(via) >= 5 {
		return errors.New("too many redirects")
	}
	return nil
}

// StatusError classifies a response by its status; nil for 2xx. now is for a Retry-After given as a date.
// 5xx, 408, 425 and 429 are worth a retry, all else is final.
func StatusError(doing string, resp *http.Response, now time.Time) *DeliveryError {
	code := resp.StatusCode
	if code/100 == 2 {
		return nil
	}
	e := &DeliveryError{
		Reason: ReasonClientError, RetryAfter: RetryAfter(resp.Header, now),
		Err: fmt.Errorf("%s: status %d %s", doing, code, http.StatusText(code)),
	}
	switch {
	case code == http.StatusTooManyRequests:
		e.Reason, e.Retryable = ReasonRateLimited, true
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		e.Reason = ReasonAuthError
	case code == http.StatusRequestTimeout || code == http.StatusTooEarly:
		e.Retryable = true
	case code/100 == 5:
		// A proxy may say 502 or 504 for a post that did arrive.
		e.Reason, e.Retryable, e.Uncertain = ReasonServerError, true, true
	}
	return e
}

// RetryAfter reads the header of that name, in seconds or as a date; 0 where there is none or it cannot be read.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if s, err := strconv.ParseFloat(v, 64); err == nil && s > 0 {
		return time.Duration(min(s, 86400) * float64(time.Second))
	}
	if t, err := http.ParseTime(v); err == nil && t.After(now) {
		return min(t.Sub(now), 24*time.Hour)
	}
	return 0
}

// Drain reads the rest of a body, within bounds, and closes it, so that the connection can be used again.
func Drain(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 64<<10)
	_ = body.Close()
}

// StrictTransport wraps next so that a status of 400 or more is a DeliveryError at once: client libraries then cannot hide
// the status, the Retry-After or the fact that it was an answer. Doing says what for, in the error.
func StrictTransport(next http.RoundTripper, doing string, now func() time.Time) http.RoundTripper {
	return strictTransport{next, doing, now}
}

type strictTransport struct {
	next  http.RoundTripper
	doing string
	now   func() time.Time
}

// RoundTrip implements http.RoundTripper.
func (s strictTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := s.next.RoundTrip(req)
	if err == nil && resp.StatusCode < http.StatusBadRequest {
		resp.Body = &boundedAnswer{resp.Body, maxAnswer}
		return resp, nil
	}
	if err != nil {
		return nil, err
	}
	Drain(resp.Body)
	return nil, StatusError(s.doing, resp, s.now())
}

// maxAnswer bounds what is read of a receiver's answer, after decompression: a page of a hundred messages is about 1 MB.
const maxAnswer = 8 << 20

var errAnswerTooLarge = fmt.Errorf("the answer is larger than %d bytes", maxAnswer)

// boundedAnswer fails instead of reading on for ever.
type boundedAnswer struct {
	io.ReadCloser
	left int64
}

func (b *boundedAnswer) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errAnswerTooLarge
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
