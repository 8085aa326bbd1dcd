// Package configs is the configuration file: its sections, its defaults and
// its checks. Load reads a file and everything it includes, decodes it
// strictly and returns the settings together with a Report that names every
// problem by file, line and column, all of them in one run. The sections'
// types live in the packages that use them; only this package knows TOML.
package configs
