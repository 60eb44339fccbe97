package pagerduty

import (
	"errors"
	"io"
	"net/http"

	pd "github.com/PagerDuty/go-pagerduty"

	"github.com/triaged-dev/triaged/alerting/outbox"
)

const maxAnswer = 4 << 20 // bytes read of one answer

// account is the client for one Notify.
type account struct {
	*pd.Client
	doer doer
}

// doer sends requests and keeps the last error: the client library turns errors into text, and the text holds the address.
type doer struct {
	client *http.Client
	err    error
}

// Do implements the library's HTTPClient.
func (d *doer) Do(req *http.Request) (*http.Response, error) {
	resp, err := d.client.Do(req)
	d.err = err
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}

// classify turns an error met while doing what into a DeliveryError, without the library's words.
func (a *account) classify(doing string, err error) *outbox.DeliveryError {
	if a.doer.err != nil {
		err = a.doer.err
	}
	if e, ok := errors.AsType[*outbox.DeliveryError](err); ok {
		return e
	}
	return outbox.TransportError(doing, err)
}
