package main

import (
	"testing"
)

func TestReadOnlyMapping(t *testing.T) {
	const path = "/usr/bin/fieldgate"
	for _, c := range []struct {
		line string
		ok   bool
	}{
		{"00400000-00e4a000 r-xp 00000000 fe:01 1234                       /usr/bin/fieldgate", true},
		{"00e4a000-01a00000 r--p 00a4a000 fe:01 1234                       /usr/bin/fieldgate", true},
		{"01a00000-01a80000 rw-p 01600000 fe:01 1234                       /usr/bin/fieldgate", false},
		{"01a80000-01b00000 r--s 00000000 fe:01 1234                       /usr/bin/fieldgate", false},
		{"7f0000000000-7f0000001000 r--p 00000000 fe:01 99                 /usr/lib/libc.so.6", false},
		{"7f0000000000-7f0000001000 r--p 00000000 fe:01 99                 /opt/x/usr/bin/fieldgate", false},
		{"7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                  [stack]", false},
		{"", false},
		{"x", false},
	} {
		begin, end, ok := readOnlyMapping(c.line, path)
		if ok != c.ok || ok && begin >= end {
			t.Errorf("%q: %v (%x to %x)", c.line, ok, begin, end)
		}
	}
}

// The process goes on as before, with constants, code and stack traces intact.
func TestForgetStartPages(t *testing.T) {
	for range 3 {
		span, err := forgetStartPages()
		if err != nil {
			t.Fatal(err)
		}
		if span < 1<<20 {
			t.Errorf("%d bytes of the program's file are mapped", span)
		}
		if got := versionText(); got == "" {
			t.Error("no version any more")
		}
	}
}
