package mapping

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/ext"

	"github.com/triaged-dev/triaged/triage"
)

// Bounds on one input.
const (
	// costLimit bounds one expression, in CEL's cost units: about one per operation or per ten bytes looked at. The costliest
	// shipped expression spends less than a hundredth of it.
	costLimit = 1_000_000
	// evalTime bounds all expressions over one input.
	evalTime = 500 * time.Millisecond
	// maxItems bounds foreach; a Change at every bound is 64 KiB.
	maxItems = 500
	// maxExpression bounds the text of one expression, in characters.
	maxExpression = 4096
)

// newEnv declares what expressions may use.
func newEnv() (*cel.Env, error) {
	return cel.NewEnv(
		cel.OptionalTypes(), ext.Strings(), ext.Regex(), ext.Lists(),
		cel.ParserExpressionSizeLimit(maxExpression), cel.DefaultUTCTimeZone(true),
		cel.Variable("body", cel.DynType),
		cel.Variable("item", cel.DynType),
		cel.Variable("headers", cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable("received", cel.TimestampType),
		// time(x) is written with one argument and knows when the input came: what cannot be read is taken as that.
		cel.Macros(cel.GlobalMacro("time", 1, func(f cel.MacroExprFactory, _ ast.Expr, args []ast.Expr) (ast.Expr, *common.Error) {
			return f.NewCall(timeOr, args[0], f.NewIdent("received")), nil
		})),
		cel.Function(timeOr, cel.Overload(timeOr+"_dyn", []*cel.Type{cel.DynType, cel.TimestampType}, cel.DynType, cel.BinaryBinding(celTime))),
		unary("json", cel.DynType, celJSON),
		unary("base64", cel.StringType, celBase64),
		unary("text", cel.StringType, func(v ref.Val) ref.Val { return types.String(text(v)) }),
		unary("image_tag", cel.StringType, func(v ref.Val) ref.Val {
			tag, _ := splitImage(text(v))
			return types.String(tag)
		}),
		unary("image_digest", cel.StringType, func(v ref.Val) ref.Val {
			_, digest := splitImage(text(v))
			return types.String(digest)
		}),
		cel.Function("first", cel.Overload("first_list", []*cel.Type{cel.ListType(cel.DynType)}, cel.DynType, cel.UnaryBinding(celFirst))),
	)
}

func unary(name string, result *cel.Type, f func(ref.Val) ref.Val) cel.EnvOption {
	return cel.Function(name, cel.Overload(name+"_dyn", []*cel.Type{cel.DynType}, result, cel.UnaryBinding(f)))
}

// timeOr is what time(x) becomes.
const timeOr = "time_or"

var errUnread = errors.New("neither text nor a number")

// unread is where the times are that stand in for one that could not be read, so that they can be told from those that were.
var unread = time.FixedZone("unread", 0)

// celTime is time(x): null for what is absent, empty or the zero time; the arrival, marked as unread, for what is no time at all,
// has no zone, or lies in no year in which a system ran.
func celTime(v, arrival ref.Val) ref.Val {
	v = present(v)
	var t time.Time
	var err error
	switch x := v.(type) {
	case nil:
		return types.NullValue
	case types.Timestamp:
		return x
	case types.String:
		t, err = triage.ParseTime(string(x))
	case types.Int:
		t, err = triage.UnixTime(float64(x))
	case types.Double:
		t, err = triage.UnixTime(float64(x))
	default:
		err = errUnread
	}
	if err == nil && t.IsZero() {
		return types.NullValue
	}
	if err != nil || t.Year() < 1990 || t.Year() > 2200 {
		now, ok := arrival.(types.Timestamp)
		if !ok {
			return types.NullValue
		}
		return types.Timestamp{Time: now.In(unread)}
	}
	return types.Timestamp{Time: t}
}

// celJSON is json(x): the document in a text, as it would stand in body; an empty map for what is no JSON.
func celJSON(v ref.Val) ref.Val {
	v = present(v)
	if m, ok := v.(traits.Mapper); ok { // a sender that does not quote it after all
		return m
	}
	doc, err := decodeJSON([]byte(text(v)))
	if err != nil || doc == nil {
		doc = map[string]any{}
	}
	return types.DefaultTypeAdapter.NativeToValue(doc)
}

// celBase64 is base64(x): the text that x is the base64 of, in either alphabet; "" where it is none.
func celBase64(v ref.Val) ref.Val {
	s := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text(present(v)), "="))
	raw, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		return types.String("")
	}
	return types.String(strings.ToValidUTF8(string(raw), "�"))
}

// celFirst is first([…]): the first element that is there and not empty, else null.
func celFirst(v ref.Val) ref.Val {
	list, ok := v.(traits.Lister)
	if !ok {
		return types.NewErr("first(): want a list")
	}
	var doubtful ref.Val
	for it := list.Iterator(); it.HasNext() == types.True; {
		e := present(it.Next())
		if e == nil {
			continue
		}
		if s, ok := e.(types.String); ok && s == "" {
			continue
		}
		if isUnread(e) { // one that can be read is better, but the arrival itself is not
			doubtful = e
			continue
		}
		if t, ok := e.(types.Timestamp); ok && doubtful != nil && t.Time.Equal(doubtful.(types.Timestamp).Time) {
			break
		}
		return e
	}
	if doubtful != nil {
		return doubtful
	}
	return types.NullValue
}

// isUnread reports whether v stands in for a time that could not be read.
func isUnread(v ref.Val) bool {
	t, ok := v.(types.Timestamp)
	return ok && t.Location() == unread
}

// present unwraps optionals; nil for none and null.
func present(v ref.Val) ref.Val {
	for {
		o, ok := v.(*types.Optional)
		if !ok {
			break
		}
		if !o.HasValue() {
			return nil
		}
		v = o.GetValue()
	}
	if v == nil || v.Type() == types.NullType {
		return nil
	}
	return v
}

// text renders a scalar as a person would write it; "" for what is absent, a list or a map.
func text(v ref.Val) string {
	switch x := present(v).(type) {
	case types.String:
		return string(x)
	case types.Int:
		return strconv.FormatInt(int64(x), 10)
	case types.Uint:
		return strconv.FormatUint(uint64(x), 10)
	case types.Double:
		return strconv.FormatFloat(float64(x), 'f', -1, 64)
	case types.Bool:
		return strconv.FormatBool(bool(x))
	case types.Timestamp:
		return x.UTC().Format(time.RFC3339Nano)
	}
	return ""
}

// splitImage takes an image reference apart: ghcr.io:443/acme/checkout:v2@sha256:ab… → v2, sha256:ab….
func splitImage(s string) (tag, digest string) {
	s, digest, _ = strings.Cut(s, "@")
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, '/') {
		tag = s[i+1:]
	}
	return tag, digest
}

// toGo turns a result into what encoding/json writes. nil stands for absent.
func toGo(v ref.Val) (any, error) {
	v = present(v)
	switch x := v.(type) {
	case nil:
		return nil, nil
	case types.String:
		return string(x), nil
	case types.Int:
		return int64(x), nil
	case types.Uint:
		return uint64(x), nil
	case types.Double:
		return float64(x), nil
	case types.Bool:
		return bool(x), nil
	case types.Timestamp:
		return x.UTC(), nil
	case types.Duration:
		return x.Seconds(), nil
	case traits.Mapper:
		out := make(map[string]any)
		for it := x.Iterator(); it.HasNext() == types.True; {
			k := it.Next()
			e, err := toGo(x.Get(k))
			if err != nil {
				return nil, err
			}
			if e != nil {
				out[text(k)] = e
			}
		}
		return out, nil
	case traits.Lister:
		out := []any{}
		for it := x.Iterator(); it.HasNext() == types.True; {
			e, err := toGo(it.Next())
			if err != nil {
				return nil, err
			}
			if e != nil {
				out = append(out, e)
			}
		}
		return out, nil
	}
	return nil, fmt.Errorf("gives a %s, which no field can hold", v.Type().TypeName())
}
