package config

import _ "embed" // for the reference

//go:embed default.toml
var reference string

// Reference returns a commented configuration that has every key, its meaning,
// unit and default. It is valid as it is.
func Reference() string {
	return reference
}
