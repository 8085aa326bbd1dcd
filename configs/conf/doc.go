// Package conf holds what a value in the configuration file can be: a
// Duration, a Size, a Secret, and the way a section reports its problems.
// It uses the standard library only; every package may import it.
package conf
