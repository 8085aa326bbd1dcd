package netlab

import (
	"fmt"
	"strings"
)

// Shape makes the cable carry so many bits a second in each direction, with a
// queue of so many bytes before it (tbf); packets beyond it are lost. It
// replaces an earlier shape.
func (c *Cable) Shape(bitsPerSecond, queueBytes int) error {
	for _, end := range []*Space{c.near, c.far} {
		if err := end.run("", "tc", "qdisc", "replace", "dev", c.device(), "root", "tbf",
			"rate", fmt.Sprintf("%dbit", bitsPerSecond), "burst", "1600", "limit", fmt.Sprint(queueBytes)); err != nil {
			return err
		}
	}
	return nil
}

// Lose loses one of a hundred packets so many times in each direction, at
// random, from now on, beside what is lost or refused already.
func (c *Cable) Lose(percent int) error {
	return c.rule(fmt.Sprintf("numgen random mod 100 < %d drop", percent))
}

// Silence drops everything from now on, and tells nobody.
func (c *Cable) Silence() error { return c.rule("drop") }

// Reset answers everything of TCP that arrives at the far end with a reset.
func (c *Cable) Reset() error {
	return c.table(c.far, "tcp flags & rst == 0 reject with tcp reset")
}

// Calm ends Lose, Silence and Reset.
func (c *Cable) Calm() error {
	for _, end := range []*Space{c.near, c.far} {
		if err := end.run("table inet "+c.device()+"\ndelete table inet "+c.device()+"\n", "nft", "-f", "-"); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cable) rule(what string) error {
	for _, end := range []*Space{c.near, c.far} {
		if err := c.table(end, what); err != nil {
			return err
		}
	}
	return nil
}

// table appends a rule to the cable's table at one end; it is for what arrives
// over the cable.
func (c *Cable) table(end *Space, what string) error {
	return end.run(strings.Join([]string{
		"table inet " + c.device() + " {",
		"  chain arriving {",
		"    type filter hook input priority 0;",
		"    iifname " + c.device() + " " + what,
		"  }",
		"}", ""}, "\n"), "nft", "-f", "-")
}
