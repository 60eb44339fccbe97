package journal

import (
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/triaged-dev/triaged/triage"
)

type metrics struct {
	appendSeconds, commitSeconds, batchEntries prometheus.Histogram
	entries, writes, failures, sweptRows       *prometheus.CounterVec
	recovered                                  prometheus.Counter
}

// newMetrics registers the metrics of one journal; reg may be nil. What is a state is read from j at scrape.
func newMetrics(reg prometheus.Registerer, j *Journal) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		appendSeconds: f.NewHistogram(prometheus.HistogramOpts{
			Name: "triaged_journal_append_seconds", Help: "Time from Append until its entries were durable.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		commitSeconds: f.NewHistogram(prometheus.HistogramOpts{
			Name: "triaged_journal_commit_seconds", Help: "Time to write one batch to the disk.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		batchEntries: f.NewHistogram(prometheus.HistogramOpts{
			Name: "triaged_journal_batch_entries", Help: "Entries committed together.",
			Buckets: []float64{1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500},
		}),
		entries: f.NewCounterVec(prometheus.CounterOpts{
			Name: "triaged_journal_entries_total", Help: "Entries made durable by Append, by what they are.",
		}, []string{"type"}),
		writes: f.NewCounterVec(prometheus.CounterOpts{
			Name: "triaged_journal_writes_total", Help: "Writes asked for, by operation.",
		}, []string{"op"}),
		failures: f.NewCounterVec(prometheus.CounterOpts{
			Name: "triaged_journal_write_failures_total", Help: "Writes that were not acknowledged, by operation.",
		}, []string{"op"}),
		sweptRows: f.NewCounterVec(prometheus.CounterOpts{
			Name: "triaged_journal_swept_rows_total", Help: "Rows removed because they were past their retention, by table.",
		}, []string{"table"}),
		recovered: f.NewCounter(prometheus.CounterOpts{
			Name: "triaged_journal_recovered_total", Help: "Times a damaged journal was moved aside and a fresh one started.",
		}),
	}
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "triaged_journal_size_bytes", Help: "Bytes on disk of the journal and its write-ahead log.",
	}, j.size)
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "triaged_journal_damaged", Help: "1 if damage was met since the start: restart to have the file moved aside.",
	}, func() float64 {
		if j.damaged.Load() {
			return 1
		}
		return 0
	})
	m.entries.WithLabelValues("change")
	m.entries.WithLabelValues("anomaly")
	return m
}

func (j *Journal) size() float64 {
	var n int64
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(j.cfg.Path + suffix); err == nil {
			n += info.Size()
		}
	}
	return float64(n)
}

func (m *metrics) appended(entries []triage.Entry, took time.Duration) {
	m.appendSeconds.Observe(took.Seconds())
	var changes, anomalies float64
	for _, e := range entries {
		if e.Event.Change != nil {
			changes++
		} else {
			anomalies++
		}
	}
	m.entries.WithLabelValues("change").Add(changes)
	m.entries.WithLabelValues("anomaly").Add(anomalies)
}

func (m *metrics) commit(entries int, took time.Duration) {
	m.batchEntries.Observe(float64(entries))
	m.commitSeconds.Observe(took.Seconds())
}

func (m *metrics) write(op string, err error) {
	m.writes.WithLabelValues(op).Inc()
	if err != nil {
		m.failures.WithLabelValues(op).Inc()
	}
}

func (m *metrics) swept(table string, rows int64) {
	if rows > 0 {
		m.sweptRows.WithLabelValues(table).Add(float64(rows))
	}
}
