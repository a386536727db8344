package verbs

import (
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"

	"paas/platform"
)

// streams tells whether the verb writes its output itself, while it comes about.
func (v Verb) streams() bool { return v.out == reflect.TypeFor[platform.Streamed]() }

// schemaOf is the schema of a verb's output, nil for what streams.
func schemaOf(t reflect.Type) any {
	if t == nil || t == reflect.TypeFor[platform.Streamed]() || t == reflect.TypeFor[HelpText]() {
		return nil
	}
	return Schema(t)
}

// Schema is the JSON Schema (draft 2020-12) of what encoding/json makes of a type.
func Schema(t reflect.Type) map[string]any { return schema(t, nil) }

func schema(t reflect.Type, above []reflect.Type) map[string]any {
	if t.Kind() == reflect.Pointer {
		return schema(t.Elem(), above)
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return map[string]any{"type": "string"}
	case slices.Contains(above, t) || t.Implements(reflect.TypeFor[json.Marshaler]()):
		return map[string]any{} // anything
	}
	above = append(slices.Clone(above), t)
	switch t.Kind() {
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Float32, reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Map:
		return map[string]any{"type": []any{"object", "null"}, "additionalProperties": schema(t.Elem(), above)}
	case reflect.Slice, reflect.Array:
		return list(t, above)
	case reflect.Struct:
		properties := map[string]any{}
		addFields(t, properties, above)
		return map[string]any{"type": "object", "properties": properties}
	case reflect.Interface:
		return map[string]any{}
	default:
		return map[string]any{"type": "integer"}
	}
}

func list(t reflect.Type, above []reflect.Type) map[string]any {
	if t.Elem().Kind() == reflect.Uint8 && t.Kind() == reflect.Slice {
		return map[string]any{"type": "string", "contentEncoding": "base64"}
	}
	return map[string]any{"type": []any{"array", "null"}, "items": schema(t.Elem(), above)}
}

func addFields(t reflect.Type, to map[string]any, above []reflect.Type) {
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
