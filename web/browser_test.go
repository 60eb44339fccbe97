package web_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// chromium finds the browser; a run without one skips, unless peers are required.
func chromium(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: no browser is started")
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("REQUIRE_PEERS") == "1" {
		t.Fatal("chromium is not installed and REQUIRE_PEERS=1; apt-get install chromium")
	}
	t.Skip("chromium is not installed; apt-get install chromium")
	return ""
}

// browser is one running Chromium.
type browser struct{ ctx context.Context }

// shared is the browser of all tests of the package: to start one takes seconds, and sites on ports of their own share nothing in it.
var shared struct {
	once  sync.Once
	b     *browser
	err   error
	close func()
}

// TestMain ends the shared browser.
func TestMain(m *testing.M) {
	code := m.Run()
	if shared.close != nil {
		shared.close()
	}
	os.Exit(code)
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	path := chromium(t)
	shared.once.Do(func() { shared.b, shared.close, shared.err = startBrowser(path) })
	if shared.err != nil {
		t.Fatalf("start chromium: %v", shared.err)
	}
	return shared.b
}

func startBrowser(path string) (*browser, func(), error) {
	dir, err := os.MkdirTemp("", "triaged-chromium-")
	if err != nil {
		return nil, nil, err
	}
	opts := append(
		chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(dir),
		chromedp.Flag("disable-gpu", true), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("hide-scrollbars", true), chromedp.Flag("font-render-hinting", "none"),
	)
	alloc, stopAlloc := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, stop := chromedp.NewContext(alloc)
	end := func() { stop(); stopAlloc(); _ = os.RemoveAll(dir) }
	if err := chromedp.Do(ctx); err != nil { // no timeout here: it would stop the browser
		end()
		return nil, nil, err
	}
	return &browser{ctx}, end, nil
}

// view is how a page is looked at.
type view struct {
	width, height int64
	dark          bool
	noScript      bool
	print         bool
}

var (
	desktop     = view{width: 1360, height: 900}
	desktopDark = view{width: 1360, height: 900, dark: true}
	phone       = view{width: 390, height: 844}
	zoomed      = view{width: 680, height: 450} // what is left of the desktop at 200 %
)

// tab is one open page and everything it asked for and complained about.
type tab struct {
	ctx      context.Context
	mu       sync.Mutex
	requests []string
	problems []string
	loaded   chan struct{} // one for each page that has loaded
}

// open opens a page and waits until it is loaded.
func (b *browser) open(t *testing.T, url string, v view) *tab {
	t.Helper()
	ctx, stop := chromedp.NewContext(b.ctx)
	if err := chromedp.Do(ctx); err != nil { // the tab; no timeout yet, see above
		t.Fatal(err)
	}
	limited, cancel := context.WithTimeout(ctx, 90*time.Second)
	t.Cleanup(func() { cancel(); stop() })
	p := &tab{ctx: limited, loaded: make(chan struct{}, 64)}
	if err := chromedp.Listen(ctx, p.hear); err != nil {
		t.Fatal(err)
	}
	scheme, media := "light", ""
	if v.dark {
		scheme = "dark"
	}
	if v.print {
		media = "print"
	}
	p.do(
		t,
		call(network.Enable, network.EnableParams{}), call(runtime.Enable, cdp.Empty{}), call(cdplog.Enable, cdp.Empty{}),
		chromedp.EmulateViewport(v.width, v.height),
		call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: media, Features: []*emulation.MediaFeature{
			{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
		}}),
		call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: v.noScript}),
		call(emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Europe/Vienna"}),
		chromedp.Navigate(url),
	)
	return p
}

// leave does something that loads another page, and waits until it is there.
func (p *tab) leave(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	for len(p.loaded) > 0 {
		<-p.loaded
	}
	p.do(t, actions...)
	select {
	case <-p.loaded:
	case <-p.ctx.Done():
		t.Fatal("the next page did not load")
	}
}

// call makes a protocol command into an action.
func call[P, R any](cmd cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, cmd, params)
		return err
	})
}

func (p *tab) hear(ev any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch ev := ev.(type) {
	case *page.EventLoadEventFired:
		p.loaded <- struct{}{}
	case *network.EventRequestWillBeSent:
		p.requests = append(p.requests, ev.Request.URL)
	case *runtime.EventExceptionThrown:
		text := ev.ExceptionDetails.Text
		if e := ev.ExceptionDetails.Exception; e != nil {
			text += " " + e.Description
		}
		p.problems = append(p.problems, text)
	case *cdplog.EventEntryAdded:
		if ev.Entry.Level == cdplog.EntryLevelError {
			p.problems = append(p.problems, ev.Entry.Text+" "+ev.Entry.URL)
		}
	}
}

func (p *tab) do(t *testing.T, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// run runs an action and returns its value.
func run[T any](t *testing.T, p *tab, a chromedp.Action[T]) T {
	t.Helper()
	v, err := chromedp.Run(p.ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// eval runs a script and returns its result.
func eval[T any](t *testing.T, p *tab, script string) T {
	t.Helper()
	return run(t, p, chromedp.Evaluate[T](script))
}

// text is the visible text of the first element that matches.
func (p *tab) text(t *testing.T, selector string) string {
	t.Helper()
	read := chromedp.Text(chromedp.CSS(selector))
	if strings.HasPrefix(selector, "svg") { // drawings have no innerText
		read = chromedp.TextContent(chromedp.CSS(selector))
	}
	return strings.Join(strings.Fields(run(t, p, read)), " ")
}

// quiet fails the test if the page asked for anything outside its own origin or complained. The API is not part of the
// site under test, so its absence is no complaint.
func (p *tab) quiet(t *testing.T, origin string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.requests {
		if !strings.HasPrefix(r, origin+"/") {
			t.Errorf("the page asked for %s, outside its origin", r)
		}
	}
	for _, s := range p.problems {
		if !strings.Contains(s, "/api/v1/events") {
			t.Errorf("the page complained: %s", s)
		}
	}
}
