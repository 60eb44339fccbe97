package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/triaged-dev/triaged/triage"
)

// Behind a path every address in a page leads back under the path, whether the proxy takes it off or leaves it on, and everything
// that is posted arrives.
func TestBehindAPath(t *testing.T) {
	d := startDaemon(t, "global: {external_url: 'https://ops.example.com/tools/triaged/'}\nhooks: [{name: events, type: kubernetes-events, bearer_token: tok}]\n")
	d.post(t, "/api/v1/changes", triage.Change{ID: "ci:a/b", Kind: triage.KindDeploy, Scope: triage.Scope{Service: "checkout"}, StartedAt: time.Now().UTC()})
	target, err := url.Parse(string(d.asker))
	if err != nil {
		t.Fatal(err)
	}
	for name, strip := range map[string]bool{"the proxy strips": true, "the proxy does not": false} {
		t.Run(name, func(t *testing.T) {
			back := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(target)
				if strip {
					r.Out.URL.Path, r.Out.URL.RawPath = strings.TrimPrefix(r.In.URL.Path, "/tools/triaged"), ""
				}
			}}
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasPrefix(r.URL.Path, "/tools/triaged/") {
					http.Error(w, "not ours: "+r.URL.Path, http.StatusTeapot)
					return
				}
				back.ServeHTTP(w, r)
			}))
			defer proxy.Close()
			seen, todo := map[string]bool{}, []string{"/tools/triaged/", "/tools/triaged/changes", "/tools/triaged/sources"}
			for len(todo) > 0 {
				path := todo[0]
				todo = todo[1:]
				page, _, _ := strings.Cut(path, "?") // one of each is enough: times in a query have no end
				if seen[page] || strings.Contains(path, "/events") {
					continue
				}
				seen[page] = true
				status, body := fetch(t, proxy.URL+path)
				if status != http.StatusOK {
					t.Errorf("%s: %d %.200s", path, status, body)
				}
				for _, m := range localLinks.FindAllStringSubmatch(body, -1) {
					todo = append(todo, strings.ReplaceAll(strings.ReplaceAll(m[1], "&amp;", "&"), "#", "?x="))
				}
			}
			if len(seen) < 15 || !seen["/tools/triaged/changes/ci:a%2Fb"] {
				t.Errorf("only these were linked: %v", seen)
			}
			if status, body := fetch(t, proxy.URL+"/tools/triaged/"); status != 200 || !strings.Contains(body, `data-root="/tools/triaged"`) {
				t.Errorf("the script does not learn the path: %d", status)
			}
			through := asker(proxy.URL + "/tools/triaged")
			if status, answer := through.tryHook(t, "/hooks/events", bearer, []byte(`{"kind":"Event","reason":"Pulled","involvedObject":{}}`)); status != 200 {
				t.Errorf("hook: %d %s", status, answer)
			}
		})
	}
}

var localLinks = regexp.MustCompile(`(?:href|src|data-axis|data-script|data-sheet)="(/[^"]*)"`)

func fetch(t *testing.T, address string) (status int, body string) {
	t.Helper()
	resp, err := http.Get(address) //nolint:noctx // a test's own server
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// An address pasted together with a slash too many is the address without: a redirect would make a GET of a POST.
func TestSlashesTooMany(t *testing.T) {
	d := sendersDaemon(t, "")
	for _, path := range []string{"/hooks/events/", "//hooks/events", "/hooks//events", "//hooks//events//"} {
		if status, answer := d.tryHook(t, path, bearer, []byte(`{"kind":"Event","reason":"Pulled","involvedObject":{}}`)); status != 200 || !strings.Contains(answer, "ignored") {
			t.Errorf("%s: %d %s", path, status, answer)
		}
	}
	for _, path := range []string{"/v2/change/enqueue/", "//v2/change/enqueue"} {
		if status, _ := d.tryHook(t, path, bearer, []byte(`{"routing_key":"0123456789abcdef0123456789abcdef","payload":{"summary":"v2"}}`)); status != http.StatusAccepted {
			t.Errorf("%s: %d", path, status)
		}
	}
	alert := []byte(`[{"labels":{"alertname":"A","service":"checkout"}}]`)
	for _, path := range []string{"//api/v2/alerts", "/api/v2/alerts/", "/api/v1//changes/"} {
		body := alert
		if strings.Contains(path, "changes") {
			body = []byte(`{"kind":"flag","service":"checkout","started_at":"2026-03-02T14:00:00Z","id":"https://ci.example.com/job/1/"}`)
		}
		if status, answer := d.tryHook(t, path, http.Header{"Content-Type": {"application/json"}}, body); status/100 != 2 {
			t.Errorf("%s: %d %s", path, status, answer)
		}
	}
	var c triage.Change // in an id slashes mean themselves
	if err := d.get("/api/v1/changes/https:%2F%2Fci.example.com%2Fjob%2F1%2F", &c); err != nil || c.ID != "https://ci.example.com/job/1/" {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestTidiedPaths(t *testing.T) {
	for _, tc := range []struct{ base, in, want string }{
		{"", "/", "/"},
		{"", "//", "/"},
		{"", "/hooks/a/", "/hooks/a"},
		{"/t", "/t", "/"},
		{"/t", "/t/hooks//a", "/hooks/a"},
		{"/t", "/tea", "/tea"},
		{"/t", "//t//hooks/a", "/hooks/a"},
		{"/t", "/t/changes/a%2F%2Fb%2F", "/changes/a%2F%2Fb%2F"},
		{"/t", "/api/v1/changes/x://y/", "/api/v1/changes/x://y/"},
		{"", "/-/healthy/", "/-/healthy"},
	} {
		if got := tidied(tc.base, tc.in); got != tc.want {
			t.Errorf("%q %q: want %q, got %q", tc.base, tc.in, tc.want, got)
		}
	}
}

// issued is a certificate in files, and what it is made of.
type issued struct {
	cert, key string
	x509      *x509.Certificate
	signer    *ecdsa.PrivateKey
}

func issue(t *testing.T, dir, name string, by *issued) *issued {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true, IsCA: by == nil,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.x509, by.signer
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issued{
		cert: write(t, filepath.Join(dir, name+".crt"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		key:  write(t, filepath.Join(dir, name+".key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))), x509: parsed, signer: key,
	}
}

// A daemon that asks for client certificates is asked by every command that asks one, with a certificate and by a private authority,
// straight or through a proxy.
func TestCommandsOverMutualTLS(t *testing.T) {
	dir := t.TempDir()
	ca := issue(t, dir, "ca.example", nil)
	server, own := issue(t, dir, "triaged.example", ca), issue(t, dir, "ci.example", ca)
	webConfig := write(t, filepath.Join(dir, "web.yml"), fmt.Sprintf("tls_server_config: {cert_file: %s, key_file: %s, client_ca_file: %s, client_auth_type: RequireAndVerifyClientCert}\n", server.cert, server.key, ca.cert))
	config := write(t, filepath.Join(dir, "triaged.yml"), "auth: {anonymous: [read, 'write:changes']}\n")
	address := freePort(t)
	ctx, cancel := context.WithCancel(t.Context())
	log, done := &lockedBuffer{}, make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"serve", "--config.file=" + config, "--storage.path=" + dir, "--web.listen-address=" + address, "--web.config.file=" + webConfig}, streams{strings.NewReader(""), log, log})
	}()
	defer func() {
		cancel()
		if code := <-done; code != 0 {
			t.Errorf("the daemon ended with %d: %s", code, log)
		}
	}()
	pool := x509.NewCertPool()
	pool.AddCert(ca.x509)
	pair, err := tls.LoadX509KeyPair(own.cert, own.key)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "the daemon listens", func() error {
		c, err := (&tls.Dialer{Config: &tls.Config{RootCAs: pool, ServerName: "triaged.example", Certificates: []tls.Certificate{pair}}}).DialContext(ctx, "tcp", address)
		if err == nil {
			c.Close()
		}
		return err
	})
	proxy, tunnels := tunnel(t)
	to := []string{"--url=https://" + address, "--ca-file=" + ca.cert, "--cert-file=" + own.cert, "--key-file=" + own.key, "--server-name=triaged.example"}
	for name, args := range map[string][]string{
		"healthcheck": {"healthcheck"}, "change send": {"change", "send", "--service=checkout", "--new-version=v2"},
		"change run": {"change", "run", "--service=checkout"}, "suspects": {"suspects", "checkout"}, "doctor": {"doctor"},
	} {
		if name == "suspects" { // of a service that is not known it would say so
			sent := append([]string{"change", "send", "--service=checkout", "--new-version=v1"}, to...)
			if code := run(t.Context(), sent, streams{strings.NewReader(""), io.Discard, io.Discard}); code != 0 {
				t.Fatalf("change send: %d", code)
			}
		}
		ask := func(flags ...string) (int, string) {
			out := &lockedBuffer{}
			all := append(append([]string{}, args...), flags...)
			if name == "change run" {
				all = append(all, "--", "true")
			}
			code := run(t.Context(), all, streams{strings.NewReader(""), out, out})
			return code, out.String()
		}
		said := func(text string) bool {
			return strings.Contains(text, "not recorded") || strings.Contains(text, "does not answer")
		}
		if code, text := ask(to...); said(text) || code != 0 && name != "doctor" {
			t.Errorf("%s: %d %s", name, code, text)
		}
		before := tunnels.Load()
		if code, text := ask(append([]string{"--proxy-url=" + proxy}, to...)...); said(text) || code != 0 && name != "doctor" || tunnels.Load() == before {
			t.Errorf("%s through a proxy: %d, %d tunnels: %s", name, code, tunnels.Load()-before, text)
		}
		if code, text := ask(to[0], to[1], to[4]); code == 0 && !said(text) {
			t.Errorf("%s without a certificate was served: %s", name, text)
		}
		if code, text := ask(to[0], to[2], to[3], to[4]); code == 0 && !said(text) {
			t.Errorf("%s believes an unknown authority: %s", name, text)
		}
	}
}

// tunnel is a proxy for CONNECT, and counts.
func tunnel(t *testing.T) (address string, count *atomic.Int32) {
	t.Helper()
	count = &atomic.Int32{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			http.Error(w, "tunnels only", http.StatusMethodNotAllowed)
			return
		}
		there, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", r.Host)
		if err != nil {
			http.Error(w, "nobody there", http.StatusBadGateway)
			return
		}
		count.Add(1)
		here, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			there.Close()
			return
		}
		_, _ = io.WriteString(here, "HTTP/1.1 200 Connection established\r\n\r\n")
		var wg sync.WaitGroup
		for _, pair := range [2][2]net.Conn{{here, there}, {there, here}} {
			wg.Go(func() {
				_, _ = io.Copy(pair[0], pair[1])
				pair[0].Close()
			})
		}
		wg.Wait()
	}))
	t.Cleanup(s.Close)
	return s.URL, count
}
