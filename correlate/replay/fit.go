package replay

import (
	"context"
	"errors"
	"io"

	"github.com/triaged-dev/triaged/correlate"
)

func runFit(context.Context, []scenario, correlate.Weights, Options, io.Writer) error {
	return errors.New("fit: not enough cases")
}

func runCompare(context.Context, []scenario, []outcome, summary, Options, io.Writer) error {
	return errors.New("compare: no table")
}
