package prometheus

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A server that has just started shows nothing, then something, then all. What there is must be found soon after it is there,
// and a server that stays as it is must not be asked more often than the discovery interval says.
func TestYoungServerIsLookedAtOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stage, looks atomic.Int32
		s := newSource(t, "http://p.example", nil, func(o *Options) {
			o.Config.Cache.MaxBytes = 0 // its goroutines would outlive the bubble
			o.Now = time.Now
			o.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				data := "[]"
				switch {
				case strings.Contains(r.URL.Path, "__name__"):
					looks.Add(1)
					if stage.Load() > 0 {
						data = `["http_requests_total"]`
					}
				case strings.HasSuffix(r.URL.Path, "/labels"):
					data = `["__name__","code","service"]`
					if stage.Load() > 1 {
						data = `["__name__","code","service","version"]`
					}
				case strings.Contains(r.URL.Path, "/label/service/"):
					data = `["checkout"]`
				}
				return respond(http.StatusOK, `{"status":"success","data":`+data+`}`), nil
			})
		})
		defer s.Close()
		rounds := func(d time.Duration) (conventions int, version string) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(10 * time.Second) {
				found, err := s.discover(t.Context(), s.bg)
				if err != nil {
					t.Fatal(err)
				}
				conventions, version = len(found.conventions), ""
				if conventions > 0 {
					version = found.conventions[0].words["version"]
				}
			}
			return conventions, version
		}
		if n, _ := rounds(20 * time.Second); n != 0 {
			t.Fatalf("%d conventions of nothing", n)
		}
		stage.Store(1)
		if n, _ := rounds(50 * time.Second); n != 1 {
			t.Errorf("after 50 s with data: %d conventions", n)
		}
		stage.Store(2)
		if _, version := rounds(80 * time.Second); version != "version" {
			t.Errorf("80 s after a label came: version is told by %q", version)
		}
		rounds(20 * time.Minute) // settles
		before := looks.Load()
		rounds(time.Hour)
		if n := looks.Load() - before; n < 5 || n > 7 {
			t.Errorf("%d looks in an hour in which nothing changed; want one every ten minutes", n)
		}
	})
}
