package slack

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	slackapi "github.com/slack-go/slack"

	"github.com/triaged-dev/triaged/alerting/outbox"
)

// Slack says 200 and ok:false: these words decide what that means. Words not listed are the caller's fault, and final.
var (
	authWords = []string{"invalid_auth", "not_authed", "account_inactive", "token_revoked", "missing_scope", "no_permission", "not_allowed_token_type", "org_login_required", "ekm_access_denied", "access_denied", "team_access_not_granted"}
	// A token in a file is read anew by every attempt: one that has expired may have been rotated by then.
	againWords   = []string{"internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org", "unknown_error"}
	expiredWords = []string{"token_expired"}
	limitWords   = []string{"ratelimited", "rate_limited", "message_limit_exceeded"}
)

// errorWord is the form of Slack's error words; anything else in their place is not repeated.
var errorWord = regexp.MustCompile(`^[a-z0-9_]{1,64}$`)

// slackWord is Slack's own word for an error, or "".
func slackWord(err error) string {
	if e, ok := errors.AsType[slackapi.SlackErrorResponse](err); ok && errorWord.MatchString(e.Err) {
		return e.Err
	}
	return ""
}

func refused(err error, words ...string) bool {
	return err != nil && slices.Contains(words, slackWord(err))
}

// blindTo reports whether looking back failed only because the token may not.
func blindTo(err error) bool {
	return refused(err, "missing_scope", "no_permission", "not_allowed_token_type")
}

// classify turns any error of the Slack client into a DeliveryError, without its text: that may hold the address.
func classify(doing string, err error) *outbox.DeliveryError {
	if e, ok := errors.AsType[*outbox.DeliveryError](err); ok {
		return e
	}
	if e, ok := errors.AsType[*slackapi.RateLimitedError](err); ok {
		return &outbox.DeliveryError{Reason: outbox.ReasonRateLimited, Retryable: true, RetryAfter: e.RetryAfter, Err: fmt.Errorf("%s: too many requests", doing)}
	}
	if _, ok := errors.AsType[slackapi.SlackErrorResponse](err); !ok {
		return outbox.TransportError(doing, err)
	}
	word := slackWord(err)
	e := &outbox.DeliveryError{Reason: outbox.ReasonClientError, Err: fmt.Errorf("%s: Slack says %s%s", doing, firstOf(word, "no, in words unknown"), hint(word))}
	switch {
	case slices.Contains(authWords, word):
		e.Reason = outbox.ReasonAuthError
	case slices.Contains(expiredWords, word):
		e.Reason, e.Retryable = outbox.ReasonAuthError, true
	case slices.Contains(limitWords, word):
		e.Reason, e.Retryable = outbox.ReasonRateLimited, true
	case word == "" || slices.Contains(againWords, word):
		e.Reason, e.Retryable, e.Uncertain = outbox.ReasonServerError, true, true
	}
	return e
}

func hint(word string) string {
	switch word {
	case "not_in_channel":
		return ": invite the bot into the channel, then resend"
	case "channel_not_found":
		return ": check the channel's id; a private channel must have invited the bot"
	case "is_archived":
		return ": the channel is archived"
	case "missing_scope":
		return ": the bot needs chat:write"
	}
	return ""
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
