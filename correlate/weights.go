package correlate

// Weights is the table of everything the model was told.
type Weights struct {
	Version string
}

// DefaultWeights is the embedded table.
func DefaultWeights() Weights { return Weights{Version: "1"} }

// With returns the table with some entries replaced.
func (w Weights) With(Overrides) (Weights, error) { return w, nil }
