package correlate

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/triaged-dev/triaged/triage"
)

//go:embed weights.yaml
var weightsYAML []byte

// Weights is the table of everything the model was told; weights.yaml documents every entry. A Weights does not change.
type Weights struct {
	Version string

	KindDeploy    float64 `w:"kind.deploy"`
	KindRollback  float64 `w:"kind.rollback"`
	KindConfig    float64 `w:"kind.config"`
	KindFlag      float64 `w:"kind.flag"`
	KindMigration float64 `w:"kind.migration"`
	KindInfra     float64 `w:"kind.infra"`
	KindScale     float64 `w:"kind.scale"`
	KindCommand   float64 `w:"kind.command"`
	KindOther     float64 `w:"kind.other"`
	BusyExponent  float64 `w:"busy.exponent"`
	BusyReference float64 `w:"busy.reference"`

	LagFast         float64 `w:"lag.fast_min"`
	LagMid          float64 `w:"lag.mid_min"`
	LagMidShare     float64 `w:"lag.mid"`
	LagTail         float64 `w:"lag.tail_min"`
	LagTailSigma    float64 `w:"lag.tail_sigma"`
	LagFlatEnd      float64 `w:"lag.flat_min"`
	LagTailSlow     float64 `w:"lag.tail.slow"`
	LagTailQuick    float64 `w:"lag.tail.quick"`
	LagFlat         float64 `w:"lag.flat"`
	LagRolloutSlow  float64 `w:"lag.rollout.slow_min"`
	LagRolloutQuick float64 `w:"lag.rollout.quick_min"`
	LagPrompt       float64 `w:"lag.prompt"`
	LagGrace        float64 `w:"lag.grace"`
	LagFloor        float64 `w:"lag.floor"`

	PlaceHop       float64 `w:"place.hop"`
	PlaceCaller    float64 `w:"place.caller"`
	PlaceNoGraph   float64 `w:"place.no_graph"`
	PlaceUnplaced  float64 `w:"place.unplaced"`
	PlaceOffGraph  float64 `w:"place.off_graph"`
	PlaceNoService float64 `w:"place.no_service"`
	PlaceGlobal    float64 `w:"place.global"`
	ScopeMatch     float64 `w:"scope.match"`
	ScopeMismatch  float64 `w:"scope.mismatch"`

	ShiftNullDF      float64 `w:"shift.null_df"`
	ShiftScale       float64 `w:"shift.scale"`
	ShiftHidden      float64 `w:"shift.hidden"`
	ShiftCapOne      float64 `w:"shift.cap_one"`
	ShiftCapTwo      float64 `w:"shift.cap_two"`
	ShiftCap         float64 `w:"shift.cap"`
	ShiftMaterial    float64 `w:"shift.material"`
	ShiftPower       float64 `w:"shift.power"`
	OriginShows      float64 `w:"origin.shows"`
	OriginCaller     float64 `w:"origin.caller"`
	OriginDecay      float64 `w:"origin.decay"`
	OriginNoise      float64 `w:"origin.noise"`
	OriginUnplaced   float64 `w:"origin.unplaced"`
	OriginWitness    float64 `w:"origin.witness"`
	OriginCascadeMax float64 `w:"origin.cascade_max"`
	OriginCascadeMin float64 `w:"origin.cascade_min"`
	OriginGlobalMax  float64 `w:"origin.global_max"`
	OriginGlobalNone float64 `w:"origin.global_none"`
	OwnVeto          float64 `w:"own.veto"`

	SplitMax   float64 `w:"split.max"`
	SplitClear float64 `w:"split.clear"`

	ExposureFull   float64 `w:"exposure.full"`
	ExposureSmall  float64 `w:"exposure.small"`
	SizeLarge      float64 `w:"size.large"`
	SizeSmall      float64 `w:"size.small"`
	RiskFailed     float64 `w:"risk.failed"`
	RiskNoop       float64 `w:"risk.noop"`
	RiskReaction   float64 `w:"risk.reaction"`
	WordsMax       float64 `w:"words.max"`
	HistoryMax     float64 `w:"history.max"`
	RevertedBefore float64 `w:"reverted.before"`
	RevertedNoHelp float64 `w:"reverted.no_help"`

	NoneRate    float64 `w:"none.rate"`
	NoneDiffuse float64 `w:"none.diffuse"`
	NoneBlind   float64 `w:"none.blind"`
	NoneQuiet   float64 `w:"none.quiet"`
	NoneRecurs  float64 `w:"none.recurs"`
	NoneSurge   float64 `w:"none.surge"`
	NoneVendor  float64 `w:"none.vendor"`
	NoneMost    float64 `w:"none.most"`
	Temperature float64 `w:"temperature"`

	lags    *lagTable
	without string // factors left out, for ablation: ",own,cascade,"
}

// DefaultWeights is the embedded table.
func DefaultWeights() Weights { return defaultWeights() }

// The embedded table is parsed once; a table that does not parse or does not match the struct is a broken build.
var defaultWeights = sync.OnceValue(func() Weights {
	w, err := decodeWeights(weightsYAML)
	if err != nil {
		panic("correlate: weights.yaml: " + err.Error())
	}
	return w
})

func decodeWeights(data []byte) (Weights, error) {
	var file struct {
		Version string `yaml:"version"`
		Weights map[string]struct {
			Value float64 `yaml:"value"`
			Unit  string  `yaml:"unit"`
			Why   string  `yaml:"why"`
		} `yaml:"weights"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil {
		return Weights{}, err
	}
	w := Weights{Version: file.Version}
	fields := w.fields()
	for _, name := range slices.Sorted(maps.Keys(file.Weights)) {
		e := file.Weights[name]
		f, ok := fields[name]
		if !ok || e.Unit == "" || e.Why == "" {
			return w, fmt.Errorf("%s: unknown, or without unit or reason", name)
		}
		f.SetFloat(e.Value)
		delete(fields, name)
	}
	if len(fields) > 0 {
		return w, fmt.Errorf("no value for %v", slices.Sorted(maps.Keys(fields)))
	}
	w.buildLags()
	return w, nil
}

// fields maps the names of the table to the settable fields.
func (w *Weights) fields() map[string]reflect.Value {
	v := reflect.ValueOf(w).Elem()
	out := make(map[string]reflect.Value, v.NumField())
	for i := range v.NumField() {
		if name := v.Type().Field(i).Tag.Get("w"); name != "" {
			out[name] = v.Field(i)
		}
	}
	return out
}

// With returns the table with some entries replaced; its version then says so. An unknown name is an error that lists
// the known ones.
func (w Weights) With(o Overrides) (Weights, error) {
	if len(o) == 0 {
		return w, nil
	}
	fields := w.fields()
	for _, name := range slices.Sorted(maps.Keys(o)) {
		f, ok := fields[name]
		if !ok {
			return w, fmt.Errorf("%s: no such weight; there are %s", name, strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
		}
		if v := o[name]; v != v || v > 1e6 || v < -1e6 {
			return w, fmt.Errorf("%s: %v: must be a number between -1000000 and 1000000", name, v)
		}
		f.SetFloat(o[name])
	}
	for _, p := range [...]struct {
		name string
		v    float64
	}{
		{"temperature", w.Temperature},
		{"lag.fast_min", w.LagFast},
		{"lag.mid_min", w.LagMid},
		{"lag.tail_min", w.LagTail},
		{"lag.tail_sigma", w.LagTailSigma},
		{"lag.flat_min", w.LagFlatEnd},
		{"busy.reference", w.BusyReference},
		{"shift.scale", w.ShiftScale},
		{"shift.null_df", w.ShiftNullDF},
		{"none.rate", w.NoneRate},
	} {
		if p.v <= 0 {
			return w, fmt.Errorf("%s: %v: must be greater than 0", p.name, p.v)
		}
	}
	w.Version += "+custom"
	w.buildLags()
	return w, nil
}

// Values lists the table by name.
func (w Weights) Values() Overrides {
	out := make(Overrides)
	for name, f := range w.fields() {
		out[name] = f.Float()
	}
	return out
}

// Without returns the table with some factors left out: what the ranking would be without them.
func (w Weights) Without(factors ...string) (Weights, error) {
	for _, f := range factors {
		if !slices.Contains(Factors(), f) {
			return w, fmt.Errorf("%s: no such factor; there are %s", f, strings.Join(Factors(), ", "))
		}
		w.without += "," + f + ","
	}
	return w, nil
}

// omits reports whether a factor was left out.
func (w *Weights) omits(factor string) bool {
	return w.without != "" && strings.Contains(w.without, ","+factor+",")
}

// ReadWeights reads a table of "name: value" lines (YAML) over the embedded one.
func ReadWeights(r io.Reader) (Weights, error) {
	var o Overrides
	if err := yaml.NewDecoder(r).Decode(&o); err != nil && !errors.Is(err, io.EOF) {
		return Weights{}, fmt.Errorf("read weights: %w", err)
	}
	return DefaultWeights().With(o)
}

// kind is the log-odds of a kind against a deploy.
func (w *Weights) kind(k triage.Kind) float64 {
	switch k {
	case triage.KindDeploy:
		return w.KindDeploy
	case triage.KindRollback:
		return w.KindRollback
	case triage.KindConfig:
		return w.KindConfig
	case triage.KindFlag:
		return w.KindFlag
	case triage.KindMigration:
		return w.KindMigration
	case triage.KindInfra:
		return w.KindInfra
	case triage.KindScale:
		return w.KindScale
	case triage.KindCommand:
		return w.KindCommand
	default:
		return w.KindOther
	}
}

// slow reports whether changes of the kind roll out over minutes and can hurt late.
func slow(k triage.Kind) bool {
	switch k {
	case triage.KindDeploy, triage.KindRollback, triage.KindInfra, triage.KindMigration, triage.KindOther:
		return true
	default:
		return false
	}
}
