package configs

import (
	"reflect"
	"regexp"
	"strings"
)

// keysOf lists the YAML keys of a configuration struct and all structs of ours below it.
func keysOf(v any) map[string]bool {
	keys := make(map[string]bool)
	collect(reflect.TypeOf(v), keys, make(map[reflect.Type]bool))
	return keys
}

func collect(t reflect.Type, keys map[string]bool, seen map[reflect.Type]bool) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		collect(t.Elem(), keys, seen)
		return
	case reflect.Struct:
	default:
		return
	}
	if seen[t] || !strings.Contains(t.PkgPath(), "triaged-dev") {
		return // other people's sections, such as http_config, are documented by them
	}
	seen[t] = true
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name != "" && name != "-" && f.IsExported() {
			keys[name] = true
			collect(f.Type, keys, seen)
		}
	}
}

var commented = regexp.MustCompile(`(?m)^( *)# ( *(?:- |[a-z_]+:|  ).*)$`)

// uncomment turns the commented examples of the reference file into configuration: lines that look like YAML lose their "# ",
// and the empty defaults they stand below (`kafka: []`, `services: {}`) lose theirs.
func uncomment(text string) string {
	text = commented.ReplaceAllString(text, "$1$2")
	return regexp.MustCompile(`(?m)^( *[a-z_]+:) (\[\]|\{\})$`).ReplaceAllString(text, "$1")
}
