package alerting

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triaged-dev/triaged/alerting/outbox"
	"github.com/triaged-dev/triaged/triage"
)

// teamBench has a place for two teams, another for everybody else, and one that is told of every suspect of pricing's.
func teamBench(t *testing.T, route RouteConfig) (*bench, map[string]*fakeNotifier) {
	posts := map[string]*fakeNotifier{"teams@team-checkout": {}, "teams@team-pricing": {}, "platform": {}, "experiments": {}}
	b := newBench(t, newFakeStore(), func(o *Options) {
		o.Config.SecondLooks = nil
		o.Directory = triage.NewDirectory(map[string]triage.Service{
			"checkout": {Owner: "team-checkout", Tier: 1}, "pricing": {Owner: "team-pricing"}, "cart": {Owner: "team-cart"}, "stray": {},
		}, nil)
		o.Receivers = make(outbox.Receivers)
		for name, n := range posts {
			o.Receivers[name] = []outbox.Integration{{Name: "it", Notifier: n}}
		}
		route.Mode, route.Fallback = ModeLive, map[string]string{"teams": "platform"}
		o.Route = route
	})
	b.triager.set(func(triage.Request) triage.Report { return flagReport(.8) })
	return b, posts
}

// toldTo lists who was posted to, and as what.
func toldTo(posts map[string]*fakeNotifier) []string {
	var out []string
	for name, n := range posts {
		for _, p := range n.got() {
			s := name
			if p.Delivery.Courtesy != "" {
				s += " as a courtesy"
			}
			out = append(out, s)
		}
	}
	slices.Sort(out)
	return out
}

// One receiver serves every team: each alert goes to the place of the team that owns what hurts, and to everybody's where it has none.
func TestOneReceiverForEveryTeam(t *testing.T) {
	for service, want := range map[string]string{"checkout": "teams@team-checkout", "pricing": "teams@team-pricing", "cart": "platform", "stray": "platform", "unheard-of": "platform"} {
		synctest.Test(t, func(t *testing.T) {
			b, posts := teamBench(t, RouteConfig{Receiver: "teams"})
			b.triager.set(func(triage.Request) triage.Report { return noneReport() })
			b.accept(t, alert(service, time.Now()))
			time.Sleep(time.Second)
			synctest.Wait()
			if got := toldTo(posts); !slices.Equal(got, []string{want}) {
				t.Errorf("%s: want %s told, got %v", service, want, got)
			}
		})
	}
}

// Routes match on what is known of the service and of the likely change; a label that the alert has itself wins.
func TestRoutesMatchOnFacts(t *testing.T) {
	for name, tc := range map[string]struct {
		matcher string
		service string
		labels  []string
		want    bool
	}{
		"owner":             {`owner="team-checkout"`, "checkout", nil, true},
		"team is the same":  {`team=~"team-.*"`, "checkout", nil, true},
		"tier":              {`tier="1"`, "checkout", nil, true},
		"no tier":           {`tier=""`, "pricing", nil, true},
		"the alert's own":   {`owner="somebody"`, "checkout", []string{"owner", "somebody"}, true},
		"suspect's owner":   {`suspect_owner="team-checkout"`, "pricing", nil, true},
		"suspect's kind":    {`suspect_kind="flag"`, "pricing", nil, true},
		"suspect's service": {`suspect_service="checkout"`, "pricing", nil, true},
		"no alert says who": {`suspect_owner="me"`, "checkout", []string{"suspect_owner", "me"}, false},
		"another's":         {`owner="team-pricing"`, "checkout", nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, posts := teamBench(t, RouteConfig{Receiver: "platform", Routes: []RouteConfig{{Receiver: "experiments", Matchers: mustMatchers(tc.matcher)}}})
				b.accept(t, alert(tc.service, time.Now(), tc.labels...))
				time.Sleep(time.Second)
				synctest.Wait()
				if got := len(posts["experiments"].got()) == 1; got != tc.want {
					t.Errorf("routed there: want %v, got %v", tc.want, toldTo(posts))
				}
			})
		})
	}
}

// The team whose change is the likely one is told, too: once per incident, in words of its own, and not if it hurts itself.
func TestTheSuspectsTeamIsToldOnce(t *testing.T) {
	route := RouteConfig{Receiver: "teams", SuspectReceiver: "teams"}
	synctest.Test(t, func(t *testing.T) {
		b, posts := teamBench(t, route)
		p := .8
		b.triager.set(func(triage.Request) triage.Report { return flagReport(p) }) // the flag is checkout's
		b.accept(t, alert("pricing", time.Now()))
		time.Sleep(time.Second)
		synctest.Wait()
		if got := toldTo(posts); !slices.Equal(got, []string{"teams@team-checkout as a courtesy", "teams@team-pricing"}) {
			t.Fatalf("want both told, got %v", got)
		}
		card := posts["teams@team-checkout"].got()[0].Card
		text := card.Text()
		for _, want := range []string{"for team-checkout: a change of yours", "trouble at pricing", "new-pricing", "for: share 0.80", "team-pricing has the page", "said once"} {
			if !strings.Contains(text, want) {
				t.Errorf("want %q in\n%s", want, text)
			}
		}
		if strings.Contains(text, "DO:") {
			t.Errorf("want nobody told to act who has not the page:\n%s", text)
		}
		// Nothing further for them: neither doubt, nor the same again, nor the end of it.
		b.triager.set(func(triage.Request) triage.Report { return noneReport() })
		reconsider(t, b)
		b.triager.set(func(triage.Request) triage.Report { return flagReport(.9) })
		reconsider(t, b)
		if got := len(posts["teams@team-checkout"].got()); got != 1 {
			t.Errorf("want it said once, got %d", got)
		}
		if got := len(posts["teams@team-pricing"].got()); got < 3 {
			t.Errorf("want who has the page told of every turn, got %d", got)
		}
	})
	for name, service := range map[string]string{"its own page": "checkout"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, posts := teamBench(t, route)
				b.accept(t, alert(service, time.Now()))
				time.Sleep(time.Second)
				synctest.Wait()
				if got := toldTo(posts); !slices.Equal(got, []string{"teams@team-checkout"}) {
					t.Errorf("got %v", got)
				}
			})
		})
	}
}

// Who was told because of one suspect is told how it goes on when another is likelier.
func TestWhoWasToldIsToldOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, posts := teamBench(t, RouteConfig{Receiver: "platform", Routes: []RouteConfig{{Receiver: "experiments", Matchers: mustMatchers(`suspect_kind="flag"`)}}})
		b.accept(t, alert("pricing", time.Now()))
		time.Sleep(time.Second)
		synctest.Wait()
		b.triager.set(func(triage.Request) triage.Report { return noneReport() })
		reconsider(t, b)
		if got := toldTo(posts); !slices.Equal(got, []string{"experiments", "experiments", "platform"}) {
			t.Errorf("want both reports where the first went, got %v", got)
		}
	})
}

// reconsider has the one incident triaged again, and what comes of it posted; what says the same for a while is said at once.
func reconsider(t *testing.T, b *bench) {
	t.Helper()
	for range 2 { // what was posted lately is taken back only when two looks agree
		time.Sleep(3 * time.Minute)
		if err := b.Reconsider(t.Context(), b.store.all()[0].ID, CauseSecondLook); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
	}
}
