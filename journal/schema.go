package journal

import (
	"context"
	"fmt"
)

// migration takes the schema from the version before it to its own: its number is its place in the list, from 1.
// It runs in one transaction. One that was ever released is never changed; a new one is added at the end.
type migration struct {
	what string
	sql  string
	fill func(context.Context, *writer) error // optional: data that SQL alone cannot carry over
}

var migrations = []migration{
	{what: "changes, anomalies, incidents, reports, outbox, feedback", sql: schemaV1},
	{what: "alert history", sql: schemaV2, fill: fillAlerts},
}

// Bodies stand in a table of their own, so that the index of a million changes is read without them and removing
// old bodies frees whole pages. A change whose times reach more than farReach from occurred_at is "far": few are,
// and the others are found within a bounded range of occurred_at.
const schemaV1 = `
CREATE TABLE changes (
	seq           INTEGER PRIMARY KEY,  -- order of arrival; key of its body
	id            TEXT NOT NULL UNIQUE,
	far           INTEGER NOT NULL,
	occurred_at   INTEGER NOT NULL,     -- Change.OccurredAt: what lists are sorted by
	acts_from     INTEGER NOT NULL,     -- earliest time it may have acted
	acts_until    INTEGER NOT NULL,     -- last activity plus its uncertainty
	last_activity INTEGER NOT NULL,
	started_at    INTEGER NOT NULL,
	finished_at   INTEGER NOT NULL,
	observed_at   INTEGER NOT NULL,
	kind          TEXT NOT NULL,
	status        TEXT NOT NULL,
	source        TEXT NOT NULL,
	service       TEXT NOT NULL,
	environment   TEXT NOT NULL,
	global        INTEGER NOT NULL,
	packed        BLOB NOT NULL,        -- IndexEntry, see pack: read a million at a time, one column is four times as fast as eleven
	title         TEXT NOT NULL,
	version       TEXT NOT NULL,
	search        TEXT NOT NULL         -- title, version and service in lower case
) STRICT;
CREATE INDEX changes_by_time ON changes (far, occurred_at, id);
CREATE INDEX changes_by_activity ON changes (last_activity);
CREATE TABLE bodies (
	seq  INTEGER PRIMARY KEY,
	body BLOB NOT NULL
) STRICT;
CREATE TABLE aliases (
	alias TEXT PRIMARY KEY,
	id    TEXT NOT NULL,                -- always of a change, never another alias
	at    INTEGER NOT NULL              -- last time either was written, at least the change's last activity
) STRICT, WITHOUT ROWID;
CREATE INDEX aliases_by_id ON aliases (id);
CREATE INDEX aliases_by_time ON aliases (at);
CREATE TABLE anomalies (
	seq         INTEGER PRIMARY KEY,
	id          TEXT NOT NULL UNIQUE,
	far         INTEGER NOT NULL,
	onset       INTEGER NOT NULL,
	acts_from   INTEGER NOT NULL,
	acts_until  INTEGER NOT NULL,
	service     TEXT NOT NULL,
	environment TEXT NOT NULL,
	global      INTEGER NOT NULL,
	search      TEXT NOT NULL,
	body        BLOB NOT NULL
) STRICT;
CREATE INDEX anomalies_by_time ON anomalies (far, onset, id);
CREATE TABLE incidents (
	id         TEXT PRIMARY KEY,
	state      TEXT NOT NULL,
	service    TEXT NOT NULL,
	opened_at  INTEGER NOT NULL,
	updated_at INTEGER NOT NULL,
	body       BLOB NOT NULL
) STRICT;
CREATE INDEX incidents_by_time ON incidents (opened_at, id);
CREATE INDEX incidents_by_state ON incidents (state, opened_at, id);
CREATE TABLE reports (
	incident_id TEXT NOT NULL,
	number      INTEGER NOT NULL,
	created_at  INTEGER NOT NULL,
	body        BLOB NOT NULL,
	input       BLOB NOT NULL,          -- the Case it was made from, gzip
	PRIMARY KEY (incident_id, number)
) STRICT;
CREATE INDEX reports_by_time ON reports (created_at);
CREATE TABLE deliveries (
	id           TEXT PRIMARY KEY,
	incident_id  TEXT NOT NULL,
	state        TEXT NOT NULL,
	created_at   INTEGER NOT NULL,
	next_attempt INTEGER NOT NULL,
	body         BLOB NOT NULL
) STRICT;
CREATE INDEX deliveries_due ON deliveries (state, next_attempt, id);
CREATE INDEX deliveries_by_time ON deliveries (created_at, id);
CREATE INDEX deliveries_by_incident ON deliveries (incident_id, created_at, id);
CREATE TABLE feedback (
	incident_id TEXT NOT NULL,
	at          INTEGER NOT NULL,
	verdict     TEXT NOT NULL,
	change_id   TEXT NOT NULL,
	service     TEXT NOT NULL,          -- of the change when it was judged: it may be gone before the label is
	kind        TEXT NOT NULL,
	body        BLOB NOT NULL,
	PRIMARY KEY (incident_id, at, verdict, change_id)
) STRICT;
CREATE INDEX feedback_by_time ON feedback (at);
CREATE TABLE quarantine (
	seq  INTEGER PRIMARY KEY AUTOINCREMENT,
	id   TEXT NOT NULL UNIQUE,
	at   INTEGER NOT NULL,
	source TEXT NOT NULL,
	record BLOB NOT NULL                -- all but the body
) STRICT;
CREATE INDEX quarantine_by_time ON quarantine (at);
CREATE TABLE quarantine_bodies (
	seq  INTEGER PRIMARY KEY,
	body BLOB NOT NULL
) STRICT;
CREATE TABLE state (
	key   TEXT PRIMARY KEY,
	value BLOB NOT NULL,
	at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
`

const schemaV2 = `
CREATE TABLE alerts (
	key         TEXT PRIMARY KEY,       -- Alert.Key: one firing of one alert
	name        TEXT NOT NULL,
	service     TEXT NOT NULL,          -- of its incident
	starts_at   INTEGER NOT NULL,
	ends_at     INTEGER NOT NULL,
	incident_id TEXT NOT NULL,
	body        BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX alerts_by_name ON alerts (name, service, starts_at);
CREATE INDEX alerts_by_incident ON alerts (incident_id);
CREATE INDEX alerts_by_time ON alerts (starts_at);
`

// migrate brings the schema up to the last of the migrations given, each in its own transaction.
func (j *Journal) migrate(ctx context.Context, all []migration) error {
	var version int
	if err := j.w.conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	for n := version; n < len(all); n++ {
		m := all[n]
		err := j.w.transaction(func() error {
			if err := j.w.script(m.sql); err != nil {
				return err
			}
			if m.fill != nil {
				if err := m.fill(ctx, j.w); err != nil {
					return err
				}
			}
			return j.w.script(fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, n+1))
		})
		if err != nil {
			return fmt.Errorf("bring schema from %d to %d (%s): %w", n, n+1, m.what, err)
		}
		if version > 0 {
			j.log.Info("journal schema brought up to date", "from", n, "to", n+1, "what", m.what)
		}
	}
	return nil
}
