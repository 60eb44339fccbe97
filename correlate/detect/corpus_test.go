package detect

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// The corpus stands in for public labelled series, which are not free to be shipped: 58 series of the kinds that the Numenta
// Anomaly Benchmark describes, with as many samples and windows, windows of a tenth of the samples around the labels, labelled
// anomalies that hardly show, and unlabelled oddities. Everything is drawn from a seed; the second half of the seeds was not
// looked at while the score was built.

// labelled is one series with what is known of it.
type labelled struct {
	name    string
	at      []time.Time
	v       []float64
	windows [][2]int // first and last sample
}

// maker draws a series of n samples, and says where something happened.
type maker struct {
	*rand.Rand
	n    int
	step time.Duration
	v    []float64
}

func (m *maker) between(lo, hi float64) float64 { return lo + (hi-lo)*m.Float64() }
func (m *maker) scale(lo, hi float64) float64   { return math.Exp(m.between(math.Log(lo), math.Log(hi))) }
func (m *maker) day() float64                   { return float64(24*time.Hour) / float64(m.step) }
func (m *maker) chance(p float64) bool          { return m.Float64() < p }

// add lays f over the samples from a up to b.
func (m *maker) add(a, b int, f func(i int, v float64) float64) {
	for i := max(a, 0); i < min(b, m.n); i++ {
		m.v[i] = f(i, m.v[i])
	}
}

// noise adds normal noise, the latest phi of it remembered.
func (m *maker) noise(sd, phi float64) {
	e := 0.0
	m.add(0, m.n, func(_ int, v float64) float64 {
		e = phi*e + math.Sqrt(1-phi*phi)*m.NormFloat64()
		return v + sd*e
	})
}

// wander adds a slow walk that is drawn back.
func (m *maker) wander(sd float64) { m.noise(sd, 1-2/m.day()) }

// daily adds a shape over the day, less at the weekend.
func (m *maker) daily(amp, weekend float64, shape func(phase float64) float64) {
	m.add(0, m.n, func(i int, v float64) float64 {
		d := float64(i) / m.day()
		a := amp
		if int(d+3)%7 >= 5 {
			a *= weekend
		}
		_, phase := math.Modf(d)
		return v + a*shape(phase)
	})
}

func humped(p float64) float64  { return math.Pow(max(0, math.Sin(math.Pi*p)), 2) }
func plateau(p float64) float64 { return 1 / (1 + math.Exp(-60*(p-.37))) / (1 + math.Exp(60*(p-.75))) }

func twoPeaks(p float64) float64 {
	return .6*math.Exp(-200*(p-.35)*(p-.35)) + math.Exp(-80*(p-.8)*(p-.8)) + .3*humped(p)
}

// spikes adds n short ones at random, each of a height of its own.
func (m *maker) spikes(n int, lo, hi float64) {
	for range n {
		at, h := m.IntN(m.n), m.scale(lo, hi)
		m.add(at, at+1+m.IntN(2), func(_ int, v float64) float64 { return v + h })
	}
}

// round leaves so much of a value, as instruments do.
func (m *maker) round(unit float64) {
	m.add(0, m.n, func(_ int, v float64) float64 { return math.Round(v/unit) * unit })
}

// floor keeps values at or over lo, ceil at or under hi.
func (m *maker) clamp(lo, hi float64) {
	m.add(0, m.n, func(_ int, v float64) float64 { return min(max(v, lo), hi) })
}

// counts draws bursty counts around the values.
func (m *maker) counts(burst float64) {
	e := 0.0
	m.add(0, m.n, func(_ int, v float64) float64 {
		e = .7*e + .7*m.NormFloat64()
		mean := v * math.Exp(burst*e)
		return math.Floor(max(0, mean+math.Sqrt(mean)*m.NormFloat64()))
	})
}

// place picks k places for what happened, after the start and apart.
func (m *maker) place(k int) []int {
	for {
		at := make([]int, k)
		for i := range at {
			at[i] = m.n/5 + m.IntN(m.n*3/4)
		}
		slices.Sort(at)
		ok := true
		for i := 1; i < k; i++ {
			ok = ok && at[i]-at[i-1] > m.n/10/k
		}
		if ok {
			return at
		}
	}
}

// spread is the usual distance between neighbours, and the range of the middle nine tenths.
func (m *maker) spread() (near, wide float64) {
	d := make([]float64, 0, m.n)
	for i := 1; i < m.n; i++ {
		d = append(d, math.Abs(m.v[i]-m.v[i-1]))
	}
	slices.Sort(d)
	s := slices.Sorted(slices.Values(m.v))
	wide = s[m.n*19/20] - s[m.n/20]
	return max(d[m.n*3/4], wide/50, 1e-9), max(wide, 1e-9)
}

// happen lets one of the usual things happen at i. One in eight hardly shows.
func (m *maker) happen(i int, kinds string) {
	near, wide := m.spread()
	size := m.scale(1, 4)
	if m.chance(.125) {
		size /= 5
	}
	sign := 1.0
	if m.chance(.3) {
		sign = -1
	}
	dur := int(m.scale(.02, .6) * m.day())
	level := m.v[max(0, i-1)]
	switch kinds[m.IntN(len(kinds))] {
	case 's': // a spike
		m.add(i, i+1+m.IntN(4), func(_ int, v float64) float64 { return v + size*(wide+2*near) })
	case 'd': // down for a while
		m.add(i, i+2+dur/4, func(_ int, v float64) float64 { return v - size*wide*.7 })
	case 'b': // a burst
		m.add(i, i+3+dur, func(_ int, v float64) float64 { return v + size*wide*m.between(.2, 1.2) })
	case 'l': // a level that stays
		m.add(i, m.n, func(_ int, v float64) float64 { return v + sign*size*wide*.5 })
	case 'r': // a drift, then back or not
		m.add(i-dur, i+2*dur, func(j int, v float64) float64 { return v + sign*size*wide*.5*float64(j-i+dur)/float64(3*dur) })
	case 'v': // restless
		m.add(i, i+3+dur, func(_ int, v float64) float64 { return v + size*(near+wide*.3)*m.NormFloat64() })
	case 'f': // stands still
		m.add(i, i+6+dur, func(int, float64) float64 { return level })
	case 'q': // a day that is like another day
		shift := int(m.between(.25, .6) * m.day())
		old := slices.Clone(m.v)
		m.add(i, i+int(m.day()*.8), func(j int, _ float64) float64 { return old[max(0, j-shift)] })
	case 'z': // a day without its peak
		lo := slices.Sorted(slices.Values(m.v))[m.n/5]
		m.add(i, i+int(m.day()*.8), func(_ int, v float64) float64 { return lo + (v-lo)*.25 })
	}
}

// family is how often one kind of series is in the corpus, and how it is drawn.
type family struct {
	name    string
	series  int
	windows []int // by series, round and round
	kinds   string
	n       []int
	step    time.Duration
	draw    func(m *maker, which int)
	gaps    float64 // share of the samples that are missing
}

var families = []family{
	{"quiet", 5, []int{0}, "", []int{4032}, 5 * time.Minute, drawArtificial, 0},
	{"artificial", 6, []int{1}, "zqlvsb", []int{4032}, 5 * time.Minute, drawArtificial, 0},
	{"cloud", 17, []int{2, 2, 2, 1, 1, 1, 1, 2, 1, 3, 1, 2, 2, 3, 2, 2, 2}, "ssbbldvr", []int{4032, 4032, 4032, 4730, 1243}, 5 * time.Minute, drawCloud, .01},
	{"adverts", 6, []int{2, 2, 3, 1, 3, 4}, "sssbl", []int{1624, 1624, 1538, 1643}, time.Hour, drawAdverts, .03},
	{"cause", 7, []int{2, 1, 3, 4, 5, 2, 2}, "rdlzqvb", []int{7267, 18050, 4032, 22695, 10320, 1882, 5315}, 15 * time.Minute, drawCause, .01},
	{"traffic", 7, []int{3, 1, 1, 2, 1, 4, 2}, "dbvsd", []int{2500, 2162, 2380, 2500, 2500, 1127, 2495}, 7 * time.Minute, drawTraffic, .3},
	{"tweets", 10, []int{4, 4, 3, 2, 2, 3, 3, 3, 2, 2}, "sbbss", []int{15900}, 5 * time.Minute, drawTweets, 0},
}

// corpus draws the whole of it.
func corpus(seed uint64) []labelled {
	var out []labelled
	for f, fam := range families {
		for k := range fam.series {
			m := &maker{Rand: rand.New(rand.NewPCG(seed, uint64(100*f+k))), n: fam.n[k%len(fam.n)], step: fam.step}
			m.v = make([]float64, m.n)
			fam.draw(m, k)
			s := labelled{name: fam.name}
			if count := fam.windows[k%len(fam.windows)]; count > 0 {
				half := m.n / 20 / count
				for _, at := range m.place(count) {
					m.happen(at, fam.kinds)
					w := [2]int{max(at-half, 0), min(at+half, m.n-1)}
					if last := len(s.windows) - 1; last >= 0 && s.windows[last][1] >= w[0] {
						s.windows[last][1] = w[1]
						continue
					}
					s.windows = append(s.windows, w)
				}
			}
			finish(m, fam.name)
			m.stamp(&s, fam.gaps)
			out = append(out, s)
		}
	}
	return out
}

// finish makes of the values what the instrument would have shown.
func finish(m *maker, name string) {
	switch name {
	case "tweets":
		m.clamp(0, math.Inf(1))
		m.round(1)
	case "traffic":
		m.clamp(0, math.Inf(1))
	case "cloud":
		lo := slices.Min(m.v[:m.n/6])
		m.clamp(min(lo, max(0, lo*.5)), math.Inf(1))
	}
}

// stamp gives the samples their times; some are missing, and indexes move with them.
func (m *maker) stamp(s *labelled, gaps float64) {
	at := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	for i, v := range m.v {
		s.at, s.v = append(s.at, at.Add(time.Duration(i)*m.step)), append(s.v, v)
		for gaps > 0 && m.chance(gaps) {
			at = at.Add(m.step)
		}
	}
}

func drawArtificial(m *maker, which int) {
	switch which {
	case 0:
		m.daily(m.scale(10, 100), 1, plateau)
	case 1:
		m.daily(80, 1, func(p float64) float64 { return math.Round(plateau(p)) })
	case 2:
		m.daily(60, 1, plateau)
		m.noise(m.scale(1, 4), 0)
	case 3:
		m.add(0, m.n, func(int, float64) float64 { return 45 })
		if m.n > 0 && m.chance(.5) {
			m.noise(.5, 0)
		}
	case 4:
		m.noise(20, 0)
	default:
		m.noise(.02, 0)
		for i := 0; i < m.n; i += 10 + m.IntN(20) {
			m.v[i] += m.between(.5, 1.2)
		}
	}
}

func drawCloud(m *maker, which int) {
	level := m.scale(.1, 60)
	m.add(0, m.n, func(int, float64) float64 { return level })
	switch which % 6 {
	case 0: // idle: two or three values, and spikes at night
		m.noise(level*.25, 0)
		m.round(level / 2)
		for d := 0; d*int(m.day()) < m.n; d++ {
			if i := d*int(m.day()) + 38 + m.IntN(3); i < m.n && m.chance(.7) {
				m.v[i] += level * 10
			}
		}
	case 1: // a noisy level that moves a little
		m.noise(level*.05, .3)
		m.wander(level * .04)
	case 2: // bursts of its own
		m.noise(level*.05, 0)
		m.spikes(m.n/60, level*.2, level*4)
	case 3: // requests
		m.daily(level*3, .8, humped)
		m.counts(.5)
	case 4: // bytes: nothing, and now and then a lot
		m.noise(level*.01, 0)
		m.spikes(m.n/150, level, level*30)
	case 5:
		m.noise(level*.08, .8)
		m.daily(level*.2, 1, twoPeaks)
		m.spikes(10, level*.3, level)
	}
}

func drawAdverts(m *maker, _ int) {
	m.daily(1, 1.1, twoPeaks)
	m.wander(.3)
	e := 0.0
	m.add(0, m.n, func(_ int, v float64) float64 {
		e = .4*e + .3*m.NormFloat64()
		return .08 * math.Exp(.7*v+e)
	})
	m.spikes(12, .1, .6)
}

func drawCause(m *maker, which int) {
	switch which % 7 {
	case 0, 3: // temperatures
		m.add(0, m.n, func(int, float64) float64 { return 80 })
		m.daily(5, 1, humped)
		m.wander(5)
		m.noise(2, .9)
	case 1:
		m.daily(40, 1, plateau)
		m.wander(4)
		m.noise(5, .2)
	case 2:
		m.noise(2, .3)
		m.add(0, m.n, func(_ int, v float64) float64 { return 45 + v })
		m.spikes(8, 3, 10)
	case 4: // taxis
		m.daily(18000, .85, twoPeaks)
		m.noise(900, .8)
		m.clamp(100, 1e9)
	case 5:
		m.noise(.02, .5)
		m.add(0, m.n, func(_ int, v float64) float64 { return .07 + math.Abs(v) })
		m.spikes(20, .1, .5)
	case 6:
		m.daily(100, .1, plateau)
		m.counts(.6)
	}
}

func drawTraffic(m *maker, which int) {
	switch which % 3 {
	case 0: // travel times
		m.daily(150, .4, twoPeaks)
		m.noise(30, .6)
		m.add(0, m.n, func(_ int, v float64) float64 { return 250 + v + m.scale(1, 40) })
		m.spikes(30, 60, 900)
		m.round(1)
	case 1: // occupancy
		m.daily(12, .5, plateau)
		m.add(0, m.n, func(_ int, v float64) float64 { return max(0, v*(1+.35*m.NormFloat64())) })
		m.round(.06)
	case 2: // speed, slower in the evening on some days
		m.add(0, m.n, func(int, float64) float64 { return 68 })
		m.noise(4, .1)
		for d := 0; float64(d)*m.day() < float64(m.n); d++ {
			if h := m.scale(2, 25); m.chance(.7) {
				at := int((float64(d) + m.between(.68, .72)) * m.day())
				m.add(at, at+4+m.IntN(8), func(_ int, v float64) float64 { return v - h*m.Float64() })
			}
		}
		m.round(1)
	}
}

func drawTweets(m *maker, _ int) {
	level := m.scale(8, 80)
	m.add(0, m.n, func(int, float64) float64 { return level * .3 })
	m.daily(level, .5, humped)
	m.counts(.35)
	for range m.n / 300 { // the talk of an hour
		at, h := m.IntN(m.n), m.scale(level*.5, level*6)
		m.add(at, at+3+m.IntN(6), func(j int, v float64) float64 { return v + h*math.Exp(-float64(j-at)/2)*m.Float64() })
	}
}
