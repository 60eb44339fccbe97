package prometheus

// VictimRules say how the service an alert is about is read from its labels.
type VictimRules struct {
	Labels    []string `yaml:"labels"`    // labels that may name it, best first
	Exporters []string `yaml:"exporters"` // regular expressions (anchored) of names that only report on others
}

// DefaultVictimRules know the usual labels and exporters.
func DefaultVictimRules() VictimRules { return VictimRules{} }

// Victim is the service and the label it came from.
func Victim(labels map[string]string, rules VictimRules) (service, from string) { return "", "" }
