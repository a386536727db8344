package api

import (
	"reflect"
	"strings"

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
			"schemas":         object{"Problem": verbs.Schema(reflect.TypeFor[Problem]())},
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
	return object{"application/json": object{"schema": verbs.Schema(v.Output)}}
}
