// Package mosquittoconf turns the bridges of a mosquitto.conf(5) into
// [[upstream]] sections of our own file: Read takes the sections apart, Write
// makes TOML with a comment for everything that has no counterpart here.
package mosquittoconf
