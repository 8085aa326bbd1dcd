package sim

import _ "embed"

// Example is a configuration for `fieldgate sim` with every key explained.
//
//go:embed sim.toml
var Example string
