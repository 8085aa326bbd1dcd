// Package conf holds what a value in the configuration file can be: a
// Duration, a Size, a Secret, the way a section reports its problems, and what was
// probably meant by a misspelt word.
// It uses the standard library only; every package may import it.
package conf
