// Package tree says where in a TOML text each key and each value stands.
//
// The TOML library checks the text and decodes it, but it gives no position
// for a key that nothing was decoded into, and for a value inside an array of
// tables the position of the last such table. Parse walks the same text once
// more and builds a tree of nodes that know their bytes. It expects a text that
// the library has accepted; on any other it stops where it no longer
// understands and returns what it has, with an error. The list of keys it
// yields is the library's MetaData.Keys(), key by key: a fuzz test holds it to
// that.
package tree
