package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/alecthomas/kingpin/v2"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/common/version"

	"github.com/triaged-dev/triaged/alerting/card"
	"github.com/triaged-dev/triaged/api/mcp"
)

// mcpCommand serves one assistant over standard input and output, asking a running triaged.
func mcpCommand(app *kingpin.Application) command {
	clause := app.Command("mcp", "Answer an assistant by the Model Context Protocol on standard input and output, asking a running triaged.")
	to := clientFlags(clause)
	feedback := clause.Flag("allow-feedback", "Offer the tool feedback, for a token that may give it; else the assistant can only read.").Bool()
	return command{clause: clause, run: func(ctx context.Context, s streams, _ *promslog.Config) error {
		server := mcp.New(mcp.Options{Ask: to.do, Card: card.Text, MayWrite: *feedback, Version: version.Version})
		err := server.Run(ctx, &sdk.IOTransport{Reader: io.NopCloser(s.in), Writer: writeCloser{s.out}})
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, sdk.ErrConnectionClosed) && ctx.Err() == nil {
			return fmt.Errorf("answer the assistant: %w", err)
		}
		return nil
	}}
}

// writeCloser is a Writer whose closing is nobody's business here: the streams are the process's.
type writeCloser struct{ io.Writer }

func (writeCloser) Close() error { return nil }
