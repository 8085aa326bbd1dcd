package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"fieldgate/configs"
)

// pages are the texts that a user reads.
func pages(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(files) == 0 {
		t.Fatalf("no pages in docs: %v", err)
	}
	all := map[string]string{}
	for _, f := range append(files, "../../README.md") {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(f)] = string(text)
	}
	return all
}

// block is a fenced block of a page.
type block struct {
	line int
	lang string
	text string
}

func blocks(page string) []block {
	var all []block
	var open *block
	for i, line := range strings.Split(page, "\n") {
		lang, fence := strings.CutPrefix(line, "```")
		switch {
		case fence && open == nil:
			open = &block{line: i + 1, lang: lang}
		case fence:
			all = append(all, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	return all
}

// whole gives sections of an upstream the upstream that they belong to.
func whole(text string) string {
	if strings.Contains(text, "[[upstream.") && !strings.Contains(text, "[[upstream]]") {
		return "[[upstream]]\nname = \"cloud\"\nurl = \"mqtts://mqtt.example.com:8883\"\n" + text
	}
	return text
}

// TestDocsConfigurations: every TOML block of the pages is a whole
// configuration that loads without an error. What depends on the machine
// (ports, key files, variables) is left out.
func TestDocsConfigurations(t *testing.T) {
	n := 0
	for name, page := range pages(t) {
		for _, b := range blocks(page) {
			if b.lang != "toml" {
				continue
			}
			n++
			_, report := configs.LoadText(fmt.Sprintf("%s:%d", name, b.line), whole(b.text), configs.Options{SkipFiles: true})
			if !report.OK() {
				var out strings.Builder
				if err := report.Render(&out, false); err != nil {
					t.Fatal(err)
				}
				t.Errorf("%s, the block at line %d:\n%s", name, b.line, out.String())
			}
		}
	}
	if n < 10 {
		t.Errorf("only %d TOML blocks were found", n)
	}
}

// commandLine is fieldgate with its arguments, in a block or in `code`.
var commandLine = regexp.MustCompile("(?m)(?:^(?:\\$ |sudo )?(?:\\./)?|`)fieldgate ([a-z][^`\n]*)")

// TestDocsCommands: every command that the pages name exists, with its flags.
func TestDocsCommands(t *testing.T) {
	root := (&app{in: strings.NewReader(""), out: io.Discard, err: io.Discard}).command()
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	n := 0
	for name, page := range pages(t) {
		for _, m := range commandLine.FindAllStringSubmatch(page, -1) {
			n++
			if err := knows(root, strings.Fields(beforeComment(m[1]))); err != nil {
				t.Errorf("%s: fieldgate %s: %v", name, m[1], err)
			}
		}
	}
	if n < 30 {
		t.Errorf("only %d commands were found", n)
	}
}

func beforeComment(line string) string {
	for _, sep := range []string{" #", " |", " &&", " >", ", "} {
		line, _, _ = strings.Cut(line, sep)
	}
	return line
}

// knows walks the command tree along the words and looks the flags up. Words
// that are no command are arguments, but only below a command that takes some.
func knows(root *cobra.Command, words []string) error {
	c, rest, err := root.Find(words)
	if err != nil {
		return err
	}
	if c == root {
		return fmt.Errorf("no such command")
	}
	if len(rest) > 0 && c.HasSubCommands() && !strings.HasPrefix(rest[0], "-") {
		return fmt.Errorf("%s has no command %q", c.CommandPath(), rest[0])
	}
	for _, word := range rest {
		flag, _, _ := strings.Cut(word, "=")
		switch {
		case strings.HasPrefix(flag, "--"):
			if long := flag[2:]; c.Flag(long) == nil && long != "help" {
				return fmt.Errorf("unknown flag %s", flag)
			}
		case len(flag) == 2 && flag[0] == '-' && flag[1] != '-':
			short := flag[1:]
			if c.Flags().ShorthandLookup(short) == nil && c.InheritedFlags().ShorthandLookup(short) == nil && short != "h" {
				return fmt.Errorf("unknown flag %s", flag)
			}
		}
	}
	return nil
}

// TestKnows: the walk itself finds what is not there.
func TestKnows(t *testing.T) {
	root := (&app{in: strings.NewReader(""), out: io.Discard, err: io.Discard}).command()
	for line, ok := range map[string]bool{
		"status --exit-code":          true,
		"queue peek cloud -n 3":       true,
		"check plant.toml --json":     true,
		"run -c plant.toml":           true,
		"write boiler/setpoint 72.5":  true,
		"staus":                       false,
		"queue peak":                  false,
		"status --exitcode":           false,
		"check -n 3":                  false,
		"config explain bus.timeout":  true,
		"upstream test cloud --jason": false,
	} {
		if err := knows(root, strings.Fields(line)); (err == nil) != ok {
			t.Errorf("%q: %v", line, err)
		}
	}
}

// TestDocsLinks: links between the pages lead to a file.
func TestDocsLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]+)(?:#[^)]*)?\)`)
	for name, page := range pages(t) {
		dir := "../../docs"
		if name == "README.md" {
			dir = "../.."
		}
		for _, m := range link.FindAllStringSubmatch(page, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(dir, m[1])); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", name, m[1])
			}
		}
	}
}
