// Package alerting takes alerts in, keeps the incidents they belong to, has them triaged and delivers the reports.
//
// It ranks nothing, queries no metrics and speaks no notification service's language: triage is asked of a Triager, words
// for one service are found by the Notifiers in the packages below this one, and everything that must survive is in the Store.
//
// One alert's way: Accept places it in an incident and returns once the Store has it; a worker asks the Triager; the report
// and its outbox rows are stored in one transaction; the dispatcher posts them and retries. A report exists and can be read
// even if every notifier is down.
package alerting
