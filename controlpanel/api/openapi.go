package api

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
	"time"

	"paas/verbs"
)

type object = map[string]any

// Document is the OpenAPI 3.1 description of all verbs.
func Document(list []verbs.Description, version string) any {
	paths := object{}
	for _, v := range list {
		paths["/api/v1/verbs/"+v.Name] = object{"post": operation(v)}
	}
	return object{
		"openapi": "3.1.0",
		"info": object{
			"title": "paas", "version": version, "summary": "Every command of the platform as JSON over HTTP",
			"description": "Each operation is the command of the same name. Its arguments are members of the body; what a command reads from standard input is the member stdin, or the body itself with another content type than JSON and the arguments in the query.",
		},
		"servers":  []any{object{"url": "/"}},
		"security": []any{object{"token": []any{}}},
		"paths":    paths,
		"components": object{
			"securitySchemes": object{"token": object{"type": "http", "scheme": "bearer", "description": "ssh paas tokens:create NAME --scope …"}},
			"schemas":         object{"Problem": schemaOf(reflect.TypeFor[Problem](), nil)},
			"responses": object{"Problem": object{
				"description": "What was wrong, and what to do about it",
				"content":     object{"application/problem+json": object{"schema": object{"$ref": "#/components/schemas/Problem"}}},
			}},
		},
	}
}

func operation(v verbs.Description) object {
	topic, _, _ := strings.Cut(v.Name, ":")
	return object{
		"operationId": v.Name, "summary": v.Summary, "tags": []any{topic},
		"x-paas-access": v.Access.String(), "x-paas-reads": v.Reads, "x-paas-example": "ssh paas " + v.Example,
		"requestBody": object{"content": object{"application/json": object{"schema": inputSchema(v)}}},
		"responses":   object{"200": object{"description": "It is done", "content": outputContent(v)}, "default": object{"$ref": "#/components/responses/Problem"}},
	}
}

func inputSchema(v verbs.Description) object {
	properties, required := object{}, []any{}
	for _, p := range v.Params {
		one := object{"type": typeName(p.Type)}
		if p.List {
			one = object{"type": "array", "items": object{"type": "string"}}
		}
		if p.Help != "" {
			one["description"] = p.Help
		}
		if p.Default != "" {
			one["description"] = strings.TrimSpace(p.Help + " (default " + p.Default + ")")
		}
		properties[p.Name] = one
		if p.Required {
			required = append(required, p.Name)
		}
	}
	properties["stdin"] = object{"type": "string", "description": "what the command reads from its standard input"}
	s := object{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

func typeName(k reflect.Kind) string {
	switch k {
	case reflect.Bool:
		return "boolean"
	case reflect.Int:
		return "integer"
	default:
		return "string"
	}
}

func outputContent(v verbs.Description) object {
	switch {
	case v.Bytes || v.Streams && v.Lines:
		return object{linesType: object{"schema": object{"type": "string", "description": "one JSON object a line"}}}
	case v.Streams:
		return object{"application/octet-stream": object{}}
	}
	return object{"application/json": object{"schema": schemaOf(v.Output, nil)}}
}

// schemaOf is the JSON Schema of what encoding/json makes of a type.
func schemaOf(t reflect.Type, above []reflect.Type) object {
	for _, a := range above {
		if a == t {
			return object{}
		}
	}
	above = append(above, t)
	if t.Kind() == reflect.Pointer {
		return schemaOf(t.Elem(), above)
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return object{"type": "string"}
	case t.Implements(reflect.TypeFor[json.Marshaler]()):
		return object{}
	}
	switch t.Kind() {
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.String:
		return object{"type": "string"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 && t.Kind() == reflect.Slice {
			return object{"type": "string", "contentEncoding": "base64"}
		}
		return object{"type": []any{"array", "null"}, "items": schemaOf(t.Elem(), above)}
	case reflect.Map:
		return object{"type": []any{"object", "null"}, "additionalProperties": schemaOf(t.Elem(), above)}
	case reflect.Struct:
		properties := object{}
		addFields(t, above, properties)
		return object{"type": "object", "properties": properties}
	case reflect.Interface:
		return object{}
	}
	return object{"type": "integer"}
}

func addFields(t reflect.Type, above []reflect.Type, to object) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			addFields(f.Type, above, to)
		case !f.IsExported():
		case name == "":
			to[f.Name] = schemaOf(f.Type, above)
		default:
			to[name] = schemaOf(f.Type, above)
		}
	}
}
