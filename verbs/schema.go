package verbs

import (
	"encoding/json"
	"reflect"
	"strings"
	"time"

	"paas/platform"
)

// streams tells whether the verb writes its output itself, while it comes about.
func (v Verb) streams() bool { return v.out == reflect.TypeFor[platform.Streamed]() }

// schemaOf is the JSON Schema (draft 2020-12) of what encoding/json makes of a type, nil for what streams.
func schemaOf(t reflect.Type) any {
	if t == nil || t == reflect.TypeFor[platform.Streamed]() || t == reflect.TypeFor[HelpText]() {
		return nil
	}
	return schema(t, map[reflect.Type]bool{})
}

func schema(t reflect.Type, above map[reflect.Type]bool) map[string]any {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[json.RawMessage]() || above[t] || marshals(t):
		return map[string]any{} // anything
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schema(t.Elem(), above)
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Float32, reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schema(t.Elem(), above)}
	case reflect.Slice, reflect.Array:
		return map[string]any{"type": "array", "items": schema(t.Elem(), above)}
	case reflect.Struct:
		above[t] = true
		defer delete(above, t)
		properties := map[string]any{}
		addFields(t, properties, above)
		return map[string]any{"type": "object", "properties": properties}
	case reflect.Interface:
		return map[string]any{}
	default:
		return map[string]any{"type": "integer"}
	}
}

// marshals tells whether the type decides by itself what its JSON is.
func marshals(t reflect.Type) bool {
	return t.Implements(reflect.TypeFor[json.Marshaler]()) && t.Kind() != reflect.Pointer
}

func addFields(t reflect.Type, to map[string]any, above map[reflect.Type]bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			addFields(f.Type, to, above)
		case f.IsExported() && name == "":
			to[f.Name] = schema(f.Type, above)
		case f.IsExported():
			to[name] = schema(f.Type, above)
		}
	}
}
