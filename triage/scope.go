package triage

// Scope says where something happened. Empty fields are unknown, which matches anything at lower confidence.
type Scope struct {
	Service     string `json:"service,omitempty"` // canonical name, never guessed from free text
	Environment string `json:"environment,omitempty"`
	Region      string `json:"region,omitempty"`
	Cluster     string `json:"cluster,omitempty"`
	Namespace   string `json:"namespace,omitempty"`
	Global      bool   `json:"global,omitempty"` // reaches every service: DNS, edge config, network, auth
}

// Contradicts reports whether both sides know an aspect of the scope and disagree about it, and names the first such aspect.
func (s Scope) Contradicts(o Scope) (aspect string, contradicts bool) {
	for _, p := range [...]struct{ name, a, b string }{
		{"service", s.Service, o.Service},
		{"environment", s.Environment, o.Environment},
		{"cluster", s.Cluster, o.Cluster},
		{"namespace", s.Namespace, o.Namespace},
		{"region", s.Region, o.Region},
	} {
		if p.a != "" && p.b != "" && p.a != p.b {
			return p.name, true
		}
	}
	return "", false
}
