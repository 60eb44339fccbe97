package slack

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/alerting/outbox"
)

var png = []byte("\x89PNG and the rest")

func withPicture(nt outbox.Notification) outbox.Notification {
	nt.Picture = func(context.Context) ([]byte, error) { return png, nil }
	return nt
}

// The thread gets the picture with the first report, and none with each word after it.
func TestPicture(t *testing.T) {
	f := &fakeSlack{t: t}
	n := newBot(t, f)
	first, err := n.Notify(t.Context(), withPicture(next(1, true, false)))
	if err != nil || first.Detail != "" {
		t.Fatalf("got %+v, %v", first, err)
	}
	_, root, _ := strings.Cut(first.RemoteID, "/")
	if len(f.shared) != 1 || string(f.files[0]) != string(png) || f.shared[0].Get("thread_ts") != root || f.shared[0].Get("channel_id") != fakeChannel || !strings.Contains(f.shared[0].Get("files"), `"F0"`) {
		t.Fatalf("want the picture in the thread of %s, got %v", root, f.shared)
	}
	for number, material := range map[int]bool{2: true, 3: false} {
		if _, err := n.Notify(t.Context(), withPicture(next(number, material, false, first))); err != nil || len(f.shared) != 1 {
			t.Errorf("report %d: want no picture, got %d in all, %v", number, len(f.shared), err)
		}
	}
	uncertain := withPicture(next(5, true, true))
	if _, err := n.Notify(t.Context(), uncertain); err != nil || len(f.shared) != 1 {
		t.Errorf("after an attempt that may have arrived: want no further picture, got %d, %v", len(f.shared), err)
	}
}

// Whatever goes wrong with the picture, the message is delivered, once, and the delivery says what is missing.
func TestPictureFails(t *testing.T) {
	refuse := func(at, word string) func(int, string) *http.Response {
		return func(_ int, method string) *http.Response {
			if method == at {
				return no(word)
			}
			return nil
		}
	}
	for name, tc := range map[string]struct {
		fail  func(int, string) *http.Response
		paint func(context.Context) ([]byte, error)
		part  string
	}{
		"no scope":  {fail: refuse("files.getUploadURLExternal", "missing_scope"), part: "files:write"},
		"lost":      {fail: refuse("files.completeUploadExternal", "internal_error"), part: "internal_error"},
		"no paint":  {paint: func(context.Context) ([]byte, error) { return nil, errors.New("boom hush") }, part: "could not be painted"},
		"too large": {fail: refuse("files.completeUploadExternal", "file_uploads_disabled"), part: "file_uploads_disabled"},
		"an address that is not Slack's": {fail: func(_ int, method string) *http.Response {
			if method == "files.getUploadURLExternal" {
				return ok(map[string]any{"upload_url": "https://evil.example.com/x", "file_id": "F0"})
			}
			return nil
		}, part: "without its picture"},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeSlack{t: t, fail: tc.fail}
			nt := withPicture(next(1, true, false))
			if tc.paint != nil {
				nt.Picture = tc.paint
			}
			r, err := newBot(t, f).Notify(t.Context(), nt)
			if err != nil || r.RemoteID == "" || !strings.Contains(r.Detail, tc.part) || strings.Contains(r.Detail, "hush") || strings.Contains(r.Detail, "evil") {
				t.Errorf("want it delivered with %q, got %+v, %v", tc.part, r, err)
			}
			if posts := slices.DeleteFunc(slices.Clone(f.calls), func(c string) bool { return c != "chat.postMessage" }); len(posts) != 1 || len(f.shared) != 0 {
				t.Errorf("calls %v", f.calls)
			}
		})
	}
	hanging := withPicture(next(1, true, false))
	hanging.Picture = func(ctx context.Context) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if r, err := newBot(t, &fakeSlack{t: t}).Notify(ctx, hanging); err != nil || r.RemoteID == "" {
		t.Errorf("a picture that takes too long: want the message delivered, got %+v, %v", r, err)
	}
}

func TestPictureFalse(t *testing.T) {
	f := &fakeSlack{t: t}
	cfg := DefaultConfig()
	cfg.Token, cfg.Channel, cfg.Picture = "xoxb-x", fakeChannel, false
	n, err := New(Options{Config: cfg, Transport: f})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := n.Notify(t.Context(), withPicture(next(1, true, false))); err != nil || r.Detail != "" || len(f.calls) != 1 {
		t.Errorf("got %+v, %v, calls %v", r, err, f.calls)
	}
}
